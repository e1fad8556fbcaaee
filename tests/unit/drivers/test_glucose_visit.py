"""Visits to a glucose meter: what is told, what the cursor proves, and what a meter that was reset or cut off costs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import drivers.gatt.glucose.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import decode_measurement, encode_measurement
from drivers.gatt.glucose.context import Context
from drivers.gatt.glucose.sim import Manners, MeterMemory, MeterPeer, answers, measured
from drivers.gatt.glucose.steps import Cursor
from drivers.gatt.glucose.steps import cursor as read_cursor
from drivers.gatt.glucose.transfer import Mark, Record
from edge.normalise import Provenance, normalise
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
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Beyond, Moment, Part, TimeMethod
from gateway.model.quantity import Limit, Quantity

CAPTURES = Path(driver.__file__).parent / "captures"
SESSIONS: dict[str, dict[str, Any]] = {
    session["id"]: session
    for session in json.loads((Path(__file__).parents[2] / "vectors" / "gatt.json").read_text())[
        "sessions"
    ]
}
PROFILES = load_profiles()
GENERIC, GUIDE = PROFILES["generic/glucose"], PROFILES["roche/accu-chek-guide"]
CONTOUR = PROFILES["ascensia/contour-next-one"]
AT = 1773443222.0
KNOWN = {
    "serial_number": b"00000001",
    "model": b"VG-100",
    "manufacturer": b"Virtual Meters",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "current_time": bytes.fromhex("ea07030e070702068000"),
}
NAMES = {"2A25": "serial_number", "2A24": "model", "2A29": "manufacturer", "2A23": "system_id",
         "2A08": "date_time", "2A18": "measurement", "2A34": "context"}  # fmt: skip


def visited(peer: Peer, cursor: str | None = None, profile: Profile = GENERIC) -> Played:
    session = driver.DRIVER.open(UnitInfo(profile, cursor))
    return converse(session, peer, Opened(AT), deadline_s=profile.deadline_s)


def filled(values: Sequence[int], first: int = 1, day: int = 1) -> MeterMemory:
    memory = MeterMemory(720, first)
    add(memory, values, day)
    return memory


def add(memory: MeterMemory, values: Sequence[int], day: int = 1) -> None:
    for turn, value in enumerate(values):
        when = datetime(2026, 3, day, 8) + timedelta(minutes=turn)
        memory.store(
            f"{value}", measured({"value": Quantity(Decimal(value), "mg/dL")}, stored(when))
        )


def numbers(told: Played) -> list[int | None]:
    return [reading.sequence for reading in told.readings]


def values(told: Played) -> list[str]:
    parts = [reading.parts["value"] for reading in told.readings]
    return [part.name if isinstance(part, Limit) else str(part.number) for part in parts]  # type: ignore[union-attr]


def asked(told: Played) -> list[str]:
    return [c.data.hex() for c in told.performed if isinstance(c, Write) and c.channel == "racp"]


@dataclass
class Transcript:
    """A meter that tells a published session's frames as they stand; its control point answers as meters do."""

    values: Mapping[str, bytes]
    frames: Sequence[tuple[str, bytes]]
    filters: bool = True

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        match command:
            case Read(channel) if channel in self.values:
                yield Received(0.0, channel, self.values[channel])
            case Read():
                yield Refused(0.0, command, 0x0A)
            case Write("racp", data):
                yield from self._answer(racp.decode_request(data))
            case _:
                pass

    def _answer(self, request: racp.Request) -> Iterator[Received]:
        if request.bounds and not self.filters:
            yield self._said(racp.Answer(request.op, racp.Outcome.OPERATOR_NOT_SUPPORTED))
            return
        low = int.from_bytes(request.bounds[0], "little") if request.bounds else 0
        frames = [(c, f) for c, f in self.frames if int.from_bytes(f[1:3], "little") >= low]
        if request.op == racp.Op.COUNT:
            yield self._said(racp.Counted(sum(c == "measurement" for c, _ in frames)))
            return
        yield from (Received(0.0, channel, frame) for channel, frame in frames)
        outcome = racp.Outcome.SUCCESS if frames else racp.Outcome.NO_RECORDS
        yield self._said(racp.Answer(request.op, outcome))

    @staticmethod
    def _said(answer: racp.Answer | racp.Counted) -> Received:
        return Received(0.0, "racp", racp.encode_answer(answer))


