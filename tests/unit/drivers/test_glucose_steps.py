"""Transfers that end before they are whole: a slow link, a short one, a lost record; what later visits bring, and what the cursor claims."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.context import Context
from drivers.gatt.glucose.session import DRIVER
from drivers.gatt.glucose.sim import Manners, MeterMemory, MeterPeer, measured
from drivers.gatt.glucose.steps import Cursor, Unproven, cursor
from drivers.gatt.glucose.transfer import Mark
from gateway.contract.replay import Played, converse
from gateway.contract.session import Opened, Read, Received, Refused, Subscribe, UnitInfo, Write
from gateway.contract.visit import Ending
from gateway.model.quantity import Quantity

USUAL = Manners()
PROFILE = replace(load_profiles()["generic/glucose"], deadline_s=60.0)
AT = 1_773_443_222.0
APART_S = 0.2  # 300 records in a visit
RECORDS = 1_000


class Slow(MeterPeer):
    """A meter whose records come one by one; `loses` never arrive."""

    def __init__(
        self,
        memory: MeterMemory,
        manners: Manners = USUAL,
        loses: frozenset[int] = frozenset(),
        maker: bytes = b"Virtual Meters",
    ) -> None:
        super().__init__(memory, {"manufacturer": maker}, manners)
        self._loses = loses

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        come = 0
        for event in super().hear(command):
            if isinstance(event, Received) and event.channel in ("measurement", "context"):
                come += event.channel == "measurement"
                if int.from_bytes(event.data[1:3], "little") in self._loses:
                    continue
            yield replace(event, at=come * APART_S)


def filled(
    count: int,
    *,
    undated: frozenset[int] = frozenset(),
    gap_at: int = 0,
    meals: bool = False,
    start: datetime = datetime(2026, 3, 1),
) -> MeterMemory:
    memory = MeterMemory(5_000)
    for turn in range(count):
        if gap_at and turn == gap_at:
            memory._next += 7  # pyright: ignore[reportPrivateUsage] some were deleted by hand
        when = None if turn in undated else start + timedelta(minutes=turn)
        part = Quantity(Decimal(50 + turn % 500), "mg/dL")
        meal = Context(0, meal=1) if meals else None
        memory.store(f"{turn}", measured({"value": part}, stored(when)), meal)
    return memory


def visits(peer: MeterPeer, most: int, known: str | None = None) -> list[Played]:
    """Visits with the cursor that the one before left, until one ends by itself."""
    told: list[Played] = []
    for turn in range(most):
        session = DRIVER.open(UnitInfo(PROFILE, known))
        told.append(converse(session, peer, Opened(AT + turn * 1e6), deadline_s=PROFILE.deadline_s))
        known = told[-1].cursor or known
        if told[-1].ending is Ending.FINISHED:
            break
    return told


def records(memory: MeterMemory) -> set[bytes]:
    peer = MeterPeer(memory, {})
    list(peer.hear(Subscribe("measurement")))
    list(peer.hear(Subscribe("racp")))
    return {
        event.data
        for event in peer.hear(Write("racp", b"\1\1"))
        if isinstance(event, Received) and event.channel == "measurement"
    }


def came(told: list[Played]) -> Counter[bytes]:
    return Counter(reading.raw for visit in told for reading in visit.readings)


@pytest.mark.parametrize(
    ("undated", "gap_at", "meals"),
    [
        (frozenset[int](), 0, False),
        (frozenset({0, 1, 120}), 0, False),
        (frozenset[int](), 170, True),
    ],
    ids=["plain", "clock was never set at first", "numbers with a gap, and contexts"],
)
def test_a_meter_that_needs_longer_than_one_deadline_is_read_wholly(
    undated: frozenset[int], gap_at: int, *, meals: bool
) -> None:
    memory = filled(RECORDS, undated=undated, gap_at=gap_at, meals=meals)

    told = visits(Slow(memory), 8)

    assert [visit.ending for visit in told[:-1]] == [Ending.DEADLINE] * (len(told) - 1)
    assert told[-1].ending is Ending.FINISHED
    assert 4 <= len(told) <= 5
    assert came(told).keys() == records(memory)
    undated_raws = [r.raw for visit in told for r in visit.readings if r.taken is None]
    assert len(undated_raws) == len(undated)
    if meals:
        assert all(r.context.get("meal") for visit in told for r in visit.readings)
    known = cursor(told[-1].cursor)
    assert known is not None
    assert known.unproven is None


def test_what_a_deadline_cuts_off_is_told_at_once() -> None:
    told = visits(Slow(filled(RECORDS)), 1)

    assert 290 <= len(told[0].readings) <= 300
    known = cursor(told[0].cursor)
    assert known is not None
    assert known.unproven is not None
    assert known.unproven.told == known.mark.sequence
    assert len(told[0].readings) > known.unproven.told


def test_a_short_memory_is_told_in_one_commit_with_a_cursor_that_is_proven() -> None:
    (told,) = visits(Slow(filled(40)), 1)

    assert len(told.commits) == 1
    known = cursor(told.cursor)
    assert known is not None
    assert (known.mark.sequence, known.unproven) == (40, None)


@pytest.mark.parametrize("lost", [1, 2, 77, 180])
def test_a_record_that_got_lost_in_a_transfer_that_was_cut_off_is_brought_by_later_visits(
    lost: int,
) -> None:
    memory = filled(RECORDS)
    first = visits(Slow(memory, loses=frozenset({lost})), 1)

    rest = visits(Slow(memory), 8, first[0].cursor)

    assert rest[-1].ending is Ending.FINISHED
    assert came([*first, *rest]).keys() == records(memory)


def test_new_records_since_a_proven_cursor_are_told_in_steps_too() -> None:
    memory = filled(20)
    before = visits(Slow(memory), 1)
    for turn in range(RECORDS):
        when = datetime(2026, 4, 1) + timedelta(minutes=turn)
        part = Quantity(Decimal(50 + turn % 500), "mg/dL")
        memory.store(f"n{turn}", measured({"value": part}, stored(when)))

    told = visits(Slow(memory), 8, before[-1].cursor)
    known = cursor(told[0].cursor)

    assert known is not None
    assert known.unproven is not None
    assert known.unproven.base == 20
    assert told[-1].ending is Ending.FINISHED
    assert came([*before, *told]).keys() == records(memory)


def test_a_meter_that_was_reset_between_two_parts_is_read_from_its_beginning() -> None:
    memory = filled(RECORDS)
    first = visits(Slow(memory), 1)
    memory.reset()
    again = filled(400, undated=frozenset({3}), start=datetime(2026, 5, 1))
    for one in again.records:
        memory.store("x", one.measurement)

    told = visits(Slow(memory), 8, first[0].cursor)

    assert told[-1].ending is Ending.FINISHED
    assert came(told).keys() >= records(memory)


@pytest.mark.parametrize(
    ("manners", "maker"),
    [(Manners(counts=False), b"x"), (Manners(), b"i-SENS"), (Manners(), b"TaiDoc")],
    ids=["counts nothing", "kind hangs on a context", "numbers are places"],
)
def test_no_cursor_moves_early_where_a_later_visit_could_not_tell_what_was_lost(
    manners: Manners, maker: bytes
) -> None:
    (told,) = visits(Slow(filled(RECORDS), manners, maker=maker), 1)

    assert told.ending is Ending.DEADLINE
    assert told.cursor is None


def test_a_meter_without_the_filter_tells_no_undated_record_twice() -> None:
    memory = filled(400, undated=frozenset({3, 90}))

    told = visits(Slow(memory, Manners(filters=False)), 3)

    undated = [r.raw for visit in told for r in visit.readings if r.taken is None]
    assert len(undated) == len(set(undated)) == 2


def test_a_count_that_never_comes_is_not_asked_for_without_need() -> None:
    memory = filled(40)
    first = visits(Slow(memory), 1)
    (again,) = visits(Slow(memory), 1, first[0].cursor)

    asked = [c.data for c in again.performed if isinstance(c, Write) and c.channel == racp.CHANNEL]
    assert [data[0] for data in asked] == [racp.Op.COUNT, racp.Op.REPORT]


@pytest.mark.parametrize("text", ["g1:7:ab", "g1:7:ab:all:50", "g1:90:ab:7:50"])
def test_a_cursor_stands_as_it_was_written(text: str) -> None:
    assert str(cursor(text)) == text


@pytest.mark.parametrize(
    "text", [None, "", "g1:7:ab:some:50", "g1:7:ab:all:", "g1:x:ab", "u2:1:2", "g1:7:ab:1:2:3"]
)
def test_another_drivers_cursor_is_none(text: str | None) -> None:
    assert cursor(text) is None


def test_what_is_not_proven_is_said() -> None:
    known = cursor("g1:90:ab:7:50")
    assert known == Cursor(Mark(90, "ab"), Unproven(7, 50))
