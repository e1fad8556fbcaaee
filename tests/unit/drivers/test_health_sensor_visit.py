"""Visits to a generic health sensor: stored observations once, live ones at once, and what a sensor that numbers anew costs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

import drivers.gatt.health_sensor.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt.health_sensor.codec import Class, Measured, Observation, numeric
from drivers.gatt.health_sensor.session import Cursor
from drivers.gatt.health_sensor.session import cursor as read_cursor
from drivers.gatt.health_sensor.sim import HealthSensor, HealthSensorPeer, Manners
from drivers.gatt.health_sensor.values import ElapsedTime, time_of
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
from gateway.model.quantity import Quantity

ANY = load_profiles()["generic/health-sensor"]
NOON = datetime(2026, 3, 14, 12)


def spo2(value: int, minute: int | None = 0) -> Observation:
    time = None if minute is None else time_of(NOON + timedelta(minutes=minute))
    return numeric(Measured(150456, 544, Decimal(value)), time, patient=1)


@dataclass
class Bed:
    """A sensor that is visited, and what is kept of it."""

    sensor: HealthSensor = field(default_factory=HealthSensor)
    cursor: str | None = None
    told: list[Reading] = field(default_factory=list[Reading])

    def store(self, *values: int) -> "Bed":
        for value in values:
            self.sensor.store(spo2(value, len(self.sensor.records)))
        return self

    def peer(self) -> HealthSensorPeer:
        return HealthSensorPeer(self.sensor, {}, lambda: time_of(NOON))

    def visit(self, peer: Peer | None = None) -> Played:
        session = driver.DRIVER.open(UnitInfo(ANY, self.cursor))
        went = converse(session, peer or self.peer(), Opened(0.0), deadline_s=ANY.deadline_s)
        self.cursor = went.cursor or self.cursor
        self.told += went.readings
        return went


@dataclass
class Live:
    """A sensor that observes so many things while it is asked for what it stored, or loses its last packet."""

    inner: HealthSensorPeer
    sensor: HealthSensor
    live: list[Observation] = field(default_factory=list[Observation])
    cut: bool = False

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            stored = isinstance(answer, Received) and answer.channel == "stored"
            if stored and self.cut:
                self.cut = False
                continue
            yield answer
        if command == Write("control", b"\x01"):
            for one in self.live:
                for packet in self.sensor.live(one):
                    yield Received(0.0, "live", packet)


def values(readings: list[Reading]) -> list[int]:
    parts = [one.parts["spo2"] for one in readings]
    return [int(part.number) for part in parts if isinstance(part, Quantity)]


def asked(went: Played, channel: str) -> list[str]:
    return [c.data.hex() for c in went.performed if isinstance(c, Write) and c.channel == channel]


def test_what_is_stored_is_told_once() -> None:
    bed = Bed().store(95, 96)
    bed.visit()
    bed.visit()
    bed.store(97).visit()
    assert values(bed.told) == [95, 96, 97]
    assert [one.slot for one in bed.told] == ["1", "1", "1"]


def test_it_asks_with_numbers_of_four_octets_from_the_last_known_on() -> None:
    bed = Bed().store(95, 96)
    bed.visit()
    assert asked(bed.visit(), "racp") == ["04030102000000", "07030102000000"]


def test_live_observations_are_switched_on_and_off_again() -> None:
    assert asked(Bed().visit(), "control") == ["01", "02"]


def test_a_live_observation_goes_to_disk_by_itself_before_what_is_stored() -> None:
    bed = Bed().store(95)
    went = bed.visit(Live(bed.peer(), bed.sensor, [spo2(90, 99), spo2(91, 100)]))
    assert [values(list(commit)) for commit in went.commits] == [[90], [91], [95]]


def test_what_is_observed_live_and_stored_too_is_told_once() -> None:
    bed = Bed(HealthSensor(Manners(live=True))).store(95)
    assert values(list(bed.visit().readings)) == [95]


def test_an_observation_reads_alike_whether_told_live_or_from_memory() -> None:
    live = Bed().visit(Live(Bed().peer(), HealthSensor(), [spo2(95)])).readings
    stored = Bed().store(95).visit().readings

    assert stored[0].context["record"] == "1"
    bare = [replace(one, context={}, raw=b"") for one in (*live, *stored)]
    assert bare[0] == replace(bare[1], taken=bare[0].taken, pushed=True)


def test_a_sensor_that_numbers_anew_is_read_from_its_beginning() -> None:
    bed = Bed().store(95, 96, 97)
    bed.visit()
    bed.sensor = HealthSensor()
    bed.store(85, 86, 87)
    assert values(list(bed.visit().readings)) == [85, 86, 87]


@pytest.mark.parametrize("manners", [Manners(combined=False), Manners(filters=False)])
def test_a_sensor_that_knows_less_is_read_all_the_same(manners: Manners) -> None:
    bed = Bed(HealthSensor(manners)).store(95, 96)
    bed.visit()
    bed.store(97).visit()
    assert values(bed.told) == [95, 96, 97]


def test_a_lost_packet_costs_no_other_observation_and_the_cursor_stays() -> None:
    bed = Bed().store(95, 96, 97)
    went = bed.visit(Live(bed.peer(), bed.sensor, cut=True))
    assert went.ending is Ending.PEER
    assert values(list(went.readings)) == [96, 97]
    assert bed.cursor is None
    assert values(list(bed.visit().readings)) == [95, 96, 97]


def test_what_has_no_time_waits_for_a_report_that_is_whole() -> None:
    bed = Bed().store(95)
    bed.sensor.store(spo2(90, None))
    assert values(list(bed.visit(Live(bed.peer(), bed.sensor, cut=True)).readings)) == []
    assert values(list(bed.visit().readings)) == [95, 90]


def test_what_we_have_no_kind_for_is_passed_over() -> None:
    bed = Bed().store(95)
    bed.sensor.store(numeric(Measured(160220, 544, Decimal("5.4")), time_of(NOON)))
    went = bed.visit()
    assert went.ending is Ending.FINISHED
    assert values(list(went.readings)) == [95]


def test_a_blood_pressure_that_makes_no_sense_costs_no_other() -> None:
    bed = Bed().store(95)
    bed.sensor.store(Observation(Class.COMPOUND, 150020, time_of(NOON), (Measured(1, 1, Decimal(1)),)))  # fmt: skip
    went = bed.visit()
    assert went.ending is Ending.PEER
    assert values(list(went.readings)) == [95]


def test_its_clock_is_told_beside_the_boxs() -> None:
    (clock,) = Bed().visit().clocks
    assert clock.shown == NOON


def test_a_counter_of_ticks_is_no_clock() -> None:
    bed = Bed()
    peer = HealthSensorPeer(bed.sensor, {}, lambda: ElapsedTime(0x21, 5))
    assert bed.visit(peer).clocks == []


@pytest.mark.parametrize("text", [None, "", "g1:5:aa", "h1:x:aabbccddeeff"])
def test_a_cursor_of_another_driver_asks_for_all(text: str | None) -> None:
    assert read_cursor(text) is None


def test_a_cursor_is_read_as_it_was_written() -> None:
    one = Cursor(4_000_000_000, "aabbccddeeff")
    assert read_cursor(str(one)) == one
