"""Visits that the prose asks for and no published session shows: clocks in UTC, unknown zones, stubs, contexts that come late."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.device_information import decode_battery_status, decode_text
from drivers.gatt.device_time import DeviceTime, LocalTime
from drivers.gatt.glucose.codec import decode_measurement
from drivers.gatt.glucose.codec import reading as meters_reading
from drivers.gatt.glucose.session import DRIVER as METERS
from drivers.gatt.glucose.session import LATE_CONTEXT_S
from drivers.gatt.health_sensor.codec import Measured, numeric
from drivers.gatt.health_sensor.session import DRIVER as SENSORS
from drivers.gatt.health_sensor.sim import HealthSensor, HealthSensorPeer
from drivers.gatt.health_sensor.terms import STATUS_SET
from drivers.gatt.health_sensor.terms import reading as sensors_reading
from drivers.gatt.health_sensor.values import EPOCH, ElapsedTime
from drivers.gatt.weight_scale.composition import decode_composition
from edge.clock_history import ClockPair
from edge.timekeeping import Arrival, moment_of
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Event,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.stamping import is_trusted
from gateway.contract.visit import Ending

PROFILES = load_profiles()
SENSOR, METER = PROFILES["generic/health-sensor"], PROFILES["isens/caresens"]
NOW = datetime(2026, 3, 14, 7, 5, 9, tzinfo=UTC)
MADE = NOW - timedelta(hours=12)
SPO2 = Measured(150456, 544, Decimal(97))

# Flags of Elapsed Time: UTC, offset used, current timeline (protocols.md, 9).
IS_UTC, HAS_OFFSET, IS_CURRENT = 0x02, 0x10, 0x20


def elapsed(moment: datetime, flags: int, quarters: int = 0) -> ElapsedTime:
    seconds = int((moment.replace(tzinfo=None) - EPOCH).total_seconds())
    return ElapsedTime(flags | IS_CURRENT, seconds, 6, quarters)


def dated(clock: ElapsedTime, record: ElapsedTime) -> datetime:
    """When a stored observation is taken to have been made, by a visit that reads the sensor's clock."""
    sensor = HealthSensor()
    sensor.store(numeric(SPO2, record, 1))
    went = converse(
        SENSORS.open(UnitInfo(SENSOR)), HealthSensorPeer(sensor, {}, lambda: clock),
        Opened(NOW.timestamp()), deadline_s=SENSOR.deadline_s,
    )  # fmt: skip
    (told,), (shown,) = went.readings, went.clocks
    pair = ClockPair(shown.at, shown.shown)
    moment = moment_of(told, SENSOR, Arrival(NOW, ZoneInfo("Europe/Berlin"), False), pair)
    return datetime.fromisoformat(moment.utc)


LOCAL = timedelta(hours=-5)


@pytest.mark.parametrize("quarters", [4, -20, 23])
@pytest.mark.parametrize("told_by", ["both", "clock"])
def test_a_clock_in_utc_and_observations_in_utc_are_held_beside_each_other(
    quarters: int, told_by: str
) -> None:
    # Told as UTC beside observations in user's time, each was dated wrong by its offset (protocols.md, 9 and 11).
    clock = elapsed(NOW, IS_UTC | HAS_OFFSET, quarters)
    record = elapsed(MADE, IS_UTC | (HAS_OFFSET if told_by == "both" else 0), quarters)

    assert abs(dated(clock, record) - MADE) < timedelta(minutes=1)


def test_observations_in_local_time_are_held_beside_what_a_clock_in_utc_would_show() -> None:
    clock = elapsed(NOW, IS_UTC | HAS_OFFSET, -20)

    assert abs(dated(clock, elapsed(MADE + LOCAL, 0)) - MADE) < timedelta(minutes=1)


@pytest.mark.parametrize("flags", [0, IS_UTC])
def test_without_an_offset_both_stand_as_they_are(flags: int) -> None:
    assert abs(dated(elapsed(NOW, flags), elapsed(MADE, flags)) - MADE) < timedelta(minutes=1)


def test_a_status_bit_of_which_nobody_says_what_it_means_is_marked() -> None:
    told = replace(numeric(SPO2, None), status=0x20)

    made = sensors_reading(told, b"")

    assert made is not None
    assert STATUS_SET in made.marks
    assert made.context["status"] == "0x0020"
    plain = sensors_reading(replace(told, status=0), b"")
    assert plain is not None
    assert STATUS_SET not in plain.marks


def test_a_live_observation_that_comes_unasked_is_told() -> None:
    # A bonded sensor that remembers its subscription; nobody says that it keeps what it has told.
    packets = HealthSensor().live(numeric(SPO2, elapsed(MADE, 0), 1))
    unasked = [Received(1.0, "live", packet) for packet in packets]

    told = replay(
        SENSORS.open(UnitInfo(SENSOR)), [*unasked, Closed(2.0)], opened=Opened(0.0)
    )  # fmt: skip

    assert [one.parts["spo2"] for one in told.readings]


@pytest.mark.parametrize(
    ("zone", "dst"), [(None, timedelta()), (timedelta(hours=1), None), (None, None)]
)
def test_a_device_time_of_unknown_zone_shows_nothing(
    zone: timedelta | None, dst: timedelta | None
) -> None:
    # Zone -128, daylight saving 255, and what is reserved: all records would be off by a guess (protocols.md, 9).
    base = NOW.replace(tzinfo=None)

    assert DeviceTime(base, LocalTime(zone, dst), frozenset()).shown is None
    assert DeviceTime(base, LocalTime(zone, dst), frozenset(), base).shown == base


