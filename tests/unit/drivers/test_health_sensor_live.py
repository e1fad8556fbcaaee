"""Live observations of a health sensor: told as made just now, each once, whatever its neighbours on the air suffer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import drivers.gatt.health_sensor.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt.health_sensor.codec import (
    Class,
    Measured,
    Observation,
    decode,
    encode,
    numeric,
    segments,
)
from drivers.gatt.health_sensor.sim import HealthSensor, HealthSensorPeer
from drivers.gatt.health_sensor.terms import reading
from drivers.gatt.health_sensor.values import ElapsedTime, time_of
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Closed,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Report,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.unreadable import UnreadableError
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity

ANY = load_profiles()["generic/health-sensor"]
NOON = time_of(datetime(2026, 3, 14, 12))
SPO2, PULSE = Measured(150456, 544, Decimal(82)), Measured(149530, 2720, Decimal(121))


@dataclass
class Telling:
    """A sensor that tells these packets, so long after live observations are switched on."""

    packets: Sequence[bytes]
    after_s: float
    sensor: HealthSensor = field(default_factory=HealthSensor)

    def __post_init__(self) -> None:
        self._inner = HealthSensorPeer(self.sensor, {}, lambda: NOON)

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        if command == Write("control", b"\x01"):
            for packet in self.packets:
                yield Received(self.after_s, "live", packet)
        yield from self._inner.hear(command)


def visited(*packets: bytes, sensor: HealthSensor | None = None, after_s: float = 0.0) -> Played:
    session = driver.DRIVER.open(UnitInfo(ANY))
    peer = Telling(packets, after_s, sensor or HealthSensor())
    return converse(session, peer, Opened(0.0), deadline_s=ANY.deadline_s)


def cut(value: int, time: ElapsedTime | None = NOON) -> list[bytes]:
    told = numeric(Measured(150456, 544, Decimal(value)), time, patient=1)
    return list(segments(encode(told), 8))


def values(told: Played) -> list[int]:
    parts = [one.parts["spo2"] for one in told.readings]
    return [int(part.number) for part in parts if isinstance(part, Quantity)]


@pytest.mark.parametrize("time", [NOON, None, ElapsedTime(0x21, 5), ElapsedTime(0, 5)])
def test_what_is_told_live_was_made_just_now_also_where_no_clock_says_so(
    time: ElapsedTime | None,
) -> None:
    # Of an unknown time and from a memory it would be late, and never page.
    (told,) = visited(*cut(82, time)).readings

    assert told.pushed


def test_what_is_told_from_the_memory_was_not() -> None:
    sensor = HealthSensor()
    sensor.store(numeric(SPO2, NOON))

    (told,) = visited(sensor=sensor).readings

    assert not told.pushed


@pytest.mark.parametrize("place", range(len(cut(82))))
def test_a_segment_that_comes_twice_counts_once(place: int) -> None:
    packets = cut(82)

    told = visited(*packets[: place + 1], *packets[place:])

    assert told.ending is Ending.FINISHED
    assert values(told) == [82]


def test_an_observation_of_one_segment_that_has_no_time_is_another_each_time() -> None:
    (whole,) = segments(encode(numeric(SPO2, None)), 99)

    assert values(visited(whole, whole)) == [82, 82]


def test_a_torn_observation_costs_no_later_one_and_fails_the_visit() -> None:
    first, _, *rest = cut(82)

    told = visited(first, *rest, *cut(83))

    assert values(told) == [83]
    assert told.ending is Ending.PEER
    assert "before it" in str(told.error)


def test_a_torn_live_observation_is_no_doubt_about_what_is_stored() -> None:
    sensor = HealthSensor()
    sensor.store(numeric(SPO2, NOON))
    first, _, *rest = cut(83)

    told = visited(first, *rest, sensor=sensor)

    assert values(told) == [82]
    assert told.cursor is not None
    assert told.ending is Ending.PEER


def made(kind: int, *numbers: Measured) -> Observation:
    return Observation(Class.COMPOUND, kind, NOON, numbers)


def test_numbers_of_one_kind_that_are_told_together_are_one_reading() -> None:
    told = reading(made(150456, SPO2, PULSE), b"")

    assert told is not None
    assert told.kind == "pulse_oximetry"
    assert told.parts == {
        "spo2": Quantity(Decimal(82), "%"),
        "pulse_rate": Quantity(Decimal(121), "/min"),
    }


def test_a_control_solution_stays_one_in_a_compound() -> None:
    told = reading(made(1, Measured(160208, 2130, Decimal(40))), b"")

    assert told is not None
    assert "control" in told.marks


def test_a_pressure_that_is_told_alone_is_told() -> None:
    told = reading(numeric(Measured(150021, 3872, Decimal(190)), NOON), b"")

    assert told is not None
    assert told.kind == "blood_pressure"
    assert told.parts == {"systolic": Quantity(Decimal(190), "mmHg")}


@pytest.mark.parametrize(
    "beside", [Measured(1, 544, Decimal(1)), Measured(150364, 6048, Decimal(37)), SPO2]
)
def test_a_compound_that_is_known_in_part_is_a_fault_and_not_passed_over(beside: Measured) -> None:
    with pytest.raises(PeerError, match="other parts"):
        reading(made(150456, SPO2, beside), b"")


def test_a_compound_of_which_nothing_is_known_is_passed_over() -> None:
    assert reading(made(1, Measured(1, 1, Decimal(1))), b"") is None


def test_a_bundle_is_a_fault_since_nobody_says_what_measurements_it_holds() -> None:
    body = encode(numeric(SPO2, NOON))[3:]

    with pytest.raises(PeerError, match="bundle"):
        decode(bytes((Class.BUNDLE,)) + len(body).to_bytes(2, "little") + body)


def test_a_memory_that_can_not_be_read_keeps_nobody_from_hearing_what_is_observed_now() -> None:
    sensor = HealthSensor()
    sensor.store(numeric(replace(SPO2, value=Decimal(90)), NOON))
    sensor.store(made(150020, Measured(1, 1, Decimal(1))))
    told = visited(*cut(82), sensor=sensor, after_s=2.0)

    assert values(told) == [90, 82]
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert "other parts" in str(told.error)


def test_an_observation_of_one_segment_behind_a_torn_one_is_told_and_the_visit_fails() -> None:
    first, *_ = cut(83)
    (whole,) = segments(encode(numeric(SPO2, NOON)), 99, counter=5)

    told = visited(first, whole)

    assert values(told) == [82]
    assert told.ending is Ending.PEER
    assert "without its last" in str(told.error)


def test_an_observation_without_its_end_fails_the_visit_and_its_packets_are_kept() -> None:
    first, second, *_ = cut(83)

    told = visited(first, second)

    assert told.readings == []
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == [first, second]


def test_a_sensor_that_never_ends_an_observation_fills_no_memory() -> None:
    first, second, *_ = cut(83)
    empty = [bytes((n % 64 << 2,)) for n in range(2, 500)]

    again = visited(first, *[second] * 100)
    on = visited(first, second, *empty)

    assert isinstance(again.error, UnreadableError)
    assert [frame.data for frame in again.error.frames] == [first, second]
    assert isinstance(on.error, UnreadableError)
    assert [frame.data for frame in on.error.frames] == empty[-64:]


def test_all_packets_of_an_observation_that_can_not_be_read_are_kept_and_no_others() -> None:
    before, after = cut(82), cut(84)
    body = encode(made(150456, SPO2, Measured(1, 544, Decimal(1))))
    strange = list(segments(body, 8))

    told = visited(*before, *strange, *after)

    assert values(told) == [82, 84]
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == strange


# A clock that was never set and stands still, one that was reset since, and ticks.
UNNAMED = [ElapsedTime(0x20, 0), ElapsedTime(0, 5), ElapsedTime(0x21, 5)]


@pytest.mark.parametrize("time", UNNAMED)
def test_equal_records_of_a_time_that_names_nothing_are_as_many_as_their_numbers(
    time: ElapsedTime,
) -> None:
    sensor = HealthSensor()
    sensor.store(numeric(SPO2, time))
    sensor.store(numeric(SPO2, time))

    assert values(visited(sensor=sensor)) == [82, 82]


@pytest.mark.parametrize("time", UNNAMED)
def test_equal_live_observations_of_a_time_that_names_nothing_are_two_in_doubt(
    time: ElapsedTime,
) -> None:
    assert values(visited(*cut(82, time), *cut(82, time))) == [82, 82]


@pytest.mark.parametrize("time", [NOON, *UNNAMED])
@pytest.mark.parametrize("after_s", [0.0, 2.0])
def test_what_is_told_live_and_from_the_memory_is_told_once(
    time: ElapsedTime, after_s: float
) -> None:
    sensor = HealthSensor()
    observed = numeric(SPO2, time, patient=1)
    sensor.store(observed)

    assert values(visited(*segments(encode(observed)), sensor=sensor, after_s=after_s)) == [82]


def test_what_is_told_live_again_under_its_time_is_told_once() -> None:
    assert values(visited(*cut(82), *cut(82))) == [82]


@dataclass
class Unwilling:
    """A sensor that answers `told` where it is to observe, or refuses that anybody hears of it."""

    told: bytes = b"\x80"
    deaf: bool = False
    packets: Sequence[bytes] = ()

    def __post_init__(self) -> None:
        self._inner = HealthSensorPeer(HealthSensor(), {}, lambda: NOON)

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        if command == Write("control", b"\x01"):
            yield Received(0.0, "control", self.told)
            yield from (Received(1.0, "live", packet) for packet in self.packets)
        elif command == Subscribe("live") and self.deaf:
            yield Refused(0.0, command, 0x05)
        else:
            yield from self._inner.hear(command)


def met(peer: Unwilling) -> Played:
    return converse(driver.DRIVER.open(UnitInfo(ANY)), peer, Opened(0.0), deadline_s=ANY.deadline_s)


@pytest.mark.parametrize(
    ("peer", "why"),
    [
        (Unwilling(b"\x81"), "says 81"),
        (Unwilling(b"\x82"), "says 82"),
        (Unwilling(deaf=True), "is it paired"),
    ],
)
def test_a_sensor_that_tells_nothing_of_what_it_observes_is_no_success(
    peer: Unwilling, why: str
) -> None:
    told = met(peer)

    assert told.ending is Ending.PEER
    assert why in str(told.error)


def test_a_sensor_that_says_no_and_observes_all_the_same_is_a_success() -> None:
    told = met(Unwilling(b"\x81", packets=cut(82)))

    assert values(told) == [82]
    assert told.ending is Ending.FINISHED


def test_a_sensor_that_observes_without_end_is_left_before_the_deadline_and_told_so() -> None:
    times = (time_of(datetime(2026, 3, 14, 12) + timedelta(seconds=n)) for n in range(400))
    bodies = (encode(numeric(SPO2, time)) for time in times)
    beats = [Received(float(n), "live", packet) for n, body in enumerate(bodies) for packet in segments(body, 99)]  # fmt: skip

    @dataclass
    class Endless(Unwilling):
        def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
            yield from super().hear(command)
            yield from beats if command == Write("control", b"\x01") else ()

    told = met(Endless())

    assert told.ending is Ending.FINISHED
    assert told.performed[-1] == Write("control", b"\x02")
    assert [one.taken for one in told.readings] == [
        datetime(2026, 3, 14, 12) + timedelta(seconds=n) for n in range(291)
    ]


def test_what_is_observed_while_the_memory_goes_to_disk_is_told_where_the_link_breaks_then() -> (
    None
):
    spoken = {name: ANY.channels[name] for name in ("live", "stored", "racp")}
    session = driver.DRIVER.open(UnitInfo(replace(ANY, channels=spoken)))
    stored = (1).to_bytes(4, "little") + encode(numeric(SPO2, NOON))
    (packet,) = segments(stored, 99)
    (observed,) = segments(encode(numeric(replace(SPO2, value=Decimal(83)), NOON)), 99)
    heard = [("racp", b"\x05\0\x01\0\0\0"), ("stored", packet), ("racp", b"\x08\0\x01\0\0\0")]
    list(session.on(Opened(0.0)))
    for channel, data in heard:
        list(session.on(Received(0.0, channel, data)))

    told = [*session.on(Received(0.0, "live", observed)), *session.on(Closed(0.0, "gone"))]

    (reading,) = [one.reading for one in told if isinstance(one, Report)]
    assert reading.parts == {"spo2": Quantity(Decimal(83), "%")}
