"""Visits of a box whose own clock is wrong to a cuff that lets its clock be set: the true time is written, or none."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from drivers.gatt.blood_pressure.sim import CuffClock
from edge import agent
from edge.outbox.port import AsyncOutbox
from edge.settings import EdgeSettings
from gateway.runtime.clock import ManualClock, from_iso, iso
from gateway.wire.box_clock import righted
from tests.unit.edge.cuff_home import TRUE, ZONE_S, Home

THREE_DAYS_S = 3 * 86_400.0


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", clock)
    yield Home(tmp_path, outbox, clock)
    await outbox.close()


async def test_a_box_that_knows_how_wrong_it_is_sets_a_cuff_to_the_true_time(home: Home) -> None:
    home.clock.step(-THREE_DAYS_S)
    home.hear_cloud()

    await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)


async def test_it_keeps_what_it_wrote_in_terms_of_its_own_clock(home: Home) -> None:
    home.clock.step(-THREE_DAYS_S)
    home.hear_cloud()

    await home.visit()

    ran, written = (await home.memory()).stretches
    assert ran.ahead_s == pytest.approx(ZONE_S + THREE_DAYS_S - 1200, abs=1.0)
    assert written.written
    assert written.ahead_s == pytest.approx(ZONE_S + THREE_DAYS_S)


async def test_daylight_saving_is_that_of_the_true_day(home: Home) -> None:
    home.box = replace(home.box, zone=ZoneInfo("Europe/Berlin"))
    for clock in (home.true, home.clock):
        clock.step(120 * 86_400.0)
    home.clock.step(-150 * 86_400.0)  # in July it takes the day for one of February
    home.hear_cloud()

    await home.visit()

    shown = home.cuff.clock.shows(home.cuff.local)
    berlin = home.true.now().astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    assert abs((shown - berlin).total_seconds()) <= 1


@pytest.mark.parametrize("set_right", [False, True])
async def test_what_is_measured_after_such_a_visit_is_dated_truly(
    home: Home, *, set_right: bool
) -> None:
    home.clock.step(-THREE_DAYS_S)
    home.hear_cloud()
    await home.visit()
    home.pass_s(3_600)
    measured = home.cuff.measure()
    home.pass_s(600)
    if set_right:
        home.clock.step(THREE_DAYS_S)

    assert (await home.visit()).readings == 1

    (utc,) = await home.told(0.0 if set_right else THREE_DAYS_S)
    assert abs((utc - measured).total_seconds()) < 3


@pytest.mark.parametrize("step_s", [THREE_DAYS_S, 30.0, -30.0, -THREE_DAYS_S])
@pytest.mark.parametrize("later_s", [15.0, 3_600.0])
async def test_a_step_of_the_box_s_clock_as_the_link_is_opened_misdates_nothing_later(
    home: Home, step_s: float, later_s: float
) -> None:
    home.cuff.clock = CuffClock(timedelta(seconds=110))
    home.clock.step(-step_s)
    await home.visit(meanwhile=lambda: home.clock.step(step_s))
    home.pass_s(later_s)
    measured = home.cuff.measure()
    home.pass_s(later_s)

    assert (await home.visit()).readings == 1

    (one,) = await home.waiting()
    assert abs((from_iso(one.time.utc) - measured).total_seconds()) < 3
    assert one.time.early_s is not None
    assert one.time.early_s + one.time.late_s < 10


async def test_what_is_accepted_after_such_a_step_is_told_by_the_clock_that_its_correction_goes_by(
    home: Home,
) -> None:
    home.clock.step(-THREE_DAYS_S)
    home.cuff.measure()
    home.pass_s(60)
    await home.visit(meanwhile=lambda: home.clock.step(THREE_DAYS_S))

    (one,) = await home.waiting()
    assert from_iso(righted(one, THREE_DAYS_S).accepted) == home.true.now()


async def test_a_box_that_booted_into_the_past_leaves_a_cuff_s_clock_alone(home: Home) -> None:
    await home.visit()
    home.pass_s(3_600)
    home.boot_behind(THREE_DAYS_S)

    for _ in range(2):
        home.pass_s(60)
        await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)
    assert not (await home.memory()).stretches[-1].written


async def test_all_that_such_a_box_reads_is_told_with_its_doubt_until_the_cloud_has_said_the_time(
    home: Home,
) -> None:
    await home.visit()
    home.boot_behind(THREE_DAYS_S)
    for _ in range(3):
        home.pass_s(60)
        home.cuff.measure()
        await home.visit()

    assert home.box.cloud_time is not None
    assert home.box.cloud_time.hear(iso(home.true.now()), home.clock.monotonic())
    home.pass_s(60)
    home.cuff.measure()
    await home.visit()

    doubts = [one.time.box_in_doubt for one in await home.waiting()]
    assert doubts == [True, True, True, False]


async def test_a_future_that_a_box_once_showed_is_no_doubt_once_the_cloud_has_said_the_time(
    home: Home,
) -> None:
    home.clock.step(THREE_DAYS_S)
    await home.visit()
    home.boot_behind(THREE_DAYS_S)  # and right, after all
    home.pass_s(60)
    assert home.box.cloud_time is not None
    assert home.box.cloud_time.hear(iso(home.true.now()), home.clock.monotonic())
    await home.visit()
    home.boot_behind(0.0)
    home.pass_s(60)
    home.cuff.measure()
    await home.visit()

    (one,) = await home.waiting()
    assert not one.time.box_in_doubt


async def test_once_the_cloud_has_said_the_time_it_is_set_again(home: Home) -> None:
    await home.visit()
    home.cuff.clock = CuffClock(timedelta(hours=2))
    home.boot_behind(THREE_DAYS_S)
    cloud = home.box.cloud_time
    assert cloud is not None
    assert cloud.hear(iso(home.true.now()), home.clock.monotonic())

    await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)


async def test_a_box_that_is_caught_up_again_sets_clocks_as_before(home: Home) -> None:
    await home.visit()
    home.boot_behind(THREE_DAYS_S)
    await home.visit()
    home.clock.step(THREE_DAYS_S)  # the network came, and set it
    home.cuff.clock = CuffClock(timedelta(hours=2))
    home.pass_s(60)

    await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)


async def test_a_clock_that_was_set_back_from_the_future_is_no_lasting_doubt(home: Home) -> None:
    home.clock.step(THREE_DAYS_S)
    await home.visit()
    home.clock.step(-THREE_DAYS_S)
    for _ in range(2):
        home.pass_s(60)
        await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)


async def test_where_nobody_said_anything_against_it_the_box_s_own_time_is_set(home: Home) -> None:
    await home.visit()

    assert home.cuff.ahead_s == pytest.approx(0.0, abs=1.0)


async def test_an_agent_s_visits_hear_of_what_its_cloud_says(tmp_path: Path) -> None:
    settings = EdgeSettings(agent="box-1", tenant="demo", data_dir=str(tmp_path / "data"))  # type: ignore[arg-type]
    before = os.umask(0o077)  # the agent sets it, for good
    try:
        async with agent._put_together(settings, tmp_path, ManualClock(TRUE), None) as made:
            assert made.box.cloud_time is made.publisher.cloud_time
    finally:
        os.umask(before)
