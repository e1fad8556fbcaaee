"""A box whose clock is wrong, its outbox and a cloud, on clocks that are moved by hand: a live crisis pages, at its true time."""

from datetime import timedelta

import pytest

from edge.ledger_check import ANSWER_S, QUESTION_EVERY_S
from edge.sending import TIME_S_MAX
from gateway.model.observation import Source
from gateway.runtime.clock import iso
from gateway.wire.envelope import decode_header
from gateway.wire.status import Status, decode_status
from gateway.wire.topics import Up
from tests.unit.edge.wrong_clock_world import BEHIND_S, METER, TRUE, World


async def test_a_clock_that_is_still_wrong_is_corrected_by_the_cloud_s(world: World) -> None:
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    assert world.line.of(Up.OBSERVATIONS) == []
    await world.answer(after_s=2.0)
    await world.arrive()

    world.must_page(measured)
    (payload,) = world.line.of(Up.OBSERVATIONS)
    assert decode_header(payload)[0].clock_off_s == pytest.approx(BEHIND_S)
    assert (await world.outbox.status()).pending == 0


async def test_a_step_between_accepting_and_sending_is_seen_without_the_cloud_s_help(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    world.pass_s(300)
    world.box.step(BEHIND_S)
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    world.must_page(measured)


async def test_an_agent_that_starts_anew_in_the_same_boot_knows_what_its_rows_rest_on(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    world.pass_s(60)
    await world.restart()
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()
    await world.arrive()

    world.must_page(measured)


async def test_after_a_boot_nothing_is_known_and_the_time_stays_as_it_was_told(
    world: World,
) -> None:
    await world.read()
    told = world.box.now() - timedelta(seconds=1)
    await world.restart(reboot=True)
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()
    await world.arrive()

    (row,) = world.rows()
    (seen,) = row.observations
    assert seen is not None
    assert seen.time.utc == iso(told)
    assert seen.time.box_off_s is None


async def test_a_reading_of_hours_ago_is_late_however_the_clock_ran(world: World) -> None:
    world.box.step(BEHIND_S + 86_400)  # a day ahead: by that clock nothing is ever old
    await world.read()
    measured = world.cloud.now()
    world.pass_s(3 * 3_600)
    await world.connect()
    await world.answer()
    await world.arrive()

    ((state, us),) = world.alerts()
    assert state == "late"
    assert abs(us / 1e6 - measured.timestamp()) < 12


async def test_no_answer_holds_readings_up_for_a_moment_only(world: World) -> None:
    world.box.step(BEHIND_S)
    await world.connect()
    await world.read()
    await world.exchange.send(world.line)
    assert world.line.of(Up.OBSERVATIONS) == []
    assert 0 < world.exchange.pause_s() <= TIME_S_MAX

    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["open"]


async def test_what_the_cloud_perhaps_never_had_goes_again_with_the_time_that_is_known_by_now(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    await world.lose_what_is_sent()
    await world.arrive()

    world.must_page(measured)
    assert (await world.outbox.status()).pending == 0


async def test_rows_that_came_with_two_offsets_are_duplicates_and_no_conflicts(
    world: World,
) -> None:
    await world.read()
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    first = list(world.line.up)
    await world.answer(after_s=2.0)
    world.pass_s(20)
    await world.exchange.send(world.line)
    assert len(set(world.line.of(Up.OBSERVATIONS))) == 2
    assert first[-1] in world.line.up
    await world.arrive()

    assert world.records.counts()["conflicts"] == 0
    assert world.records.counts()["ledger_apart"] == 0
    assert len(world.rows()) == 1
    assert (await world.outbox.status()).pending == 0


async def test_an_answer_that_comes_late_is_asked_for_again(world: World) -> None:
    await world.connect()
    await world.answer(after_s=30.0)
    assert decode_status(world.line.of(Up.STATUS)[-1]).clock_off_s is None

    world.pass_s(2 * ANSWER_S)
    await world.exchange.send(world.line)
    await world.answer()
    world.pass_s(10)
    await world.exchange.send(world.line)

    status: Status = decode_status(world.line.of(Up.STATUS)[-1])
    assert status.clock_off_s == pytest.approx(BEHIND_S)
    assert len(world.line.of(Up.LEDGER)) == 2
    assert world.exchange.pause_s() < QUESTION_EVERY_S


async def test_rows_from_before_and_after_a_step_travel_apart(world: World) -> None:
    await world.read(120)
    world.pass_s(60)
    await world.read(121)
    world.box.step(BEHIND_S)
    await world.read(122)
    await world.connect()
    await world.answer()

    headers = [decode_header(payload)[0] for payload in world.line.of(Up.OBSERVATIONS)]
    assert [(h.first, h.count, h.clock_off_s) for h in headers] == [
        (1, 2, pytest.approx(BEHIND_S)),
        (3, 1, None),
    ]


async def test_a_fresh_reading_goes_before_the_backlog_also_after_a_step(world: World) -> None:
    for mgdl in range(100, 103):
        await world.read(mgdl, Source.MEMORY)
    world.pass_s(3 * 3_600)
    await world.read(40)
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()

    first = decode_header(world.line.of(Up.OBSERVATIONS)[0])[0]
    assert first.first == 4


async def test_a_reading_of_the_inbox_is_given_with_the_corrected_time(
    world: World,
) -> None:
    for binding in world.records.bindings():
        world.records.unbind(binding.patient, METER, at=TRUE - timedelta(minutes=30))
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    await world.answer()
    await world.arrive()
    (waiting,) = world.records.unassigned()
    assert abs(waiting.measured_us / 1e6 - measured.timestamp()) < 12

    world.records.assign(waiting.key, world.records.patients()[0].id, "a person")

    world.must_page(measured)
