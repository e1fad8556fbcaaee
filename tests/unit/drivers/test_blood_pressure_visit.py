"""Visits to a cuff: what is told, in which order, and what happens to a reading when something else fails."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

import drivers.gatt.blood_pressure.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt.device_information import FACTS
from drivers.gatt.introduction import ANSWER_S
from gateway.contract.capture import parse
from gateway.contract.profile import BleChannel, Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Command,
    Opened,
    Read,
    Received,
    Refused,
    ReportClock,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
)
from gateway.contract.unreadable import UNREADABLE_MAX, UnreadableError
from gateway.contract.visit import Clock, Ending

CAPTURES = Path(driver.__file__).parent / "captures"
PROFILES = load_profiles()
AANDD, GENERIC = PROFILES["aandd/ua-651ble"], PROFILES["generic/blood-pressure"]
NOW = datetime(2026, 3, 14, 7, 7, 2)
AT = 1773443222.0  # 2026-03-13T23:07:02Z
UNIT = UnitInfo(AANDD, zone_offset_s=8 * 3600)
FIRST = bytes.fromhex("168a0058006800ea07030d150e0244000400")
SECOND = bytes.fromhex("16830054006300ea07030e07061f47000000")
INFLATING = bytes.fromhex("008e00ff07ff07")


class Cuff:
    """Answers reads from `values`, refuses or keeps silent as told, and pushes `frames` upon the subscription."""

    def __init__(
        self,
        values: dict[str, bytes] | None = None,
        *,
        frames: Iterable[bytes] = (FIRST, SECOND),
        silent: Iterable[str] = (),
        early: dict[str, bytes] | None = None,
        refuses_subscription: int = 0,
    ) -> None:
        self.values, self.frames, self.silent = values or {}, list(frames), set(silent)
        self.early = early or {}
        self.refuses_subscription = refuses_subscription

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        if (early := self.early.pop(command.channel, None)) is not None:
            yield Received(0.0, "measurement", early)
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Read(channel) if channel not in self.silent:
                yield Refused(0.0, command, 0x0A)
            case Subscribe("measurement") if self.refuses_subscription:
                yield Refused(0.0, command, self.refuses_subscription)
            case Subscribe("measurement"):
                yield from (Received(0.0, "measurement", frame) for frame in self.frames)
            case _:
                pass


KNOWN = {
    "serial_number": b"5181100001\0",
    "model": b"UA-651BLE ",
    "manufacturer": b"A&D Medical",
    "firmware": b"BLP009_001",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "date_time": bytes.fromhex("ea07030e070702"),
}


def visited(cuff: Cuff, profile: Profile = AANDD) -> Played:
    session = driver.DRIVER.open(replace(UNIT, profile=profile))
    return converse(session, cuff, Opened(AT), deadline_s=profile.deadline_s)


def systolics(told: Played) -> list[str]:
    return [str(reading.parts["systolic"].number) for reading in told.readings]  # type: ignore[union-attr]


def test_a_cuff_says_who_it_is_and_what_its_clock_shows_before_it_is_heard() -> None:
    told = visited(Cuff(KNOWN))

    assert told.facts == [
        {
            "serial_number": "5181100001",
            "model": "UA-651BLE",
            "manufacturer": "A&D Medical",
            "firmware": "BLP009_001",
            "system_id": "debc9afeff563412",
        }
    ]
    assert [clock.shown for clock in told.clocks] == [NOW]
    kinds = [type(command) for command in told.performed]
    assert kinds == [Read] * 7 + [Write, Subscribe]  # facts, the battery, the clock
    assert told.ending is Ending.FINISHED


def test_every_indication_is_a_commit_of_its_own() -> None:
    told = visited(Cuff(KNOWN))

    assert [len(commit) for commit in told.commits] == [1, 1]
    assert systolics(told) == ["138", "131"]
    assert all(reading.pushed and reading.raw for reading in told.readings)


def test_the_clock_is_read_then_set_to_local_time_then_the_subscription_follows() -> None:
    told = visited(Cuff(KNOWN))

    write = next(command for command in told.performed if isinstance(command, Write))
    assert write.channel == "date_time"
    assert write.data[:2] == b"\xea\x07"
    # 07:07:02 local; a gap of 0.1 s before and after does not reach the next second.
    assert write.data == bytes.fromhex("ea07030e070702")
    assert told.performed.index(Read("date_time")) < told.performed.index(write)
    assert told.performed.index(write) < told.performed.index(Subscribe("measurement"))


def test_a_clock_that_the_profile_does_not_let_us_set_is_only_read() -> None:
    told = visited(Cuff({"current_time": bytes.fromhex("ea07030e070702068000")}), GENERIC)

    assert [clock.shown for clock in told.clocks] == [NOW.replace(microsecond=500000)]
    assert not any(isinstance(command, Write) for command in told.performed)


def test_the_standards_clock_is_written_in_the_standards_form() -> None:
    profile = replace(GENERIC, clock=replace(GENERIC.clock, settable=True))

    told = visited(Cuff({}), profile)

    assert Write("current_time", bytes.fromhex("ea07030e070702060001")) in told.performed


def test_a_cuff_without_any_clock_is_asked_for_none() -> None:
    channels = {
        name: at for name, at in AANDD.channels.items() if name in ("measurement", "serial_number")
    }

    told = visited(Cuff(KNOWN), replace(AANDD, channels=channels))

    assert told.performed == [Read("serial_number"), Subscribe("measurement")]
    assert systolics(told) == ["138", "131"]


def test_gaps_are_kept_after_discovery_and_around_the_clocks_write() -> None:
    channels = {name: AANDD.channels[name] for name in ("measurement", "date_time")}
    session = driver.DRIVER.open(replace(UNIT, profile=replace(AANDD, channels=channels)))
    gap = SetTimer("settle", 0.1)

    def commands(event: Opened | Received | TimerFired) -> list[Command]:
        return [c for c in session.on(event) if not isinstance(c, ReportFacts | ReportClock)]

    assert commands(Opened(AT)) == [gap]
    assert commands(TimerFired(AT + 0.1, "settle")) == [
        Read("date_time"),
        SetTimer("answer", ANSWER_S),
    ]
    assert commands(Received(AT + 0.2, "date_time", KNOWN["date_time"])) == [gap]
    assert commands(TimerFired(AT + 1.3, "settle")) == [
        Write("date_time", bytes.fromhex("ea07030e070703")),
        gap,
    ]
    assert commands(TimerFired(AT + 1.4, "settle"))[0] == Subscribe("measurement")


@pytest.mark.parametrize("refused", [*KNOWN, "all"])
def test_a_refused_read_costs_no_reading(refused: str) -> None:
    values = {name: v for name, v in KNOWN.items() if refused not in (name, "all")}

    told = visited(Cuff(values))

    assert systolics(told) == ["138", "131"]
    assert told.facts == [{n: t for n, t in visited(Cuff(KNOWN)).facts[0].items() if n in values}]


@pytest.mark.parametrize("silent", KNOWN)
def test_a_read_that_hangs_costs_no_reading_and_no_further_facts(silent: str) -> None:
    values = {name: v for name, v in KNOWN.items() if name != silent}

    told = visited(Cuff(values, silent=[silent]))

    assert systolics(told) == ["138", "131"]
    facts = list(KNOWN)
    before = facts[: facts.index(silent)]
    assert list(told.facts[0]) == [name for name in before if name != "date_time"]


@pytest.mark.parametrize("channel", [*KNOWN, "measurement"])
def test_an_indication_that_comes_before_it_is_asked_for_is_kept(channel: str) -> None:
    told = visited(Cuff(KNOWN, early={channel: FIRST}, frames=[SECOND]))

    assert systolics(told) == ["138", "131"]
    assert [len(commit) for commit in told.commits] == [1, 1]


def test_an_indication_before_anything_else_is_kept_when_the_link_closes_at_once() -> None:
    told = replay(
        driver.DRIVER.open(UNIT),
        [Received(AT, "measurement", FIRST), Closed(AT + 0.01)],
        opened=Opened(AT),
    )

    assert systolics(told) == ["138"]
    assert told.ending is Ending.CLOSED


@pytest.mark.parametrize("at", [0.05, 0.2, 1.0, 5.0])
def test_a_link_that_closes_early_keeps_what_was_told(at: float) -> None:
    told = replay(
        driver.DRIVER.open(UNIT),
        [Received(AT, "measurement", FIRST), Closed(AT + at)],
        opened=Opened(AT),
    )

    assert systolics(told) == ["138"]
    assert told.cursor is None


def test_a_cuff_that_refuses_the_subscription_is_not_taken_for_one_without_news() -> None:
    told = visited(Cuff(KNOWN, refuses_subscription=0x05))

    assert told.ending is Ending.PEER
    assert "0x05" in str(told.error)


def test_a_cut_indication_costs_itself_only_and_the_visit_fails_with_it_at_its_end() -> None:
    told = visited(Cuff(KNOWN, frames=[FIRST, SECOND[:9], SECOND]))

    assert systolics(told) == ["138", "131"]
    assert told.ending is Ending.PEER
    assert "time stamp" in str(told.error)
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == [SECOND[:9]]


def test_a_cut_indication_is_named_also_where_the_cuff_hangs_up() -> None:
    heard = [
        Received(AT, "measurement", SECOND[:9]),
        Received(AT, "measurement", FIRST),
        Closed(AT + 2.5),
    ]

    told = replay(driver.DRIVER.open(UNIT), heard, opened=Opened(AT))

    assert systolics(told) == ["138"]
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == [SECOND[:9]]


def test_a_cuff_that_says_nothing_that_can_be_read_is_left() -> None:
    told = visited(Cuff(KNOWN, frames=[SECOND[:9]] * (UNREADABLE_MAX + 1)))

    assert isinstance(told.error, UnreadableError)
    assert len(told.error.frames) == UNREADABLE_MAX


def test_the_pressure_of_a_cuff_that_inflates_is_never_a_reading() -> None:
    channels = {
        **AANDD.channels,
        "intermediate": BleChannel(AANDD.channels["measurement"].service, "2a36"),
    }
    session = driver.DRIVER.open(UnitInfo(replace(AANDD, channels=channels)))

    told = replay(session, [Received(1.0, "intermediate", INFLATING)], opened=Opened(0.0))

    assert told.readings == []
    assert Subscribe("intermediate") not in told.performed


@pytest.mark.parametrize("octets", [b"", b"\x01", bytes(7), bytes.fromhex("ea070d01000000")])
def test_a_clock_that_says_nothing_is_not_told_and_is_set_all_the_same(octets: bytes) -> None:
    told = visited(Cuff({**KNOWN, "date_time": octets}))

    assert told.clocks == []
    assert any(isinstance(command, Write) for command in told.performed)
    assert systolics(told) == ["138", "131"]


def test_the_clock_is_held_beside_the_moment_at_which_it_was_read() -> None:
    session = driver.DRIVER.open(replace(UNIT, profile=replace(AANDD, settle_s=0.0)))

    told = replay(
        session,
        [
            *(Refused(AT + 0.1, Read(name), 1) for name in FACTS),
            Received(AT + 0.4, "date_time", KNOWN["date_time"]),
        ],
        opened=Opened(AT),
    )

    assert told.clocks == [Clock(AT + 0.4, NOW)]


@pytest.mark.parametrize(
    ("octets", "fact"),
    [
        (b"\0\0", None),
        (b"  7 \0", "7"),
        (b"\xff7", "\\xff7"),
        ("号7".encode(), "号7"),
        (b"7\n8", "78"),
    ],
)
def test_a_serial_number_is_taken_without_its_padding(octets: bytes, fact: str | None) -> None:
    assert visited(Cuff({"serial_number": octets})).facts[0].get("serial_number") == fact


def test_a_system_id_of_zeros_is_none() -> None:
    assert visited(Cuff({"system_id": bytes(8)})).facts == [{}]


def test_the_upload_of_an_aandd_cuff_is_read_as_its_session_says() -> None:
    capture = parse((CAPTURES / "aandd_upload.jsonl").read_text().splitlines())

    told = replay(driver.DRIVER.open(UNIT), capture.heard)

    assert systolics(told) == ["138", "131"]
    assert [r.taken for r in told.readings] == [
        datetime(2026, 3, 13, 21, 14, 2),
        datetime(2026, 3, 14, 7, 6, 31),
    ]
    assert told.readings[0].marks == {"irregular_pulse"}


def test_the_upload_of_two_users_keeps_them_apart() -> None:
    capture = parse((CAPTURES / "two_users.jsonl").read_text().splitlines())

    told = replay(driver.DRIVER.open(UnitInfo(GENERIC)), capture.heard)

    assert [(r.slot, str(r.parts["pulse_rate"].number)) for r in told.readings] == [  # type: ignore[union-attr]
        ("1", "64"),
        ("2", "118"),
        ("1", "63"),
    ]
    assert "pulse_above_range" in told.readings[1].marks
