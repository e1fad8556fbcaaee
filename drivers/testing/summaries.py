"""Summaries of a stream of which one packet was lost, doubled or moved: what must hold of them, since their values may change. Pure."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal

from drivers.testing.case import WINDOW, Case, Parts, measurements, shape, stray
from gateway.contract.session import Reading
from gateway.contract.stamping import scheme_of
from gateway.model.identity import Scheme
from gateway.model.quantity import Limit, Quantity

SUMMARY = "summary"  # the mark of what was computed of a stream's samples
ENDS = LOWEST, HIGHEST = "_lowest", "_highest"  # so end names of parts that a single sample showed
COUNTED = "window_valid"  # of how many samples it is: the entry of its context
WINDOWS_MAX = 2  # that one packet can change


@dataclass(frozen=True, slots=True)
class Shown:
    """What packets of a stream show, each by itself: parts, entries of the context, marks."""

    parts: AbstractSet[tuple[str, Quantity | Limit]] = frozenset()
    context: AbstractSet[tuple[str, str]] = frozenset()
    marks: AbstractSet[str] = frozenset()


def shown_by(readings: Sequence[Reading]) -> Shown:
    """All that these say."""
    return Shown(
        frozenset(part for one in readings for part in one.parts.items()),
        frozenset(entry for one in readings for entry in one.context.items()),
        frozenset(mark for one in readings for mark in one.marks),
    )


def misled(case: Case, told: Sequence[Reading], whole: Sequence[Reading], by: Shown) -> str | None:
    """Why summaries are none of what was sent. A sample more or less changes its window's; at a border it changes two.

    `by`: what single packets show. No more than the one sample may be gone, or be there twice.
    """
    known = measurements(whole)
    changed = [one for one in told if stray([one], whole)]
    gone = (known - measurements(told)).total()
    if len(changed) > WINDOWS_MAX or gone > WINDOWS_MAX or len(told) > len(whole) + 1:
        return f"one packet changed {len(changed)} windows, and {gone} are gone"
    if uncounted := [
        one for one in (*told, *whole) if not one.context.get(COUNTED, "").isdecimal()
    ]:
        return f"a summary that doesn't say of how many samples it is ({COUNTED}): {shape(uncounted[0])}"
    counted, due = (sum(int(one.context[COUNTED]) for one in of) for of in (told, whole))
    if abs(counted - due) > 1:
        return f"one packet makes a difference of {abs(counted - due)} samples"
    kinds = {other.kind for other in whole}
    return next((why for one in changed if (why := _no_summary(case, one, kinds, by))), None)


def _no_summary(case: Case, one: Reading, kinds: AbstractSet[str], by: Shown) -> str | None:
    if scheme_of(one, case.profile) is not Scheme.ARRIVAL or one.slot is not None:
        return f"a summary is named by more than its arrival: {shape(one)}"
    if one.kind not in kinds:
        return f"tells of {one.kind}, which was not measured"
    if not one.parts:
        return f"a summary of nothing: {shape(one)}"
    said = {entry for entry in one.context.items() if not entry[0].startswith(WINDOW)}
    if more := [*sorted(one.marks - by.marks), *map(": ".join, sorted(said - by.context))]:
        return f"says {more[0]}, which no packet showed"
    for name, part in one.parts.items():
        if not _stands_on(name, part, one.parts, by):
            return f"tells of {name} {part}, which no packet showed"
    return None


def _stands_on(name: str, part: Quantity | Limit, beside: Parts, by: Shown) -> bool:
    """An end, and LO or HI, is one that a packet showed; what has ends lies between them; all else a packet showed, or it deviates no wider than the ends."""
    if name.endswith(ENDS) or isinstance(part, Limit):
        return (name, part) in by.parts
    ends = {end: (low, high) for end, low, high in _ends(beside) if low.unit == part.unit}
    half_a_step = Decimal(1).scaleb(int(part.number.as_tuple().exponent)) / 2
    if name in ends:
        low, high = ends[name]
        return low.number - half_a_step <= part.number <= high.number + half_a_step
    if (name, part) in by.parts:
        return True
    widths = [high.number - low.number for low, high in ends.values()]
    return bool(widths) and 0 <= part.number <= max(widths) + half_a_step


def _ends(parts: Parts) -> Iterator[tuple[str, Quantity, Quantity]]:
    for name in parts:
        low, high = parts.get(name + LOWEST), parts.get(name + HIGHEST)
        if isinstance(low, Quantity) and isinstance(high, Quantity):
            yield name, low, high