def transcript(session: str, before: Sequence[bytes] = (), *, filters: bool = True) -> Transcript:
    steps = SESSIONS[session]["steps"]
    reads = {
        NAMES[step["characteristic"]]: bytes.fromhex(step["hex"])
        for step in steps
        if step["op"] == "read_rsp" and step["characteristic"] in NAMES
    }
    frames = [
        (NAMES[step["characteristic"]], bytes.fromhex(step["hex"]))
        for step in steps
        if step["op"] == "notify"
    ]
    return Transcript(reads, [*(("measurement", frame) for frame in before), *frames], filters)


def known_by(frame: bytes) -> str:
    return str(Cursor(Record(decode_measurement(frame), frame).mark))


def mark(text: str | None) -> Mark | None:
    known = read_cursor(text)
    return known and known.mark


def as_result(told: Played) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for reading in told.readings:
        if "control" in reading.marks:
            continue
        part = reading.parts["value"]
        assert reading.taken is not None
        row: dict[str, Any] = {
            "kind": reading.kind,
            "time": (reading.taken + (reading.offset or timedelta())).isoformat(),
            "sequence_number": reading.sequence,
        }
        if isinstance(part, Quantity):
            row |= {"value": float(part.number), "unit": part.unit}
        else:
            row |= {"value": {Limit.BELOW: "-INFINITY", Limit.ABOVE: "+INFINITY"}[part]}
        if "meal" in reading.context and not reading.context["meal"].startswith("reserved"):
            row["meal"] = reading.context["meal"]
        if "carbohydrate_g" in reading.context:
            row["carbohydrate_g"] = int(reading.context["carbohydrate_g"])
        rows.append(row)
    return rows