@pytest.mark.parametrize(
    ("octets", "empty"),
    [
        # As a BF788 sent 35 of them in one visit: basal metabolism, and zeros (protocols.md, 7.1: "drop stubs").
        ("9803000096230000000000000000", True),
        ("9803FFFF96230000000000000000", True),
        ("9803000000000000000000000000", True),
        ("0000000000", True),
        ("000800002607", True),
        # The scale says that it tried; it weighed, or measured an impedance.
        ("0600FFFFEA07030E07050901", False),
        ("00040000803E", False),
        ("00020000A811", False),
        ("9803C200DF1A9701CC2FCA21A811", False),
    ],
)
def test_a_stub_is_a_frame_in_which_nothing_was_measured(octets: str, *, empty: bool) -> None:
    assert decode_composition(bytes.fromhex(octets)).empty is empty


def test_a_flagged_octet_of_a_battery_status_that_is_cut_condemns_it() -> None:
    with pytest.raises(PeerError):
        decode_battery_status(bytes.fromhex("040100"))
    assert decode_battery_status(bytes.fromhex("04010005")).level is None


@pytest.mark.parametrize(
    "octets", [b"5181100001", b"5181100001\0", b"5181100001\0\0BLE\xff", b"\0 5181100001 "]
)
def test_what_stands_behind_the_end_of_a_text_names_no_other_device(octets: bytes) -> None:
    assert decode_text(octets) == "5181100001"


@pytest.mark.parametrize("offset", ["FF7F", "0080"], ids=["overrun", "underrun"])
@pytest.mark.parametrize("has_pair", [True, False])
def test_a_record_whose_users_time_is_out_of_reach_is_named_and_not_dated(
    offset: str, *, has_pair: bool
) -> None:
    # Base time and offset give user's time; an overrun says that it is not known (protocols.md, 3 and 13.7).
    raw = bytes.fromhex(f"031800EA07030D060509{offset}65B011")
    told = meters_reading(decode_measurement(raw), raw)
    pair = ClockPair(NOW.timestamp(), NOW.replace(tzinfo=None)) if has_pair else None

    moment = moment_of(told, METER, Arrival(NOW, ZoneInfo("UTC")), pair)

    assert (moment.known, moment.utc) == (False, "2026-03-14T07:05:09.000Z")
    assert is_trusted(told, METER)
    assert moment_of(replace(told, marks=frozenset()), METER, Arrival(NOW, ZoneInfo("UTC")), pair).known  # fmt: skip


KETONE, ITS_CONTEXT = bytes.fromhex("1B0200EA07011C0B1209000008B0110000"), bytes.fromhex("02020006")
GLUCOSE = bytes.fromhex("0B0100EA07011C0B011C000075B0110000")


@dataclass
class LateContext:
    """A meter of i-SENS that tells the context of its last record behind the answer to the report, or hangs up instead."""

    behind: Iterable[tuple[str, bytes]] = (("context", ITS_CONTEXT),)
    asked: list[str] = field(default_factory=list[str])

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Read("manufacturer"):
                yield Received(0.0, "manufacturer", b"i-SENS")
            case Read():
                yield Refused(0.0, command, 0x0A)
            case Write("racp", data):
                yield from self._answer(racp.decode_request(data))
            case _:
                pass

    def _answer(self, request: racp.Request) -> Iterable[Received]:
        self.asked.append(f"{request.op:d}")
        if request.op == racp.Op.COUNT:
            yield Received(0.0, "racp", racp.encode_answer(racp.Counted(2)))
            return
        yield Received(0.0, "measurement", GLUCOSE)
        yield Received(0.0, "measurement", KETONE)
        answer = racp.Answer(request.op, racp.Outcome.SUCCESS)
        yield Received(0.0, "racp", racp.encode_answer(answer))
        yield from (Received(0.0, channel, data) for channel, data in self.behind)


def visited(meter: LateContext) -> Played:
    return converse(
        METERS.open(UnitInfo(METER)), meter, Opened(0.0), deadline_s=METER.deadline_s
    )  # fmt: skip


def test_a_context_behind_the_answer_says_what_its_record_is_of() -> None:
    told = visited(LateContext())

    assert [one.kind for one in told.readings] == ["glucose", "ketone"]
    assert told.cursor is not None
    assert told.ending is Ending.FINISHED


def test_a_context_that_never_comes_is_not_waited_for_long() -> None:
    told = visited(LateContext(behind=()))

    assert [one.sequence for one in told.readings] == [1]
    assert (told.cursor, told.ending) == (None, Ending.PEER)


def test_what_is_decided_is_told_when_the_meter_hangs_up_instead() -> None:
    meter = LateContext()
    events: list[Event] = []
    at = 0.0
    for command in (Read("manufacturer"), Write("racp", b"\4\1"), Write("racp", b"\1\1")):
        for one in meter.hear(command):
            if isinstance(one, Received) and one.channel != "context":
                at += 0.1
                events.append(replace(one, at=at))
    # Facts that it doesn't have, and gaps that its profile asks for, pass meanwhile.
    told = replay(
        METERS.open(UnitInfo(replace(METER, channels=_without_facts(), settle_s=0.0))),
        [*events, Closed(at + LATE_CONTEXT_S / 2)],
        opened=Opened(0.0),
    )  # fmt: skip

    assert [one.sequence for one in told.readings] == [1]
    assert told.cursor is None


def _without_facts() -> dict[str, object]:
    kept = ("measurement", "context", "racp", "manufacturer")
    return {name: METER.channels[name] for name in kept}
