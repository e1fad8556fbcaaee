"""Visits to a glucose meter: who it is, what is told once, what the cursor proves, and what a reset, a full memory or a wrapped number costs."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import encode_measurement
from drivers.gatt.glucose.context import Context
from drivers.gatt.glucose.sim import Manners, MeterMemory, MeterPeer, measured
from drivers.gatt.glucose.transfer import Record
from gateway.contract.session import (
    Read,
    Received,
    Refused,
    Subscribe,
    Write,
)
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity
from tests.unit.drivers.glucose_meters import (
    KNOWN,
    Transcript,
    add,
    asked,
    filled,
    keyed,
    mark,
    numbers,
    values,
    visited,
)


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


def test_a_meter_that_does_not_count_is_read_all_the_same() -> None:
    told = visited(MeterPeer(filled([101]), KNOWN, Manners(counts=False)))

    assert values(told) == ["101"]
    assert told.ending is Ending.FINISHED


def test_two_equal_values_of_one_second_are_two_keys() -> None:
    memory = MeterMemory(10)
    for _ in range(2):
        add(memory, [100])

    told = visited(MeterPeer(memory, KNOWN))

    assert values(told) == ["100", "100"]
    assert told.readings[0].taken == told.readings[1].taken
    assert len({keyed(reading) for reading in told.readings}) == 2


def test_two_records_under_one_number_are_both_told() -> None:
    memory = filled([101])
    cursor = visited(MeterPeer(memory, KNOWN)).cursor
    frames = [encode_measurement(memory.records[0].measurement)]
    frames.append(encode_measurement(filled([102], day=2).records[0].measurement))

    told = visited(Transcript(KNOWN, [("measurement", frame) for frame in frames]), cursor)

    assert values(told) == ["102"]


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
