"""What each measurement is due to raise for the person who wears the device. Pure, and on purpose not the ingester's code.

Thresholds as the clinical table states them: BP-CRISIS (AHA-2017, CN-BPHS-HTN), GLU-L2 (ADA).
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from drivers.sim.fleet import Act, Due, Rule
from drivers.sim.truth import AlertDue, How
from gateway.model.quantity import Limit, Quantity

SYSTOLIC_CRISIS_MMHG = Decimal(180)
DIASTOLIC_CRISIS_MMHG = Decimal(120)
GLUCOSE_LEVEL_2 = {"mg/dL": Decimal(54), "mmol/L": Decimal("3.0")}
MMHG_PER_UNIT = {"mmHg": Decimal(1), "kPa": Decimal("7.50062")}

GAP_S_MIN = 60
"""Two crisis readings nearer than this are one act."""

WITHIN_S = 600
"""Two crisis readings further apart than this don't confirm each other."""

LIVE_FOR_S = 7200
"""Older, a finding of high severity is late and pages nobody."""

NEVER_ALARM = frozenset({"control", "memory_parity"})


def judged(acts: Sequence[Act]) -> tuple[Act, ...]:
    """The acts of one person, oldest first, each with what it raises.

    One alert for each condition; a live finding wins over a late one.

    Age is that at the ward's start, so nothing may lie near LIVE_FOR_S.
    """
    flags = [crossed(act) for act in acts]
    alerts: dict[int, AlertDue] = {}
    for rule in sorted({rule for crossing in flags for rule in crossing}):
        completing = [
            place for place, crossing in enumerate(flags)
            if rule in crossing and _completes(rule, acts, flags, place)
        ]  # fmt: skip
        if completing:
            live = [place for place in completing if acts[place].at_s > -LIVE_FOR_S]
            how: How = "live" if live else "late"
            alerts[(live or completing)[0]] = AlertDue(rule, how)
    return tuple(
        replace(act, due=Due(crossing, alerts.get(place)))
        for place, (act, crossing) in enumerate(zip(acts, flags, strict=True))
    )


def crossed(act: Act) -> tuple[Rule, ...]:
    """The rules that this measurement crosses by itself; none for what is no person's measurement."""
    if act.marks & NEVER_ALARM:
        return ()
    parts = act.parts
    if not parts.keys().isdisjoint({"weight", "temperature"}):
        return ()
    if "value" in parts:
        return ("GLU-L2",) if _is_low(parts["value"]) else ()
    crisis = (
        _mmhg(parts["systolic"]) >= SYSTOLIC_CRISIS_MMHG
        or _mmhg(parts["diastolic"]) >= DIASTOLIC_CRISIS_MMHG
    )
    return ("BP-CRISIS",) if crisis else ()


def _completes(
    rule: Rule, acts: Sequence[Act], flags: Sequence[tuple[Rule, ...]], place: int
) -> bool:
    if rule == "GLU-L2":
        return True
    at_s = acts[place].at_s
    return any(
        rule in flags[before] and GAP_S_MIN <= at_s - acts[before].at_s <= WITHIN_S
        for before in range(place)
    )


def _is_low(value: Quantity | Limit) -> bool:
    # What a meter shows as LO lies below its range, which begins at 20 mg/dL: all of that is below 54.
    if isinstance(value, Limit):
        return value is Limit.BELOW
    return value.number < GLUCOSE_LEVEL_2[value.unit]


def _mmhg(part: Quantity | Limit) -> Decimal:
    assert isinstance(part, Quantity), "no cuff of the fleet shows a limit"
    return part.number * MMHG_PER_UNIT[part.unit]
