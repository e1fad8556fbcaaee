"""Visits to an oximeter: what it stored, what it measures live, what is told twice, and what a broken download costs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import drivers.gatt.heart_rate.session as strap
import drivers.gatt.pulse_oximeter.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.pulse_oximeter.codec import Features, encode_features
from drivers.gatt.pulse_oximeter.sim import OximeterMemory, OximeterPeer, second, spot_check
from drivers.gatt.pulse_oximeter.subject import FACTS
from gateway.contract.capture import parse
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Opened,
    Peer,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity

SESSIONS: dict[str, dict[str, Any]] = {
    session["id"]: session
    for session in json.loads(
        (Path(__file__).parents[2] / "vectors" / "gatt_streams.json").read_text()
    )["sessions"]
}
PROFILES = load_profiles()
ANY, PM100 = PROFILES["generic/pulse-oximeter"], PROFILES["medisana/pm100"]
AT = 1773443222.0
NOON = datetime(2026, 3, 14, 12)
DEAD = datetime(2000, 1, 1, 0, 0, 3)
MEMORY = 200


def frame(spo2: int, at: datetime | None = NOON, pulse: int = 70) -> bytes:
    parts = {"spo2": Quantity(Decimal(spo2), "%"), "pulse_rate": Quantity(Decimal(pulse), "/min")}
    return spot_check(parts, None if at is None else stored(at), stored=True)


def memory(*frames: bytes) -> OximeterMemory:
    made = OximeterMemory(MEMORY)
    for one in frames:
        made.store(one)
    return made


def visited(peer: Peer, cursor: str | None = None, profile: Profile = ANY) -> Played:
    session = driver.DRIVER.open(UnitInfo(profile, cursor))
    return converse(session, peer, Opened(AT), deadline_s=profile.deadline_s)


def spo2(played: Played) -> list[str]:
    return [str(one.parts["spo2"].number) for one in played.readings]  # type: ignore[union-attr]


def test_the_published_session_gives_what_it_says() -> None:
    session = SESSIONS["ses-plx-spot"]
    captures = Path(driver.__file__).parent / "captures"
    capture = parse((captures / "stored_then_live.jsonl").read_text().splitlines())

    told = replay(driver.DRIVER.open(UnitInfo(ANY)), capture.heard)

    assert [
        (one.parts["spo2"].number, one.parts["pulse_rate"].number, one.taken, not one.pushed)  # type: ignore[union-attr]
        for one in told.readings
    ] == [
        (
            row["pct"],
            row["pulse_rate_bpm"],
            datetime.fromisoformat(row["time"]),
            row.get("stored", False),
        )
        for row in session["result"]["readings"]
    ]
    assert told.ending is Ending.FINISHED


@pytest.mark.parametrize(
    ("capture", "session"),
    [
        ("strap_contact_lost.jsonl", "ses-hr-polar-rr"),
        ("watch_searching.jsonl", "ses-hr-garmin-like"),
    ],
)
def test_the_published_heart_rates_are_all_in_the_summaries(capture: str, session: str) -> None:
    captures = Path(strap.__file__).parent / "captures"
    heard = parse((captures / capture).read_text().splitlines()).heard

    told = replay(strap.DRIVER.open(UnitInfo(PROFILES["generic/heart-rate"])), heard)

    wanted = SESSIONS[session]["result"]["readings"]
    assert sum(int(one.context["window_valid"]) for one in told.readings) == len(wanted)
    rates = [row["bpm"] for row in wanted]
    highest = [one.parts["heart_rate_highest"].number for one in told.readings]  # type: ignore[union-attr]
    assert max(highest) == max(rates)
    intervals = sum(int(one.context.get("window_rr_intervals", 0)) for one in told.readings)
    assert intervals == sum(len(row.get("rr_1_1024s", [])) for row in wanted)


def test_a_pm100_tells_two_values_and_nothing_of_the_finger_that_left() -> None:
    frames = ["1C62004000200020000022F0", "1C60004900200024000023F0",
              "1C00000000000020080000F0", "1C61000000000020080000F0"]  # fmt: skip
    refused = [Refused(AT, Read(name)) for name, at in PM100.channels.items() if at.optional]
    heard = [
        Received(AT + turn, "continuous", bytes.fromhex(one)) for turn, one in enumerate(frames)
    ]

    told = replay(driver.DRIVER.open(UnitInfo(PM100)), [*refused, *heard], opened=Opened(AT))

    (one,) = told.readings
    assert one.parts["spo2_lowest"] == Quantity(Decimal(96), "%")
    assert one.parts["spo2_highest"] == Quantity(Decimal(98), "%")
    assert one.parts["pulse_rate_lowest"] == Quantity(Decimal(64), "/min")
    assert one.context["window_valid"] == "2"


def test_all_that_is_stored_is_told_in_one_commit_with_its_cursor() -> None:
    told = visited(OximeterPeer(memory(frame(95), frame(96, NOON + timedelta(hours=1))), FACTS))

    assert spo2(told) == ["95", "96"]
    assert len(told.commits) == 1
    assert told.cursor is not None
    assert not any(one.pushed for one in told.readings)


def test_what_was_told_is_not_told_again() -> None:
    held = memory(frame(95), frame(93, DEAD), frame(94, None))
    first = visited(OximeterPeer(held, FACTS))
    held.store(frame(96, NOON + timedelta(hours=1)))

    again = visited(OximeterPeer(held, FACTS), first.cursor)

    assert spo2(first) == ["95", "93", "94"]
    assert spo2(again) == ["96"]


def test_equal_records_without_a_time_are_different_measurements() -> None:
    held = memory(frame(95, None))
    first = visited(OximeterPeer(held, FACTS))
    held.store(frame(95, None))
    assert spo2(visited(OximeterPeer(held, FACTS), first.cursor)) == ["95"]


def test_a_full_memory_that_forgot_its_oldest_is_known_again() -> None:
    first = visited(OximeterPeer(memory(frame(91, None), frame(92, None), frame(93, None)), FACTS))
    later = memory(frame(92, None), frame(93, None), frame(94, None))
    assert spo2(visited(OximeterPeer(later, FACTS), first.cursor)) == ["94"]


def test_a_device_that_tells_its_newest_first_is_known_again() -> None:
    held = memory(frame(91, None), frame(92, None))
    first = visited(OximeterPeer(held, FACTS, newest_first=True))
    held.store(frame(93, None))
    assert spo2(visited(OximeterPeer(held, FACTS, newest_first=True), first.cursor)) == ["93"]


def test_a_memory_that_was_erased_is_told_whole() -> None:
    first = visited(OximeterPeer(memory(frame(91), frame(92)), FACTS))
    assert spo2(visited(OximeterPeer(memory(frame(97, NOON)), FACTS), first.cursor)) == ["97"]


def test_nothing_new_moves_no_cursor() -> None:
    held = memory(frame(91))
    first = visited(OximeterPeer(held, FACTS))
    again = visited(OximeterPeer(held, FACTS), first.cursor)
    assert (again.readings, again.cursor) == ([], None)


def test_it_asks_for_nothing_that_it_has_not_and_deletes_nothing() -> None:
    told = visited(OximeterPeer(memory(frame(91)), FACTS))
    asked = [one.data for one in told.performed if isinstance(one, Write)]
    assert asked == [b"\x04\x01", b"\x01\x01"]


def test_a_device_without_a_memory_is_asked_for_none() -> None:
    values = {**FACTS, "features": encode_features(Features(0x03, 0x20, 0x800))}
    told = visited(OximeterPeer(memory(), values, [second(97, 70)] * 5))
    assert not any(isinstance(one, Write) for one in told.performed)
    assert told.readings[0].context["window_samples"] == "5"


@dataclass
class Broken:
    """Tells some of what it announced, then falls silent; or refuses its control point."""

    records: Sequence[bytes]
    refuses: bool = False
    features: bool = True
    stream: Sequence[bytes] = field(default_factory=list[bytes])

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Subscribe(racp.CHANNEL) if self.refuses:
                yield Refused(0.0, command, 0x0A)
            case Subscribe("continuous"):
                yield from (Received(2.0 + n, "continuous", f) for n, f in enumerate(self.stream))
            case Subscribe():
                pass
            case Read("features") if self.features:
                yield Received(0.0, "features", encode_features(Features(0x04)))
            case Write(racp.CHANNEL, b"\x04\x01"):
                yield Received(0.0, racp.CHANNEL, b"\x05\x00\x09\x00")
            case Write(racp.CHANNEL, b"\x01\x01"):
                yield from (Received(0.0, "spot_check", one) for one in self.records)
            case _:
                yield Refused(0.0, command, 0x0A)


def test_a_download_that_breaks_off_tells_what_names_itself_and_leaves_the_cursor() -> None:
    told = visited(Broken([frame(95), frame(93, DEAD)]))
    assert spo2(told) == ["95"]
    assert told.cursor is None
    assert told.ending is Ending.PEER


def test_a_download_that_breaks_off_costs_no_stream() -> None:
    told = visited(Broken([], stream=[second(97, 70)] * 40))
    assert [one.context["window_valid"] for one in told.readings] == ["40"]
    assert told.ending is Ending.PEER


def test_a_device_that_says_nothing_of_a_memory_and_has_no_control_point_is_no_trouble() -> None:
    told = visited(Broken([], refuses=True, features=False, stream=[second(97, 70)] * 4))
    assert [one.context["window_valid"] for one in told.readings] == ["4"]
    assert told.ending is Ending.FINISHED


def test_a_link_that_is_lost_in_a_download_tells_what_names_itself() -> None:
    refused = [Refused(AT, Read(name)) for name in (*FACTS, "current_time", "features")]
    told = replay(
        driver.DRIVER.open(UnitInfo(ANY)),
        [
            *refused,
            Received(AT + 1, racp.CHANNEL, b"\x05\x00\x02\x00"),
            Received(AT + 2, "spot_check", frame(95)),
            Received(AT + 3, "spot_check", frame(94, None)),
            Closed(AT + 4, "out of reach"),
        ],
        opened=Opened(AT),
    )
    assert spo2(told) == ["95"]
    assert told.cursor is None


def test_a_live_spot_check_that_comes_in_a_download_is_told_at_once_and_is_no_record() -> None:
    live = bytes.fromhex("0761004800EA07030E0705090001000000")
    refused = [Refused(AT, Read(name)) for name in (*FACTS, "current_time", "features")]
    told = replay(
        driver.DRIVER.open(UnitInfo(ANY)),
        [
            *refused,
            Received(AT + 1, racp.CHANNEL, b"\x05\x00\x01\x00"),
            Received(AT + 2, "spot_check", live),
            Received(AT + 3, "spot_check", frame(95)),
            Received(AT + 4, racp.CHANNEL, b"\x06\x00\x01\x01"),
        ],
        opened=Opened(AT),
    )
    assert [(one.pushed, len(commit)) for commit in told.commits for one in commit] == [
        (True, 1),
        (False, 1),
    ]
    assert told.ending is Ending.FINISHED


def test_a_spot_check_that_cannot_be_read_costs_no_other_and_is_named() -> None:
    refused = [Refused(AT, Read(name)) for name in (*FACTS, "current_time")]
    told = replay(
        driver.DRIVER.open(UnitInfo(ANY)),
        [
            *refused,
            Received(AT + 0.1, "features", encode_features(Features(0x01, 0x20))),
            Received(AT + 1, "spot_check", b"\x01\x61"),
            Received(AT + 2, "spot_check", bytes.fromhex("0061004800")),
        ],
        opened=Opened(AT),
    )
    assert spo2(told) == ["97"]
    assert told.ending is Ending.PEER
    assert "0161" in str(told.error)
