"""What a device measured, held against what is told of it: values, digits, time, offset, user, marks. Pure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from drivers.testing.case import Bench, Case, Parts, fault, parts_in_words
from drivers.testing.subject import Act
from drivers.testing.visiting import Went
from gateway.contract.session import Reading

MINUTE_S = 60.0


def there_and_back(case: Case, acts: Sequence[Act]) -> tuple[Went, str | None]:
    """One visit to a device that made these measurements, and how what it told differs from them, or None."""
    bench = Bench(case)
    measured = [as_measured(act, stored_time(case, bench.measure(act))) for act in acts]
    went = bench.visit()
    told = [as_told(reading, act) for reading, act in zip(went.readings, acts, strict=False)]
    why = fault(went, may_break_off=False)
    if len(went.readings) != len(acts):
        why = why or f"{len(acts)} were measured, {len(went.readings)} are told"
    for was, came in zip(measured, told, strict=False):
        if was != came:
            why = why or f"measured: {was}; told: {came}"
    return went, why


def stored_time(case: Case, shown: datetime) -> datetime | None:
    """What its clock showed, as far as it stores that: a device that keeps no seconds tells the minute."""
    if not case.quality.dated:
        return None
    coarse = case.profile.clock.resolution_s >= MINUTE_S
    return shown.replace(second=0) if coarse else shown


def as_measured(act: Act, taken: datetime | None) -> str:
    """A measurement in words. `taken`: the time that its device stored with it."""
    return _words(act.parts, taken, act.slot, act.marks) + _shift(act.offset)


def as_told(reading: Reading, act: Act) -> str:
    """A reading in the same words, as far as the measurement says them."""
    # Marks that the device sets by itself are its own business.
    words = _words(reading.parts, reading.taken, reading.slot, reading.marks & act.marks)
    return words if act.offset is None else words + _shift(reading.offset)


def _words(parts: Parts, taken: datetime | None, slot: str | None, marks: AbstractSet[str]) -> str:
    when = taken.isoformat() if taken else "no time"
    return "  ".join((parts_in_words(parts), when, f"user {slot}", *sorted(marks)))


def _shift(offset: timedelta | None) -> str:
    return "" if offset is None else f"  offset {offset.total_seconds():+.0f} s"
