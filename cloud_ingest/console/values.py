"""Measured values, limits and marks in words: the device's digits, the unit that the reader chose. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from cloud_ingest.console.words import Words
from gateway.model.kinds import FACTORS, MGDL_PER_MMOLL
from gateway.model.observation import Beyond, Observation, Part

UNIT_NAMES: Mapping[str, str] = {"mm[Hg]": "mmHg", "Cel": "°C"}
# Digits in which a converted value is printed: those of the meters that show this unit.
STEPS: Mapping[str, Decimal] = {
    "mmol/L": Decimal("0.1"),
    "mg/dL": Decimal(1),
    "mm[Hg]": Decimal(1),
}
GLUCOSE_UNITS = ("mg/dL", "mmol/L")
CONTROL = "control"  # the mark of a reading of control solution
# Where and what blood a home meter is made for: said beside each value it would hide what matters.
USUAL = frozenset({"capillary_whole_blood", "finger", "no_issues", "not_available"})
WINDOW = "window_"
SIGNS: Mapping[str, str] = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}
_COMPARISON = re.compile(r"(\w+) (>=|<=|<|>) ([\d.]+) (\S+)")


@dataclass(frozen=True, slots=True)
class Shown:
    """A measurement for the eye. `note` says what the device showed, where that is another unit; `more` are side values."""

    value: str
    unit: str
    note: str = ""
    more: str = ""

    @property
    def text(self) -> str:
        """Value and unit."""
        return f"{self.value} {self.unit}".strip()


def show(observation: Observation, words: Words, unit: str | None) -> Shown:
    """A measurement in the device's unit; glucose in `unit`, where the reader chose one."""
    parts = observation.parts
    match observation.kind:
        case "blood_pressure" if {"systolic", "diastolic"} <= parts.keys():
            pulse = parts.get("pulse_rate")
            upper, lower = parts["systolic"], parts["diastolic"]
            return Shown(
                value=f"{_digits(upper, words)} / {_digits(lower, words)}",
                unit=unit_name(_own_unit(upper)),
                note=_in_stored_unit(upper, lower, words),
                more=f"{_digits(pulse, words)}" if pulse else "",
            )
        case "glucose" if "value" in parts:
            return _glucose(parts["value"], words, unit)
        case "ketone" if "value" in parts:
            # The unit that a reader chose is for glucose: ketone is told in one unit only.
            return Shown(_digits(parts["value"], words), unit_name(_own_unit(parts["value"])))
        case "body_weight" if "weight" in parts:
            return _weight(parts["weight"], words)
        case _:
            told = [
                f"{words.maybe('part', name)} {_digits(part, words)} {unit_name(_own_unit(part))}"
                for name, part in sorted(parts.items())
            ]
            return Shown(value=", ".join(told), unit="")


def converted(mgdl: float, unit: str) -> float:
    """A stored glucose value (mg/dL) for a chart in `unit`."""
    return round(mgdl / float(MGDL_PER_MMOLL), 2) if unit == "mmol/L" else mgdl


def own_glucose_unit(observation: Observation) -> str:
    """`mmol/L` or `mg/dL`, whichever the device shows."""
    return "mmol/L" if own_unit(observation) == "mmol/L" else "mg/dL"


def own_unit(observation: Observation) -> str:
    """The unit of the measurement's first part, as the device names it."""
    return next((_own_unit(part) for part in observation.parts.values()), "")


def is_own(observation: Observation) -> bool:
    """Whether it is the person's: a control solution is not."""
    return CONTROL not in observation.marks


def unit_name(unit: str) -> str:
    """A unit as a clinician writes it."""
    return UNIT_NAMES.get(unit, unit)


def plain(shown: str) -> str:
    """A value that the records hold as text (`192/124 mm[Hg]`), with the unit as a clinician writes it."""
    for unit, name in UNIT_NAMES.items():
        shown = shown.replace(unit, name)
    return shown


def limit_words(limit: str, words: Words, unit: str = "") -> str:
    """`systolic >= 180 mm[Hg] or diastolic >= 120 mm[Hg]` as `systolic ≥ 180 or diastolic ≥ 120 mmHg`, in the reader's words.

    Of a limit that is published in several units, those in `unit` are told, where there are any.
    """
    clauses = [_COMPARISON.fullmatch(clause) for clause in limit.split(" or ")]
    known = [clause.groups() for clause in clauses if clause]
    if len(known) < len(clauses):
        return plain(limit)
    own = [one for one in known if unit_name(one[3]) == unit_name(unit)] or known
    told: list[str] = []
    for turn, (part, sign, number, its_unit) in enumerate(own):
        again = turn + 1 < len(own) and own[turn + 1][3] == its_unit
        ending = "" if again else f" {unit_name(its_unit)}"
        told.append(f"{words.maybe('part', part)} {SIGNS[sign]} {number}{ending}")
    return words("value.or").join(told)


def marks(observation: Observation, words: Words) -> Sequence[str]:
    """What the device marked, in words, and the context (before a meal), each once; what everybody expects is left unsaid."""
    told = [words.maybe("mark", mark) for mark in observation.marks]
    # Of how many samples a summary was made is said where it is looked into, not beside each value.
    context = [
        value
        for name, value in observation.context.items()
        if value not in USUAL and not name.startswith(WINDOW)
    ]
    return tuple(dict.fromkeys([*told, *(words.maybe("context", value) for value in context)]))


def _glucose(part: Part, words: Words, unit: str | None) -> Shown:
    own = _own_unit(part)
    if unit is None or unit == own or unit not in GLUCOSE_UNITS:
        return Shown(_digits(part, words), unit_name(own))
    device = words("value.on_device", value=f"{_digits(part, words)} {unit_name(own)}")
    if part.beyond is not None:
        return Shown(words(f"value.{part.beyond}"), unit, device)
    try:
        number = Decimal(part.value or "")
    except InvalidOperation:
        return Shown(_digits(part, words), unit_name(own))
    in_unit = number / MGDL_PER_MMOLL if unit == "mmol/L" else number
    return Shown(f"≈ {in_unit.quantize(STEPS[unit])}", unit, device)


def _weight(part: Part, words: Words) -> Shown:
    own = _own_unit(part)
    note = ""
    if own != part.unit and part.value and not part.beyond:
        note = words("value.about", value=f"{part.value} {unit_name(part.unit)}")
    return Shown(_digits(part, words), words.maybe("unit", unit_name(own)), note)


def _in_stored_unit(upper: Part, lower: Part, words: Words) -> str:
    own = _own_unit(upper)
    if FACTORS.get((own, upper.unit), Decimal(1)) == 1 or upper.beyond or lower.beyond:
        return ""
    try:
        pair = [Decimal(part.value or "").quantize(STEPS[upper.unit]) for part in (upper, lower)]
    except (InvalidOperation, KeyError):
        return ""
    return words("value.about", value=f"{pair[0]} / {pair[1]} {unit_name(upper.unit)}")


def _own_unit(part: Part) -> str:
    return part.original.unit if part.original else part.unit


def _digits(part: Part, words: Words) -> str:
    if part.beyond is not None:
        bound = (
            f" ({'<' if part.beyond is Beyond.BELOW else '>'} {_number(part)})"
            if part.value
            else ""
        )
        return words(f"value.{part.beyond}") + bound
    return _number(part)


def _number(part: Part) -> str:
    return (part.original.value if part.original else part.value) or "?"