def expected(session: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row in SESSIONS[session]["result"]["readings"]:
        kept = {name: told for name, told in row.items() if name != "status"}
        if isinstance(kept["value"], str):
            kept.pop("unit")
        rows.append(kept)
    return rows


FIFTEEN = bytes.fromhex("1B0F00E807011E053A1B53016FB0F80000")
SEVENTEEN = bytes.fromhex("0B1100E807011E102D1F53010208F84000")
FORTY_TWO = bytes.fromhex("0F2A00EA07030D0A160A3C004BC0110000")


@pytest.mark.parametrize(
    ("session", "profile", "before"),
    [
        ("ses-accuchek-guide-full", GUIDE, []),
        ("ses-accuchek-guide-incremental", GUIDE, [FIFTEEN]),
        ("ses-accuchek-guide-nothing-new", GUIDE, [SEVENTEEN]),
        ("ses-glucose-count-zero", GENERIC, []),
        ("ses-racp-abort-idle", GENERIC, []),
        ("ses-racp-op-not-supported", GENERIC, []),
        ("ses-racp-delete", GENERIC, []),
        ("ses-contour-next-one", CONTOUR, [FORTY_TWO]),
        ("ses-taidoc-diamond", GENERIC, []),
        ("ses-isens-ketone", GENERIC, []),
    ],
)
def test_the_published_sessions_give_the_readings_that_they_say(
    session: str, profile: Profile, before: list[bytes]
) -> None:
    cursor = known_by(before[-1]) if before else None

    told = visited(transcript(session, before), cursor, profile)

    assert told.ending is Ending.FINISHED
    assert as_result(told) == expected(session)
    assert not any(request.startswith("02") for request in asked(told))
    if (last := SESSIONS[session]["result"].get("last_sequence_number")) is not None:
        known = mark(told.cursor or cursor)
        assert known is not None
        assert known.sequence == last


def test_a_meter_without_the_filter_is_asked_for_all_and_only_what_is_new_is_told() -> None:
    session = "ses-racp-operator-not-supported"
    second = bytes.fromhex("0B0200EA0703020800003C0066B0110000")

    told = visited(transcript(session, filters=False), known_by(second))

    assert as_result(told) == expected(session)
    assert asked(told) == ["0403010200", "0103010200", "0401", "0101"]


def test_a_control_solution_is_told_and_marked() -> None:
    told = visited(transcript("ses-contour-next-one", [FORTY_TWO]), known_by(FORTY_TWO), CONTOUR)

    assert [(r.sequence, "control" in r.marks) for r in told.readings] == [
        (43, False), (44, False), (45, True),
    ]  # fmt: skip


def test_a_transfer_that_is_aborted_tells_what_came_and_leaves_the_cursor() -> None:
    class Stalls(Transcript):
        def _answer(self, request: racp.Request) -> Iterator[Received]:
            if request.op == racp.Op.ABORT:
                yield self._said(racp.Answer(request.op, racp.Outcome.SUCCESS))
            else:
                yield from list(super()._answer(request))[
                    : None if request.op == racp.Op.COUNT else -1
                ]

    frames = transcript("ses-racp-abort").frames
    told = visited(Stalls({}, frames))

    assert as_result(told) == expected("ses-racp-abort")
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert asked(told).count("0300") == 1
    assert asked(told).count("0101") == 2


@pytest.mark.parametrize("code", [0x05, 0x0F])
def test_a_meter_that_wants_a_bond_is_told_of_in_words(code: int) -> None:
    class Wary(MeterPeer):
        def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
            if isinstance(command, Subscribe):
                yield Refused(0.0, command, code)
            else:
                yield from super().hear(command)

    told = visited(Wary(filled([100]), KNOWN))

    assert told.ending is Ending.PEER
    assert f"0x{code:02X}" in str(told.error)
    assert "paired" in str(told.error)


def test_who_it_is_and_what_its_clock_shows_come_before_any_record() -> None:
    told = visited(MeterPeer(filled([100]), KNOWN))

    assert told.facts == [
        {"serial_number": "00000001", "model": "VG-100", "manufacturer": "Virtual Meters",
         "firmware": "1.0", "system_id": "debc9afeff563412"}
    ]  # fmt: skip
    assert [clock.shown for clock in told.clocks] == [datetime(2026, 3, 14, 7, 7, 2, 500000)]
    wanted = [c.channel for c in told.performed if isinstance(c, Subscribe)]
    assert wanted == ["measurement", "context", "racp"]
    assert told.performed.index(Read("current_time")) < told.performed.index(Subscribe("racp"))
    assert told.performed.index(Subscribe("racp")) < told.performed.index(Write("racp", b"\4\1"))


def test_all_is_told_once_and_then_only_what_is_new() -> None:
    memory = filled([101, 102, 103])
    first = visited(MeterPeer(memory, KNOWN))
    again = visited(MeterPeer(memory, KNOWN), first.cursor)
    add(memory, [104, 105], day=2)
    later = visited(MeterPeer(memory, KNOWN), first.cursor)

    assert values(first) == ["101", "102", "103"]
    assert len(first.commits) == 1
    assert (again.readings, again.cursor) == ([], None)
    assert asked(again) == ["0403010300", "0103010300"]
    assert values(later) == ["104", "105"]
    assert mark(later.cursor) == Record(memory.records[-1].measurement, b"").mark


def test_an_empty_memory_is_a_visit_without_news() -> None:
    told = visited(MeterPeer(filled([]), KNOWN))

    assert told.ending is Ending.FINISHED
    assert (told.readings, told.cursor) == ([], None)


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_meter_that_was_reset_is_asked_for_all_again(after: int) -> None:
    memory = filled([101, 102, 103])
    cursor = visited(MeterPeer(memory, KNOWN)).cursor
    memory.reset()
    add(memory, [111 + turn for turn in range(after)], day=9)

    told = visited(MeterPeer(memory, KNOWN), cursor)

    assert values(told) == [str(111 + turn) for turn in range(after)]
    assert asked(told)[-2:] == ["0401", "0101"]
    assert mark(told.cursor) == Record(memory.records[-1].measurement, b"").mark


def test_a_reset_meter_that_measures_the_same_value_under_the_same_number_loses_none() -> None:
    memory = filled([101, 102])
    cursor = visited(MeterPeer(memory, KNOWN)).cursor
    memory.reset()
    add(memory, [101, 102], day=5)

    assert values(visited(MeterPeer(memory, KNOWN), cursor)) == ["101", "102"]


def test_numbers_that_wrap_lose_nothing() -> None:
    memory = filled([101, 102], first=65533)
    before = visited(MeterPeer(memory, KNOWN))
    add(memory, [103, 104, 105], day=2)
    over = visited(MeterPeer(memory, KNOWN), before.cursor)
    add(memory, [106], day=3)
    beyond = visited(MeterPeer(memory, KNOWN), over.cursor)

    assert numbers(before) == [65533, 65534]
    assert numbers(over) == [65535, 0, 1]
    assert asked(over) == ["0401", "0101"]
    known = mark(over.cursor)
    assert known is not None
    assert known.sequence == 1
    assert numbers(beyond) == [2]


def test_a_memory_that_overwrote_the_last_known_record_is_told_whole() -> None:
    memory = MeterMemory(3)
    add(memory, [101, 102])
    cursor = visited(MeterPeer(memory, KNOWN)).cursor
    add(memory, [103, 104, 105], day=2)

    assert values(visited(MeterPeer(memory, KNOWN), cursor)) == ["103", "104", "105"]


@pytest.mark.parametrize("contexts_first", [False, True])
def test_a_context_is_joined_whether_it_comes_before_or_after(*, contexts_first: bool) -> None:
    memory = filled([101])
    when = stored(datetime(2026, 3, 2, 8))
    for meal in (1, 2):
        memory.store("m", measured({"value": Quantity(Decimal(110 + meal), "mg/dL")}, when),
                     Context(0, meal=meal))  # fmt: skip

    told = visited(MeterPeer(memory, KNOWN, Manners(contexts_first=contexts_first)))

    assert [r.context.get("meal") for r in told.readings] == [None, "preprandial", "postprandial"]


def test_a_context_that_never_comes_costs_nothing_and_one_of_no_record_is_passed_over() -> None:
    promised = encode_measurement(
        replace(filled([101]).records[0].measurement, context_follows=True)
    )
    frames = [("context", b"\x02\x63\x00\x01"), ("measurement", promised)]

    told = visited(Transcript(KNOWN, frames))

    assert values(told) == ["101"]
    assert "meal" not in told.readings[0].context
    assert told.cursor is not None


def test_a_context_that_cannot_be_read_stands_beside_its_reading_as_it_came() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    told = visited(Transcript(KNOWN, [("measurement", frame), ("context", b"\x10\x01\x00\x01")]))

    assert told.readings[0].marks == {"context_unreadable"}
    assert told.readings[0].context["context_raw"] == "10010001"
    assert told.ending is Ending.FINISHED


def test_a_record_that_cannot_be_read_costs_no_other_and_the_cursor_waits() -> None:
    good = [encode_measurement(stored_.measurement) for stored_ in filled([101, 102]).records]
    frames = [("measurement", f) for f in (good[0], good[1][:9], good[1])]

    told = visited(Transcript(KNOWN, frames))

    assert values(told) == ["101", "102"]
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert good[1][:9].hex() in str(told.error)


def test_fewer_records_than_announced_leave_the_cursor() -> None:
    class Loses(MeterPeer):
        def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
            for event in super().hear(command):
                if not (isinstance(event, Received) and event.data[1:3] == b"\2\0"):
                    yield event

    told = visited(Loses(filled([101, 102, 103]), KNOWN))

    assert values(told) == ["101", "103"]
    assert told.cursor is None
    assert "announced 3 records and told 2" in str(told.error)


def test_a_meter_that_does_not_count_is_read_all_the_same() -> None:
    told = visited(MeterPeer(filled([101]), KNOWN, Manners(counts=False)))

    assert values(told) == ["101"]
    assert told.ending is Ending.FINISHED


def heard(memory: MeterMemory, cut: int) -> list[Received]:
    """A visit's frames as far as the first `cut` of the report, then nothing."""
    count = list(answers(memory, b"\4\1"))
    report = list(answers(memory, b"\1\1"))[:cut]
    facts = list(KNOWN.items())
    told = [*facts, *count, *report]
    return [Received(AT + 0.01 * n, channel, data) for n, (channel, data) in enumerate(told, 1)]


@pytest.mark.parametrize("cut", range(7))
def test_a_transfer_that_is_cut_anywhere_is_resumed_exactly(cut: int) -> None:
    memory = filled([101, 102, 103, 104, 105])
    events = heard(memory, cut)

    first = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*events, Closed(events[-1].at + 0.001)],
        opened=Opened(AT),
    )
    second = visited(MeterPeer(memory, KNOWN), first.cursor)

    done = cut == 6
    assert values(first) == ["101", "102", "103", "104", "105"][:cut]
    assert (first.cursor is not None) == done
    assert values(second) == ([] if done else ["101", "102", "103", "104", "105"])
    assert {keyed(reading) for reading in first.readings} <= {
        keyed(reading) for reading in [*second.readings, *(first.readings if done else ())]
    }


