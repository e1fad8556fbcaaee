"""Whether a reading crosses a rule's limit, and how its value reads. Pure; nothing is converted here, nor rounded."""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal

from cloud_ingest.rules.thresholds import Clause, Rule
from gateway.model.kinds import FACTORS
from gateway.model.observation import Beyond, Observation, Part

_COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Units that a device spells otherwise than UCUM: the same unit, so the same limit.
_RESPELT: Mapping[str, str] = {
    unit: stored for (unit, stored), factor in FACTORS.items() if factor == 1
}
_LETTERS: Mapping[Beyond, str] = {Beyond.BELOW: "LO", Beyond.ABOVE: "HI"}


def crosses(rule: Rule, parts: Mapping[str, Part]) -> bool:
    """Whether any limit of the rule is crossed.

    Judged in the unit that the device sent where the rule has it, else in the stored one: published pairs of limits are
    rounded, so a converted value can lie on the wrong side.
    """
    for name, by_unit in rule.clauses.items():
        part = parts.get(name)
        if part is None:
            continue
        value, unit = _as_sent(part)
        clauses = by_unit.get(unit)
        if clauses is None:
            value, clauses = part.value, by_unit.get(part.unit, ())
        for clause in clauses:
            if _crosses(clause, value, part.beyond):
                return True
    return False


def shown(observation: Observation) -> str:
    """The value as the device gave it: `192/124 mm[Hg]`, `2.8 mmol/L`, `LO (below 20 mg/dL)`."""
    parts = observation.parts
    if "systolic" in parts and "diastolic" in parts:
        systolic, diastolic = parts["systolic"], parts["diastolic"]
        return f"{_figure(systolic)}/{_figure(diastolic)} {_as_sent(systolic)[1]}"
    return ", ".join(_told(name, part, alone=len(parts) == 1) for name, part in parts.items())


def _as_sent(part: Part) -> tuple[str | None, str]:
    # A bound comes from the profile, in the stored unit: the device showed letters.
    if part.original is None or part.beyond is not None:
        return part.value, part.unit
    return part.original.value, _RESPELT.get(part.original.unit, part.original.unit)


def _crosses(clause: Clause, value: str | None, beyond: Beyond | None) -> bool:
    if value is None:  # LO or HI with no known bound: nothing can be said of every value beyond it
        return False
    number = Decimal(value)
    if beyond is None:
        return _COMPARE[clause.op](number, clause.value)
    if beyond is Beyond.BELOW:  # every value below the bound crosses
        return clause.op in ("<", "<=") and number <= clause.value
    return clause.op in (">", ">=") and number >= clause.value


def _figure(part: Part) -> str:
    return _LETTERS[part.beyond] if part.beyond else _as_sent(part)[0] or ""


def _told(name: str, part: Part, *, alone: bool) -> str:
    before = "" if alone else f"{name} "
    if part.beyond is None:
        value, unit = _as_sent(part)
        return f"{before}{value} {unit}"
    bound = f" ({part.beyond.value} {part.value} {part.unit})" if part.value is not None else ""
    return f"{before}{_LETTERS[part.beyond]}{bound}"
