"""Visits to a glucose sensor: what is told once, what the cursor proves, and what a sensor is asked for."""

from dataclasses import replace
from datetime import datetime

import pytest

from drivers.gatt import racp
from drivers.gatt.cgm.download import WINDOW_MIN
from drivers.gatt.cgm.run import run_of
from drivers.gatt.cgm.sim import NEVER, PLAIN, SEALED, Manners, Sensor
from gateway.contract.session import (
    Write,
)
from gateway.contract.visit import Ending
from tests.unit.drivers.cgm_bed import ANY, STARTED, Bed, Bent, Loses, asked, live, minutes, values


# What is told.
def test_a_first_visit_tells_all_and_the_next_only_what_is_new() -> None:
    bed = Bed().measure(100, 101, 102)

    assert values(bed.visit().readings) == [100, 101, 102]
    assert values(bed.visit().readings) == []
    assert values(bed.measure(103, 104).visit().readings) == [103, 104]
    assert len(set(bed.keys)) == 5


def test_a_record_is_named_by_start_and_minute() -> None:
    bed = Bed().measure(100)
    (told,) = bed.visit().readings
    assert (told.taken, told.sequence) == (datetime(2026, 3, 14, 8, 5), 5)
    assert bed.keys[0].startswith("20260314-r-")


def test_the_sensors_clock_is_its_start_and_its_minutes() -> None:
    bed = Bed().measure(100)
    bed.now_s += 150
    (clock,) = bed.visit().clocks
    assert clock.shown == datetime(2026, 3, 14, 8, 7)


def test_it_asks_from_the_minute_after_the_last() -> None:
    bed = Bed().measure(*range(100, 114))  # the last of them in minute 70
    bed.visit()
    assert asked(bed.visit()) == ["0403014700", "0103014700"]


@pytest.mark.parametrize(
    "manners", [Manners(filters=False), Manners(counts=False), Manners(packs=True)]
)
def test_a_sensor_that_knows_less_is_read_all_the_same(manners: Manners) -> None:
    bed = Bed(manners=manners, sensor=Sensor(PLAIN, start=STARTED)).measure(100, 101, 102)
    bed.visit()
    bed.measure(103).visit()
    assert values(bed.told) == [100, 101, 102, 103]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_sensor_that_counts_nothing_is_asked_twice_so_that_a_packet_lost_is_told_all_the_same(
    lost: int,
) -> None:
    manners = Manners(counts=False)
    bed = Bed(manners=manners, sensor=Sensor(PLAIN, start=STARTED)).measure(100, 101, 102)
    bed.visit(Loses(bed.peer(), lost))

    assert values(bed.told) == [100, 101, 102]


def test_nothing_is_written_but_requests_for_records() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100)
    went = bed.visit()
    writes = [c for c in went.performed if isinstance(c, Write)]
    assert {c.channel for c in writes} == {"racp"}
    assert {c.data[0] for c in writes} <= {racp.Op.REPORT, racp.Op.COUNT, racp.Op.ABORT}


# Long memories.
def test_two_weeks_are_fetched_half_a_day_at_a_time() -> None:
    bed = Bed().measure(*[100] * 4032)
    went = bed.visit()

    assert minutes(went.readings) == [5 * n for n in range(1, 4033)]
    assert max(map(len, went.commits)) <= WINDOW_MIN
    assert len(went.commits) > 27
    assert asked(went)[1] == "010401" + "0000" + "cf02"


def test_a_visit_that_is_cut_off_goes_on_where_it_was() -> None:
    bed = Bed().measure(*[100] * 1000)
    cut = bed.visit(Bent(bed.peer(), lost_after=500))
    assert cut.ending is Ending.PEER
    proven = run_of(bed.cursor)
    assert proven is not None
    assert proven.proven == 3 * WINDOW_MIN - 1

    again = bed.visit()
    assert again.ending is Ending.FINISHED
    assert min(int(m or 0) for m in minutes(again.readings)) == proven.proven + 1
    assert len(set(bed.keys)) == 1000


# What a sensor tells by itself.
def test_what_comes_by_itself_is_told_at_once_and_not_again() -> None:
    bed = Bed().measure(100, 101)
    went = bed.visit(Bent(bed.peer(), live=[(1.0, live(11, 90)), (2.0, live(12, 91))]))
    assert [values(commit) for commit in went.commits] == [[100, 101], [90], [91]]
    assert [one.pushed for one in went.readings] == [False, False, True, True]

    bed.measure(90, 91, every_min=1).measure(92)
    assert values(bed.visit().readings) == [92]
    assert len(set(bed.keys)) == 5


def test_what_comes_by_itself_proves_nothing_of_what_lies_before() -> None:
    bed = Bed().measure(100)
    bed.visit(Bent(bed.peer(), live=[(1.0, live(15, 103))]))
    # Meanwhile the sensor stored minutes 10 and 15, and only told the latter.
    bed.measure(102, 103)
    assert values(bed.visit().readings) == [102]


def test_another_record_of_a_minute_that_was_told_is_told_too() -> None:
    bed = Bed().measure(100)
    bed.visit(Bent(bed.peer(), live=[(1.0, live(10, 90))]))
    assert values(bed.measure(95).visit().readings) == [95]


def test_the_newest_that_it_tells_unasked_is_told_once() -> None:
    bed = Bed(manners=Manners(tells=True)).measure(100, 101)
    assert values(bed.visit().readings) == [100, 101]


# Faults.
def test_a_record_with_a_wrong_checksum_costs_no_other_and_comes_again() -> None:
    bed = Bed().measure(100, 101, 102)
    went = bed.visit(Bent(bed.peer(), flips=2))
    assert went.ending is Ending.PEER
    assert values(went.readings) == [100, 102]
    bed.visit()
    assert len(set(bed.keys)) == 3


@pytest.mark.parametrize("channel", ["feature", "status", "session_start"])
def test_a_sensor_that_does_not_tell_what_all_hangs_on_is_not_read(channel: str) -> None:
    profile = replace(ANY, channels={k: v for k, v in ANY.channels.items() if k != channel})
    went = Bed(profile=profile).measure(100).visit()
    assert went.ending is Ending.PEER
    assert f"does not tell its {channel}" in str(went.error)