def keyed(reading: Any) -> str:  # noqa: ANN401 a Reading
    parts = {"value": Part(unit="mg/dL", value=str(reading.parts["value"].number))}
    stamp = Stamp(Scheme.RECORD, reading.taken, content_hash("glucose", parts), reading.sequence)
    return observation_key("d", "glucose", stamp, datetime(2026, 3, 14).date())


def test_two_equal_values_of_one_second_are_two_keys() -> None:
    memory = MeterMemory(10)
    for _ in range(2):
        add(memory, [100])

    told = visited(MeterPeer(memory, KNOWN))

    assert values(told) == ["100", "100"]
    assert told.readings[0].taken == told.readings[1].taken
    assert len({keyed(reading) for reading in told.readings}) == 2


def test_a_record_told_twice_in_one_transfer_is_one_reading() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    assert values(visited(Transcript(KNOWN, [("measurement", frame)] * 2))) == ["101"]


def test_two_records_under_one_number_are_both_told() -> None:
    memory = filled([101])
    cursor = visited(MeterPeer(memory, KNOWN)).cursor
    frames = [encode_measurement(memory.records[0].measurement)]
    frames.append(encode_measurement(filled([102], day=2).records[0].measurement))

    told = visited(Transcript(KNOWN, [("measurement", frame) for frame in frames]), cursor)

    assert values(told) == ["102"]


