"""Summaries of a stream of which one packet was lost, doubled or moved: what must hold of them, since their values may change. Pure."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

from drivers.testing.case import Case, measurements, shape, stray
from gateway.contract.session import Reading
from gateway.contract.stamping import scheme_of
from gateway.model.identity import Scheme
from gateway.model.quantity import Quantity

SUMMARY = "summary"  # the mark of what was computed of a stream's samples
ENDS = ("_lowest", "_highest")  # so end names of parts that a single sample showed
WINDOWS_MAX = 2  # that one packet can change

Ends = Mapping[str, AbstractSet[Quantity]]


def misled(case: Case, told: Sequence[Reading], whole: Sequence[Reading], ends: Ends) -> str | None:
    """Why summaries are none of what was sent. A sample more or less changes its window's; at a border it changes two."""
    known = measurements(whole)
    changed = [one for one in told if stray([one], whole)]
    gone = (known - measurements(told)).total()
    if len(changed) > WINDOWS_MAX or gone > WINDOWS_MAX or len(told) > len(whole) + 1:
        return f"one packet changed {len(changed)} windows, and {gone} are gone"
    for one in changed:
        if scheme_of(one, case.profile) is not Scheme.ARRIVAL or one.slot is not None:
            return f"a summary is named by more than its arrival: {shape(one)}"
        if one.kind not in {other.kind for other in whole}:
            return f"tells of {one.kind}, which was not measured"
        if not one.parts:
            return f"a summary of nothing: {shape(one)}"
        for name, part in one.parts.items():
            if not (isinstance(part, Quantity) and _stands_on(name, part, ends)):
                return f"tells of {name} {part}, which no packet showed"
    return None


def _stands_on(name: str, part: Quantity, ends: Ends) -> bool:
    """An end is one that a packet showed; what lies between lies between; a deviation is no wider than all that was shown."""
    for suffix in ENDS:
        if name.endswith(suffix):
            return part in ends.get(name.removesuffix(suffix), ())
    if shown := ends.get(name):
        numbers = [one.number for one in shown]
        half_a_step = Decimal(1).scaleb(int(part.number.as_tuple().exponent)) / 2
        in_reach = min(numbers) - half_a_step <= part.number <= max(numbers) + half_a_step
        return in_reach and part.unit in {one.unit for one in shown}
    widths = [
        max(one.number for one in shown) - min(one.number for one in shown)
        for shown in ends.values()
        if part.unit in {one.unit for one in shown}
    ]
    return bool(widths) and 0 <= part.number <= max(widths)
