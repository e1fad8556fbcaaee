"""The start of a sensor session: how a new one is known, what a start written anew renames, and when one is written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from drivers.gatt.cgm import codec
from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.sim import NEVER, SEALED, Sensor
from drivers.gatt.clocks import stored
from gateway.contract.profile import BleChannel
from gateway.contract.session import Peer, Read, Received, Refused, Subscribe, Write
from gateway.contract.visit import Ending
from tests.unit.drivers.cgm_bed import (
    SEVEN,
    SOLE,
    START_OF,
    STARTED,
    Bed,
    Bent,
    asked,
    live,
    values,
)


# Sessions.
def test_a_new_session_counts_from_0_again_and_is_told_under_its_own_start() -> None:
    bed = Bed().measure(*range(100, 110))
    bed.visit()
    bed.sensor.begin(bed.now_s, Start(stored(datetime(2026, 3, 14, 8, 50)), 4, 0))
    assert values(bed.measure(200, 201).visit().readings) == [200, 201]
    assert bed.told[-1].taken == datetime(2026, 3, 14, 9)
    assert len(set(bed.keys)) == 12


def test_a_new_session_that_is_longer_than_the_old_one_was_is_told_from_its_beginning() -> None:
    bed = Bed().measure(100)
    bed.visit()
    bed.now_s += 7200
    bed.sensor.begin(bed.now_s, Start(stored(datetime(2026, 3, 14, 10, 5)), 4, 0))
    assert values(bed.measure(200, 201, 202).visit().readings) == [200, 201, 202]


@pytest.mark.parametrize(
    "rewritten",
    [
        Start(stored(SEVEN), 0, 0),  # the phone travels: the same moment in another zone
        Start(stored(SEVEN + timedelta(minutes=58)), codec.ZONE_UNKNOWN, codec.DST_UNKNOWN),
        NEVER,
    ],
)
def test_a_start_that_another_client_writes_anew_renames_nothing(rewritten: Start) -> None:
    bed = Bed().measure(100, 101)
    bed.visit()
    bed.sensor.start = rewritten
    went = bed.measure(102).visit()
    assert values(went.readings) == [102]
    assert went.readings[0].taken == datetime(2026, 3, 14, 8, 15)
    assert went.clocks[0].shown == datetime(2026, 3, 14, 8, 15)


def test_a_start_written_anew_after_a_visit_that_broke_off_renames_nothing() -> None:
    # Seed 21 of the random walk: the name was not on disk before what was told under it.
    bed = Bed().measure(100, 101)
    bed.visit(Bent(bed.peer(), lost_after=1))
    bed.sensor.start = Start(stored(SEVEN), 0, 0)
    bed.visit()
    assert values(bed.told) == [100, 100, 101]
    assert len(set(bed.keys)) == 2


def test_an_old_start_is_not_that_of_a_session_that_counts_from_0_again() -> None:
    bed = Bed().measure(*range(100, 110))
    bed.visit()
    bed.sensor.begin(bed.now_s, STARTED)
    for _ in range(2):
        went = bed.measure(200).visit()
        assert [one.marks for one in went.readings] == [{"session_start_unknown"}]
        assert went.readings[0].taken is None
        assert went.clocks == []
    assert values(bed.told)[10:] == [200, 200]


def test_nor_is_it_that_of_one_that_is_almost_as_long_as_the_old_one_was() -> None:
    bed = Bed().measure(100, 101, 102)
    bed.visit()
    bed.sensor.begin(bed.now_s, STARTED)

    went = bed.measure(110, 111).visit()

    assert values(went.readings) == [110, 111]
    assert [one.taken for one in went.readings] == [None, None]
    assert went.clocks == []
    assert values(bed.measure(112).visit().readings) == [112]


def test_a_status_that_lags_behind_the_records_makes_no_new_session() -> None:
    bed = Bed().measure(100, 101, 102)
    bed.visit()

    went = bed.visit(Lags(bed.peer(), by_min=5))

    assert went.ending is Ending.FINISHED
    assert went.readings == []
    assert values(bed.measure(103).visit().readings) == [103]
    assert len(set(bed.keys)) == 4


@dataclass
class Lags:
    """A sensor whose status shows an earlier minute."""

    inner: Peer
    by_min: int

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == "status":
                told = codec.decode_status(answer.data, e2e=True)
                told = replace(told, offset_min=told.offset_min - self.by_min)
                yield replace(answer, data=codec.encode_status(told, e2e=True))
            else:
                yield answer


def test_minutes_that_wrap_are_dated_by_no_start() -> None:
    bed = Bed()
    bed.now_s = 60.0 * (codec.OFFSET_END - 8)
    bed.measure(100).visit()
    # What is left of before the wrap can't be told from the new: it comes once more, and without a time.
    again = bed.measure(101).visit().readings
    assert [(one.sequence, one.taken) for one in again] == [(2, None), (65533, None)]
    assert values(bed.measure(102).visit().readings) == [102]


# Sessions without a start.
def test_a_session_without_a_start_is_told_once_and_its_time_is_not_known() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100, 101)
    bed.visit()
    bed.measure(102).visit()
    assert values(bed.told) == [100, 101, 102]
    assert {one.taken for one in bed.told} == {None}
    assert bed.told[-1].raw_time == "0000-00-00T00:00:00 + 15 min"


def test_what_is_made_during_the_visit_is_known_to_be_new_without_a_start() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100)
    went = bed.visit(Bent(bed.peer(), live=[(2.0, live(6, 90))]))
    old, new = went.readings
    assert old.within_s is None
    assert new.within_s == pytest.approx(62.0, abs=1.0)


def test_a_link_that_closes_early_tells_nothing_that_would_get_another_name() -> None:
    for start, told in ((NEVER, []), (STARTED, [100])):
        bed = Bed(sensor=Sensor(SEALED, start=start)).measure(100, 101)
        bed.visit(Bent(bed.peer(), lost_after=1))
        assert values(bed.told) == told
        bed.visit()
        assert len(set(bed.keys)) == 2 if start is STARTED else values(bed.told) == [100, 101]


def test_a_start_that_becomes_known_names_what_is_told_from_then_on() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100)
    bed.visit()
    bed.sensor.start = STARTED
    (told,) = bed.measure(101).visit().readings
    assert told.taken == datetime(2026, 3, 14, 8, 10)


def test_the_start_is_written_where_the_profile_allows_it_and_the_sensor_has_none() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER), profile=SOLE).measure(100)
    bed.now_s += 30
    went = bed.visit()
    (written,) = asked(went, "session_start_write")
    assert codec.decode_start(bytes.fromhex(written), e2e=True) == Start(stored(datetime(2026, 3, 14, 8, 5, 30)), 4, 0)  # fmt: skip
    assert bed.sensor.start == STARTED
    assert went.readings[0].taken == datetime(2026, 3, 14, 8, 5)
    assert asked(bed.visit(), "session_start_write") == []


def test_a_zone_that_no_quarter_hour_holds_is_written_as_unknown() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER), profile=SOLE).measure(100)
    bed.visit(zone_offset_s=-2670)
    assert bed.sensor.start.ahead is None


def test_a_stopped_session_gets_no_start_and_tells_no_clock() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER), profile=SOLE).measure(100)
    bed.sensor.bits = 1
    assert asked(bed.visit(), "session_start_write") == []
    bed.sensor.start = STARTED
    assert bed.visit().clocks == []


def test_a_session_whose_run_time_is_over_tells_no_clock() -> None:
    bed = Bed(sensor=Sensor(SEALED, run_time_h=1, start=STARTED)).measure(*[100] * 12)
    assert bed.visit().clocks == []


def test_minutes_that_stand_still_make_no_new_session() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100, 101)
    bed.visit()
    bed.sensor.bits = 1
    for _ in range(3):
        bed.ahead_s += 7200
        bed.visit()
    assert values(bed.told) == [100, 101]


@pytest.mark.parametrize("told", ["", "5001", "500100", "50010000"])
def test_a_run_time_that_can_not_be_read_costs_no_record(told: str) -> None:
    bed = Bed().measure(100, 101)

    went = bed.visit(Says(bed.peer(), "run_time", bytes.fromhex(told)))

    assert went.ending is Ending.FINISHED
    assert values(went.readings) == [100, 101]


@dataclass
class Says:
    """A sensor that says this on one channel."""

    inner: Peer
    channel: str
    data: bytes

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == self.channel:
                yield replace(answer, data=self.data)
            else:
                yield answer


def test_the_channel_to_write_a_start_is_the_starts_own() -> None:
    assert isinstance(START_OF, BleChannel)
    assert SOLE.channels["session_start_write"] == SOLE.channels["session_start"]