@pytest.mark.parametrize("when", [None, datetime(2010, 1, 1, 0, 5)])
def test_a_record_whose_time_says_nothing_is_told_only_with_the_cursor_that_covers_it(
    when: datetime | None,
) -> None:
    memory = filled([101])
    memory.store("x", measured({"value": Quantity(Decimal(99), "mg/dL")}, stored(when)))
    events = heard(memory, 2)

    cut = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*events, Closed(events[-1].at + 0.001)],
        opened=Opened(AT),
    )
    whole = visited(MeterPeer(memory, KNOWN))
    again = visited(MeterPeer(memory, KNOWN), whole.cursor)

    assert values(cut) == ["101"]
    assert values(whole) == ["101", "99"]
    assert again.readings == []


def test_a_ketone_is_never_told_as_glucose_when_the_link_goes_before_its_context() -> None:
    facts = [Received(AT + 0.01 * n, name, b"i-SENS" if name == "manufacturer" else octets)
             for n, (name, octets) in enumerate(KNOWN.items(), 1)]  # fmt: skip
    frame = bytes.fromhex("1B0500EA07030E061E00000008B0110000")
    count = racp.encode_answer(racp.Counted(1))

    told = replay(
        driver.DRIVER.open(UnitInfo(GENERIC)),
        [*facts, Received(AT + 0.2, "racp", count), Received(AT + 0.3, "measurement", frame),
         Closed(AT + 0.4)],
        opened=Opened(AT),
    )  # fmt: skip

    assert told.facts[0]["manufacturer"] == "i-SENS"
    assert told.readings == []
    assert told.cursor is None


def test_the_maker_is_known_from_enrolment_where_it_is_not_told_today() -> None:
    peer = transcript("ses-isens-ketone")
    session = driver.DRIVER.open(UnitInfo(GENERIC, facts={"manufacturer": "i-SENS"}))

    told = converse(session, replace(peer, values={}), Opened(AT), deadline_s=300)

    assert [reading.kind for reading in told.readings] == ["ketone", "glucose"]


def test_a_number_that_is_a_place_in_memory_names_no_record() -> None:
    frames = [
        ("measurement", bytes.fromhex(f"020{n}00EA07030E06{29 - n:02x}0068B011")) for n in range(3)
    ]
    peer = Transcript({"manufacturer": b"TaiDoc"}, frames)

    first = visited(peer)
    again = visited(peer, first.cursor)

    assert numbers(first) == numbers(again) == [None] * 3
    assert first.cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "g1:", "g1:x:y", "g0:1:a", "g1:1:2:3", "u2:ff", "g1:70000:ff"]
)
def test_a_cursor_that_is_none_of_ours_asks_for_all(cursor: str) -> None:
    told = visited(MeterPeer(filled([101, 102]), KNOWN), cursor)

    assert values(told) == ["101", "102"]


def test_a_meter_that_tells_without_end_is_stopped() -> None:
    frame = encode_measurement(filled([101]).records[0].measurement)

    class Endless(Transcript):
        def _answer(self, request: racp.Request) -> Iterator[Received]:
            if request.op == racp.Op.COUNT:
                yield self._said(racp.Counted(1))
            else:
                yield from (Received(0.0, "measurement", frame) for _ in range(10_001))

    told = visited(Endless(KNOWN, []))

    assert told.ending is Ending.PEER
    assert "over 10000" in str(told.error)


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_captures_give_what_their_sessions_say(path: Path) -> None:
    capture = parse(path.read_text().splitlines())
    profile = PROFILES[capture.header["profile"]]

    told = replay(driver.DRIVER.open(UnitInfo(profile)), capture.heard)

    assert told.ending in (Ending.FINISHED, Ending.CLOSED)
    assert as_result(told) == expected(capture.header["session"])


