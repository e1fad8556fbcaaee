"""What the kit tries at the ends: of the calendar and the day, of a range in each unit, of a memory. Pure; judges nothing."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from drivers.testing.case import Bench, Case
from drivers.testing.subject import SAMPLES_MAX
from gateway.model.kinds import FACTORS, KINDS, ZEROS
from gateway.model.quantity import Quantity

FULL_MAX = 1_000  # records; a memory that holds more is filled so far
STEP = Decimal(1)  # beyond a range
FAR = 2  # times as little and as much as it can show
TIMES = 10  # what a sample shows, where the profile says nothing of a range

# Local times at which drivers' clocks go wrong: noon and midnight of a twelve-hour clock, months and days of two digits, the
# turn of a year, a leap day.
MOMENTS = tuple(
    map(
        datetime.fromisoformat,
        (
            "2026-10-09T13:05:00",
            "2026-11-30T00:30:09",
            "2026-12-25T12:10:30",
            "2026-12-31T23:59:59",
            "2027-01-01T00:00:00",
            "2028-02-29T11:59:58",
        ),
    )
)


def full(case: Case, manner: str) -> Bench | None:
    """A device whose memory is full, as its profile counts it; None where that says nothing, or its device's side holds fewer."""
    bench = Bench(case, manner)
    for number in range(min(case.profile.memory or 0, FULL_MAX)):
        before = bench.specimen.remembered
        bench.measure(case.sample(number % SAMPLES_MAX))
        if bench.specimen.remembered <= before:
            return None
    return bench if bench.measured else None


def odd(case: Case, part: str, shown: Quantity) -> Iterator[Decimal]:
    """Numbers at the ends of its range and beyond, in the digits that it shows.

    A profile that states no range doesn't say how far a number can go: then it is tried far off.
    """
    bounds = case.profile.ranges.get(part)
    if bounds is None:
        yield (shown.number * TIMES).quantize(shown.number)
        yield -shown.number
        return
    stored = KINDS[case.profile.kind].parts.get(part, "") if case.profile.kind in KINDS else ""
    low, high = (_in(shown.unit, bound, bounds.unit, stored) for bound in (bounds.low, bounds.high))
    if low is None or high is None:
        return
    for number in (low - STEP, low, high, high + STEP, -STEP, low / FAR, high * FAR):
        yield number.quantize(shown.number) if shown.number.is_finite() else number


def _in(unit: str, number: Decimal, told: str, stored: str) -> Decimal | None:
    """The number in another unit of the same part; None where none of ours is between the two."""
    if unit == told:
        return number
    there, back = FACTORS.get((told, stored)), FACTORS.get((unit, stored))
    if there is None or back is None:
        return None
    none = Decimal()
    return (number - ZEROS.get((told, stored), none)) * there / back + ZEROS.get(
        (unit, stored), none
    )
