"""Visits to a thermometer: what is told, what is taken for fresh, and what happens to a reading when something else fails."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import drivers.gatt.thermometer.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt.thermometer.session import DRIVER, PARTING_S
from edge.timekeeping import Arrival, moment_of
from gateway.contract.capture import parse
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Opened,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.unreadable import UnreadableError
from gateway.contract.visit import Ending

CAPTURES = Path(driver.__file__).parent / "captures"
PROFILES = load_profiles()
ANY, AANDD = PROFILES["generic/thermometer"], PROFILES["aandd/ut-201ble"]
AT = 1773443222.0  # 2026-03-13T23:07:02Z
TIMELESS = bytes.fromhex("05df0300ff06")
STAMPED = bytes.fromhex("07d80300ffea07030e07050906")
SITELESS = bytes.fromhex("006e0100ff")
RISING = bytes.fromhex("00600100ff")
CLOCK = bytes.fromhex("ea07030e070702068000")


class Thermometer:
    """Answers reads from `values`, and tells `frames` (channel, octets) upon the subscription to its measurement."""

    def __init__(
        self,
        values: dict[str, bytes] | None = None,
        frames: Iterable[tuple[str, bytes]] = (),
        *,
        early: Iterable[bytes] = (),
        refuses: Iterable[str] = (),
    ) -> None:
        self.values, self.frames = values or {}, list(frames)
        self.early, self.refuses = list(early), set(refuses)

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        while self.early:
            yield Received(0.0, "measurement", self.early.pop(0))
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Read():
                yield Refused(0.0, command, 0x0A)
            case Subscribe(channel) | Write(channel) if channel in self.refuses:
                yield Refused(0.0, command, 0x03)
            case Subscribe("measurement"):
                yield from (Received(0.0, channel, octets) for channel, octets in self.frames)
            case _:
                pass


def visited(thermometer: Thermometer, profile: Profile = ANY) -> Played:
    session = DRIVER.open(UnitInfo(profile, zone_offset_s=8 * 3600))
    return converse(session, thermometer, Opened(AT), deadline_s=profile.deadline_s)


def told_by(*frames: bytes) -> list[tuple[str, bytes]]:
    return [("measurement", frame) for frame in frames]


def test_every_indication_is_a_commit_of_its_own() -> None:
    told = visited(Thermometer({"current_time": CLOCK}, told_by(TIMELESS, STAMPED)))

    assert [len(commit) for commit in told.commits] == [1, 1]
    assert [str(r.parts["temperature"].number) for r in told.readings] == ["99.1", "98.4"]  # type: ignore[union-attr]
    assert (told.ending, told.told_all) == (Ending.FINISHED, True)


def test_a_rising_temperature_is_never_a_reading() -> None:
    told = visited(Thermometer({}, [("intermediate", RISING)] * 3))

    assert told.readings == []
    assert Subscribe("intermediate") in told.performed


def test_the_site_that_never_changes_is_read_before_it_is_needed() -> None:
    told = visited(Thermometer({"temperature_type": b"\x09"}, told_by(SITELESS)))

    assert told.readings[0].context == {"site": "tympanum"}
    assert told.performed.index(Read("temperature_type")) < told.performed.index(
        Subscribe("measurement")
    )


@pytest.mark.parametrize("octets", [b"", b"\x01"])
def test_the_interval_is_told_where_it_can_be_read(octets: bytes) -> None:
    assert visited(Thermometer({"measurement_interval": octets})).facts == [{}]
    told = visited(Thermometer({"measurement_interval": b"\x3c\x00"}))
    assert told.facts == [{"measurement_interval_s": "60"}]


def test_what_a_thermometer_with_a_clock_tells_without_a_time_comes_from_its_memory() -> None:
    told = visited(Thermometer({"current_time": CLOCK}, told_by(TIMELESS, STAMPED)))

    assert [r.pushed for r in told.readings] == [False, True]


@pytest.mark.parametrize("profile", [ANY, PROFILES["beurer/ft95"]])
def test_what_a_thermometer_without_a_clock_tells_may_be_fresh(profile: Profile) -> None:
    told = visited(Thermometer({}, told_by(TIMELESS), refuses=["current_time"]), profile)

    assert [r.pushed for r in told.readings] == [True]


def heard_at(*told: tuple[float, str, bytes]) -> Played:
    """Events after the subscription of a thermometer that has a clock, and nothing else that its profile names."""
    channels = {
        name: ANY.channels[name] for name in ("measurement", "intermediate", "current_time")
    }
    start = [Received(AT, "current_time", CLOCK)]
    events = [Received(AT + after_s, channel, octets) for after_s, channel, octets in told]
    session = DRIVER.open(UnitInfo(replace(ANY, channels=channels)))
    return replay(session, [*start, *events, Closed(AT + 60)], opened=Opened(AT))


def test_a_measurement_that_was_seen_in_the_making_needs_no_time_stamp() -> None:
    told = heard_at(
        (1.0, "intermediate", RISING), (1.5, "intermediate", RISING), (2.2, "measurement", TIMELESS),
        (2.3, "measurement", TIMELESS),
    )  # fmt: skip

    first, second = told.readings
    assert first.pushed
    assert first.within_s == pytest.approx(0.7)
    assert (second.pushed, second.within_s) == (False, None)


@pytest.mark.parametrize(
    "measuring_s",
    [(0.9,), (0.9, 1.1), (0.9, 1.3)],
    ids=["before", "between", "behind the first"],
)
def test_what_is_stored_is_not_taken_for_what_is_being_measured(
    measuring_s: tuple[float, ...],
) -> None:
    # One that measures meanwhile tells what it stored first, without a time: an old fever is not dated today.
    rising = [(after_s, "intermediate", RISING) for after_s in measuring_s]
    stored = [
        (1.0, "measurement", TIMELESS),
        (1.2, "measurement", TIMELESS),
        (1.4, "measurement", TIMELESS),
    ]

    told = heard_at(*sorted([*rising, *stored]))

    assert [(one.pushed, one.within_s) for one in told.readings] == [(False, None)] * 3


def test_a_stored_fever_without_a_time_is_known_to_be_of_unknown_time() -> None:
    capture = parse((CAPTURES / "fahrenheit_stored.jsonl").read_text().splitlines())
    stored, fresh, lost = replay(DRIVER.open(UnitInfo(ANY)), capture.heard).readings
    arrival = Arrival(datetime(2026, 3, 14, 7, 5, 12, tzinfo=UTC), ZoneInfo("UTC"))

    moments = [moment_of(one, ANY, arrival, None) for one in (stored, fresh, lost)]

    assert [moment.known for moment in moments[:2]] == [False, True]
    assert moments[1].utc == "2026-03-14T07:05:09.000Z"
    assert (stored.pushed, lost.parts, lost.marks) == (
        False,
        {},
        frozenset({"not_available:temperature"}),
    )


@pytest.mark.parametrize("refuses", [[], ["current_time"]])
def test_the_clock_is_set_before_the_subscription_and_need_not_take_it(refuses: list[str]) -> None:
    told = visited(Thermometer({"current_time": CLOCK}, told_by(STAMPED), refuses=refuses))

    write = Write("current_time", bytes.fromhex("ea07030e070702060001"))
    assert told.performed.index(write) < told.performed.index(Subscribe("measurement"))
    assert len(told.readings) == 1


def test_aandds_clock_stands_in_the_thermometer_service() -> None:
    told = visited(Thermometer({}, told_by(STAMPED)), AANDD)

    assert Write("date_time", bytes.fromhex("ea07030e070702")) in told.performed


def test_an_indication_that_comes_before_it_is_asked_for_is_kept() -> None:
    told = visited(Thermometer({}, told_by(STAMPED), early=[TIMELESS]))

    assert [r.raw for r in told.readings] == [TIMELESS, STAMPED]


def test_a_link_that_closes_at_once_keeps_what_was_told() -> None:
    heard = [Received(AT, "measurement", STAMPED), Closed(AT + 0.01)]

    told = replay(DRIVER.open(UnitInfo(ANY)), heard, opened=Opened(AT))

    assert [r.raw for r in told.readings] == [STAMPED]


def test_a_refused_subscription_is_not_taken_for_no_news() -> None:
    told = visited(Thermometer({}, refuses=["measurement"]))

    assert told.ending is Ending.PEER
    assert "0x03" in str(told.error)


def test_a_thermometer_without_intermediate_values_is_read_all_the_same() -> None:
    told = visited(Thermometer({}, told_by(STAMPED), refuses=["intermediate"]))

    assert len(told.readings) == 1


def test_a_cut_indication_costs_itself_only_and_the_visit_fails_with_it_at_its_end() -> None:
    told = visited(Thermometer({}, told_by(STAMPED, STAMPED[:9], TIMELESS)))

    assert [r.raw for r in told.readings] == [STAMPED, TIMELESS]
    assert told.ending is Ending.PEER
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == [STAMPED[:9]]


def test_one_that_measures_without_end_is_left_before_the_deadline() -> None:
    heard = [Received(AT + n, "measurement", SITELESS) for n in range(1, 300)]

    told = replay(DRIVER.open(UnitInfo(ANY)), heard, opened=Opened(AT))

    assert (told.ending, told.told_all) == (Ending.FINISHED, False)
    assert ANY.deadline_s - 2 * PARTING_S < len(told.readings) <= ANY.deadline_s


def test_the_published_example_of_an_object_is_marked() -> None:
    capture = parse((CAPTURES / "ft95_object.jsonl").read_text().splitlines())

    (told,) = replay(DRIVER.open(UnitInfo(PROFILES["beurer/ft95"])), capture.heard).readings

    assert told.marks == {"reserved_site"}
    assert json.dumps(dict(told.context)) == '{"site": "reserved_255"}'


def test_gaps_are_kept_around_the_clocks_write() -> None:
    profile = replace(AANDD, channels={n: AANDD.channels[n] for n in ("measurement", "date_time")})

    told = visited(Thermometer({}, told_by(STAMPED)), profile)

    assert [type(c) for c in told.performed] == [Read, Write, Subscribe]