def test_there_are_captures() -> None:
    assert len(list(CAPTURES.glob("*.jsonl"))) >= 2


def test_records_without_a_number_and_a_time_are_reported_as_trouble_and_not_told_anew_each_visit() -> (
    None
):
    frames = [
        ("measurement", bytes.fromhex("020000EA07030E06290068B011")),
        ("measurement", bytes.fromhex("0201000000000000000069B011")),
    ]

    told = visited(Transcript({"manufacturer": b"TaiDoc"}, frames))

    assert values(told) == ["104"]
    assert told.ending is Ending.PEER
    assert "1 records have no number of their own" in str(told.error)


def test_an_unreadable_record_of_isens_does_not_hold_back_the_others() -> None:
    good = bytes.fromhex("1B0600EA07030E062800000063B0110000")
    context = bytes.fromhex("02060001")
    peer = Transcript(
        {"manufacturer": b"i-SENS"},
        [("measurement", good), ("context", context), ("measurement", good[:8])],
    )

    told = visited(peer)

    assert values(told) == ["99"]
    assert told.cursor is None
    assert told.ending is Ending.PEER


def test_what_may_be_a_ketone_of_a_meter_that_does_not_say_whose_it_is_is_marked() -> None:
    told = visited(replace(transcript("ses-isens-ketone"), values={}))

    marked = [("context_perhaps_ketone" in one.marks) for one in told.readings]
    assert [one.kind for one in told.readings] == ["glucose", "glucose"]
    assert marked == [True, False]


def test_a_record_of_isens_whose_context_was_lost_is_not_told_as_glucose() -> None:
    ketone = bytes.fromhex("1B0500EA07030E061E00000008B0110000")
    peer = Transcript({"manufacturer": b"i-SENS"}, [("measurement", ketone)])

    told = visited(peer)

    assert values(told) == []
    assert told.cursor is None
    assert "without the context that says what they are of" in str(told.error)


@pytest.mark.parametrize(
    ("profile", "limit", "bound"),
    [(GUIDE, Limit.BELOW, "10"), (CONTOUR, Limit.BELOW, "20"), (GENERIC, Limit.ABOVE, "600")],
    ids=lambda one: str(getattr(one, "id", one)),
)
def test_lo_and_hi_carry_the_bound_of_their_profile(
    profile: Profile, limit: Limit, bound: str
) -> None:
    memory = MeterMemory(10)
    memory.store("x", measured({"value": limit}, stored(datetime(2026, 3, 14, 6))))
    (told,) = visited(MeterPeer(memory, KNOWN), None, profile).readings
    moment = Moment(utc="2026-03-14T06:00:00.000Z", method=TimeMethod.ARRIVAL)
    provenance = Provenance(
        "box-1", "d" * 20, "ble", datetime(2026, 3, 14, 7, tzinfo=UTC), "0" * 16
    )

    observation = normalise(told, profile, moment, provenance)

    part = observation.parts["value"]
    assert (part.value, part.unit, part.beyond) == (bound, "mg/dL", Beyond(limit.value))
    assert "-r-" in observation.key
    assert "implausible" not in observation.marks


@pytest.mark.parametrize(("frame", "told"), [("08B0", ("0.8", None)), ("FE07", (None, "above"))])
def test_a_ketone_is_stored_in_its_own_unit_and_not_held_against_what_the_meter_shows_of_glucose(
    frame: str, told: tuple[str | None, str | None]
) -> None:
    record = bytes.fromhex(f"1B0500EA07030E061E000000{frame}110000")
    frames = [("measurement", record), ("context", bytes.fromhex("02050006"))]
    (seen,) = visited(Transcript({"manufacturer": b"i-SENS"}, frames)).readings
    moment = Moment(utc="2026-03-14T06:30:00.000Z", method=TimeMethod.ARRIVAL)
    provenance = Provenance(
        "box-1", "d" * 20, "ble", datetime(2026, 3, 14, 7, tzinfo=UTC), "0" * 16
    )

    observation = normalise(seen, GENERIC, moment, provenance)

    part = observation.parts["value"]
    assert observation.kind == "ketone"
    assert (part.value, part.unit) == (told[0], "mmol/L")
    assert part.beyond == (Beyond(told[1]) if told[1] else None)
    assert observation.marks == ()
