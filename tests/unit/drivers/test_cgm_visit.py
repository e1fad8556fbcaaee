"""Visits to a glucose sensor: what is told once, what the cursor proves, and how a session keeps its name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import drivers.gatt.cgm.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.cgm import codec
from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.download import WINDOW_MIN
from drivers.gatt.cgm.run import run_of
from drivers.gatt.cgm.sim import NEVER, PLAIN, SEALED, Manners, Sensor, SensorPeer, measured
from drivers.gatt.clocks import stored
from edge.normalise import Provenance, normalise
from gateway.contract.profile import BleChannel, Profile
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Opened,
    Peer,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from gateway.model.observation import Moment, TimeMethod
from gateway.model.quantity import Quantity

ANY = load_profiles()["generic/cgm"]
START_OF = ANY.channels["session_start"]
# Of a box that is a sensor's only client.
SOLE = replace(ANY, channels={**ANY.channels, "session_start_write": START_OF})
FACTS = {"serial_number": b"1", "manufacturer": b"Virtual Sensors"}
BEGAN = 1773471600.0  # 07:00 UTC
SEVEN = datetime(2026, 3, 14, 7)
STARTED = Start(stored(SEVEN + timedelta(hours=1)), 4, 0)  # 08:00 at UTC+1
WHERE = Provenance("box-1", "d" * 20, "ble", datetime.fromisoformat("2026-03-14T00:00:00Z"), "0" * 16)  # fmt: skip


@dataclass
class Bed:
    """A sensor, and the box's time at which it is visited: `ahead_s` of the sensor's own counter."""

    sensor: Sensor = field(default_factory=lambda: Sensor(SEALED, start=STARTED))
    manners: Manners = field(default_factory=Manners)
    profile: Profile = ANY
    cursor: str | None = None
    now_s: float = 0.0
    ahead_s: float = BEGAN
    told: list[Reading] = field(default_factory=list[Reading])

    def measure(self, *values: int, every_min: int = 5) -> "Bed":
        for value in values:
            self.now_s += 60 * every_min
            part = Quantity(Decimal(value), "mg/dL")
            self.sensor.store(self.now_s, measured({"value": part}))
        return self

    def peer(self) -> SensorPeer:
        return SensorPeer(self.sensor, FACTS, lambda: self.now_s, self.manners)

    def visit(self, peer: Peer | None = None, zone_offset_s: int = 3600) -> Played:
        unit = UnitInfo(self.profile, self.cursor, zone_offset_s=zone_offset_s)
        session = driver.DRIVER.open(unit)
        opened = Opened(self.ahead_s + self.now_s)
        went = converse(session, peer or self.peer(), opened, deadline_s=self.profile.deadline_s)
        self.cursor = went.cursor or self.cursor
        self.told += went.readings
        return went

    @property
    def keys(self) -> list[str]:
        moment = Moment(utc="2026-03-14T06:00:00.000Z", method=TimeMethod.ARRIVAL)
        return [normalise(one, self.profile, moment, WHERE).key for one in self.told]


@dataclass
class Bent:
    """A sensor whose n-th measurement is altered, or comes by itself `live_s` after its control point is done."""

    inner: Peer
    lost_after: int | None = None
    flips: int | None = None
    live: Sequence[tuple[float, bytes]] = ()
    seen: int = 0

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == "measurement":
                self.seen += 1
                if self.seen == self.flips:
                    yield replace(answer, data=bytes((*answer.data[:2], answer.data[2] ^ 1, *answer.data[3:])))  # fmt: skip
                    continue
            if self.lost_after is not None and self.seen > self.lost_after:
                return
            yield answer
        if isinstance(command, Write) and command.data[:1] == bytes((racp.Op.REPORT,)):
            yield from (Received(at, "measurement", frame) for at, frame in self.live)


@dataclass
class Loses:
    """A sensor whose n-th measurement never arrives."""

    inner: Peer
    lost: int
    seen: int = 0

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == "measurement":
                self.seen += 1
                if self.seen == self.lost:
                    continue
            yield answer


def values(readings: Sequence[Reading]) -> list[int]:
    parts = [one.parts["value"] for one in readings]
    return [int(part.number) for part in parts if isinstance(part, Quantity)]


def minutes(readings: Sequence[Reading]) -> list[int | None]:
    return [one.sequence for one in readings]


def asked(went: Played, channel: str = "racp") -> list[str]:
    return [c.data.hex() for c in went.performed if isinstance(c, Write) and c.channel == channel]


def live(minute: int, value: int) -> bytes:
    record = replace(measured({"value": Quantity(Decimal(value), "mg/dL")}), offset_min=minute)
    return codec.encode_record(record, e2e=True)


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


def test_the_channel_to_write_a_start_is_the_starts_own() -> None:
    assert isinstance(START_OF, BleChannel)
    assert SOLE.channels["session_start_write"] == SOLE.channels["session_start"]
