"""An Ultra 2 visited again: only what is new is told, whatever its memory or its clock went through; and its captures."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import drivers.vendor.onetouch_ultra2.session as driver
from drivers.vendor.onetouch_ultra2.session import known
from gateway.contract.capture import parse
from gateway.contract.replay import replay
from gateway.contract.session import (
    Reading,
    UnitInfo,
)
from gateway.contract.visit import Ending
from tests.unit.drivers.ultra2_line import (
    CAPTURES,
    NOW,
    PROFILE,
    THREE,
    meter,
    milligrams,
    values,
    visited,
)


def test_a_second_visit_tells_only_what_is_new() -> None:
    peer = meter(THREE)
    cursor = visited(peer).cursor

    assert visited(peer, cursor).readings == []
    peer.store(milligrams(250, NOW))
    again = visited(peer, cursor)

    assert values(again) == ["250"]
    assert visited(peer, again.cursor).readings == []


def test_a_full_memory_that_drops_its_oldest_is_followed() -> None:
    peer = meter(milligrams(20 + n, NOW + timedelta(minutes=n)) for n in range(500))
    cursor = visited(peer).cursor
    for n in range(3):
        peer.store(milligrams(590 + n, NOW + timedelta(days=n + 1)))

    assert values(visited(peer, cursor)) == ["590", "591", "592"]


def test_a_dead_clock_makes_no_old_record_new_and_hides_no_new_one() -> None:
    epoch = datetime(2010, 1, 1)
    peer = meter([milligrams(100, epoch), milligrams(100, epoch)])
    first = visited(peer)
    peer.store(milligrams(100, epoch))
    second = visited(peer, first.cursor)

    assert [r.ordinal for r in first.readings] == [0, 1]
    assert [(r.ordinal, r.taken) for r in second.readings] == [(2, epoch)]


def test_an_erased_meter_is_told_of_whole() -> None:
    peer = meter(THREE)
    cursor = visited(peer).cursor
    list(peer.hear_octets(b"\x11\rDMZ\r"))
    emptied = visited(peer, cursor)
    peer.store(THREE[2])

    assert emptied.cursor == driver.CURSOR
    assert values(visited(peer, emptied.cursor)) == ["102"]
    assert values(visited(peer, cursor)) == ["102"]


@pytest.mark.parametrize("cursor", ["", "17", "u2:x", "u1:" + "0" * 8, "u2:" + "0" * 8])
def test_a_cursor_that_says_nothing_of_this_dump_hides_nothing(cursor: str) -> None:
    assert values(visited(meter(THREE), cursor)) == ["100", "101", "102"]


def test_an_edited_meal_makes_no_old_record_new() -> None:
    cursor = visited(meter(THREE)).cursor

    assert (
        visited(meter([replace(one, meal="A", comment=3) for one in THREE]), cursor).readings == []
    )


@given(st.integers(0, 2**32))
def test_a_dump_seen_at_any_moments_gives_each_record_exactly_once(seed: int) -> None:
    rng = Random(seed)
    capacity, memory, cursor = 6, list[str](), driver.CURSOR
    written, told = list[str](), list[str]()
    for turn in range(30):
        for _ in range(rng.randrange(4)):
            one = f"{turn:04}{rng.randrange(10_000):04}"
            written.append(one)
            memory = [*memory, one][-capacity:]
        told += memory[known(memory, cursor, capacity) :]
        cursor = driver.CURSOR + "".join(memory)

    assert told == written


def test_the_dump_of_500_records_is_read_whole() -> None:
    capture = parse((CAPTURES / "dump_500.jsonl").read_text().splitlines())

    told = replay(driver.DRIVER.open(UnitInfo(PROFILE)), capture.heard)

    readings: Sequence[Reading] = told.readings
    assert len(readings) == 500
    assert told.ending is Ending.FINISHED
    assert readings[0].taken == datetime(2011, 1, 13, 14, 30, 45)
    assert readings[-1].taken == datetime(2011, 3, 9, 8, 38, 1)
    assert values(told)[:1] == ["139"]
    assert values(told)[-7:] == ["289", "57", "100", "91", "94", "126", "242"]
    assert sorted(r.taken for r in readings if r.taken) == [r.taken for r in readings]
    assert sum(r.ordinal for r in readings) == 1
    assert {mark for r in readings for mark in r.marks} == {"control", "memory_parity"}
    assert {"below", "above"} <= set(values(told))


def test_the_dump_that_came_twice_is_read_once() -> None:
    capture = parse((CAPTURES / "answered_twice.jsonl").read_text().splitlines())

    told = replay(driver.DRIVER.open(UnitInfo(PROFILE)), capture.heard)

    assert values(told) == ["176", "105", "81"]
    assert told.facts[0]["serial_number"] == "GMF600DCY"
    assert told.readings[1].context == {"meal": "before", "comment": "too much food"}


def test_a_replay_repeats() -> None:
    capture = parse((CAPTURES / "dump_500.jsonl").read_text().splitlines())

    first, second = (replay(driver.DRIVER.open(UnitInfo(PROFILE)), capture.heard) for _ in "ab")

    assert first.readings == second.readings
    assert first.cursor == second.cursor
