"""Measured values, limits and marks in words: the device's digits, the unit that the reader chose. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from cloud_ingest.console.words import Words
from gateway.model.kinds import FACTORS, MGDL_PER_MMOLL
from gateway.model.observation import Beyond, Observation, Part

UNIT_NAMES: Mapping[str, str] = {
    "mm[Hg]": "mmHg",
    "Cel": "°C",
    "degC": "°C",
    "degF": "°F",
    "kg/m2": "kg/m²",
    "Ohm": "Ω",
}
# Digits in which a converted value is printed: those of the meters that show this unit.
STEPS: Mapping[str, Decimal] = {
    "mmol/L": Decimal("0.1"),
    "mg/dL": Decimal(1),
    "mm[Hg]": Decimal(1),
    "Cel": Decimal("0.1"),
}
SELF_EVIDENT = frozenset({"blood_pressure", "glucose", "body_weight", "body_temperature"})
GLUCOSE_UNITS = ("mg/dL", "mmol/L")
CONTROL = "control"  # the mark of a reading of control solution
# Where and what blood a home meter is made for: said beside each value it would hide what matters.
USUAL = frozenset({"capillary_whole_blood", "finger", "no_issues", "not_available"})
WINDOW = "window_"
SIGNS: Mapping[str, str] = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")
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
    needed, told = _SHOWN.get(observation.kind, ((), None))
    if told is not None and parts.keys() >= set(needed):
        return told(parts, words, unit)
    # A kind or a choice of parts that is not known here: all of it, by name.
    every = [_part(name, part, words) for name, part in sorted(parts.items())]
    return Shown(value=", ".join(every), unit="")


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


def kind_words(observation: Observation, words: Words) -> str:
    """What was measured, where value and unit alone don't say it: 97 % may be oxygen or fat."""
    kind, parts = observation.kind, observation.parts
    if kind == "body_composition" and "body_fat" in parts:
        return words.maybe("part", "body_fat")
    return "" if kind in SELF_EVIDENT else words.maybe("kind", kind)


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
    context = [
        # A number alone says nothing.
        f"{words.maybe('context', name)} {value}"
        if _NUMBER.fullmatch(value)
        else words.maybe("context", value)
        for name, value in observation.context.items()
        # Of how many samples a summary was made is said where it is looked into, not beside each value.
        if value not in USUAL and not name.startswith(WINDOW)
    ]
    return tuple(dict.fromkeys([*told, *context]))


def _glucose(part: Part, words: Words, unit: str | None) -> Shown:
    own = _own_unit(part)
    if unit is None or unit == own or unit not in GLUCOSE_UNITS:
        return Shown(_digits(part, words), unit_name(own))
    device = words("value.on_device", value=f"{_digits(part, words)} {unit_name(own)}")
    if part.beyond is not None:
        return Shown(words(f"value.{part.beyond}"), unit, device)
    try:
        number = Decimal(part.value or "")
        in_unit = number / MGDL_PER_MMOLL if unit == "mmol/L" else number
        # Raises for what has more digits than can be counted with.
        told = in_unit.quantize(STEPS[unit])
    except InvalidOperation:
        return Shown(_digits(part, words), unit_name(own))
    return Shown(f"≈ {told}", unit, device)


def _temperature(part: Part, words: Words) -> Shown:
    """In degrees Celsius, with what the device showed beside it where that is another unit."""
    own = _own_unit(part)
    if FACTORS.get((own, part.unit), Decimal(1)) == 1 or part.beyond is not None:
        return Shown(_digits(part, words), unit_name(own))
    try:
        number = Decimal(part.value or "").quantize(STEPS[part.unit])
    except (InvalidOperation, KeyError):
        return Shown(_digits(part, words), unit_name(own))
    device = words("value.on_device", value=f"{_digits(part, words)} {unit_name(own)}")
    return Shown(f"≈ {number}", unit_name(part.unit), device)


def _rated(parts: Mapping[str, Part], main: str, rate: str, words: Words) -> Shown:
    """One part as the value, the pulse beside it, what else there is in the note."""
    beside = parts.get(rate)
    return Shown(
        value=_digits(parts[main], words),
        unit=unit_name(_own_unit(parts[main])),
        note=_others(parts, words, main, rate),
        more=_digits(beside, words) if beside else "",
    )


def _others(parts: Mapping[str, Part], words: Words, *but: str) -> str:
    return _joined(*(_part(name, parts[name], words) for name in sorted(parts) if name not in but))


def _part(name: str, part: Part, words: Words) -> str:
    return f"{words.maybe('part', name)} {_digits(part, words)} {unit_name(_own_unit(part))}"


def _joined(*told: str) -> str:
    return " · ".join(one for one in told if one)


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


Parts = Mapping[str, Part]


def _show_pressure(parts: Parts, words: Words, _unit: str | None) -> Shown:
    pulse = parts.get("pulse_rate")
    upper, lower = parts["systolic"], parts["diastolic"]
    return Shown(
        value=f"{_digits(upper, words)} / {_digits(lower, words)}",
        unit=unit_name(_own_unit(upper)),
        note=_in_stored_unit(upper, lower, words),
        more=_digits(pulse, words) if pulse else "",
    )


def _show_glucose(parts: Parts, words: Words, unit: str | None) -> Shown:
    told = _glucose(parts["value"], words, unit)
    return replace(told, note=_joined(told.note, _others(parts, words, "value")))


def _show_ketone(parts: Parts, words: Words, _unit: str | None) -> Shown:
    # The unit that a reader chose is for glucose: ketone is told in one unit only.
    return Shown(_digits(parts["value"], words), unit_name(_own_unit(parts["value"])))


def _show_weight(parts: Parts, words: Words, _unit: str | None) -> Shown:
    told = _weight(parts["weight"], words)
    return replace(told, note=_joined(told.note, _others(parts, words, "weight")))


def _show_temperature(parts: Parts, words: Words, _unit: str | None) -> Shown:
    return _temperature(parts["temperature"], words)


def _show_oxygen(parts: Parts, words: Words, _unit: str | None) -> Shown:
    return _rated(parts, "spo2", "pulse_rate", words)


def _show_heart_rate(parts: Parts, words: Words, _unit: str | None) -> Shown:
    return _rated(parts, "heart_rate", "", words)


def _show_composition(parts: Parts, words: Words, _unit: str | None) -> Shown:
    return _rated(parts, "body_fat", "", words)


# A kind -> the parts without which its usual form says nothing, and that form.
_SHOWN: Mapping[str, tuple[Sequence[str], Callable[[Parts, Words, str | None], Shown]]] = {
    "blood_pressure": (("systolic", "diastolic"), _show_pressure),
    "glucose": (("value",), _show_glucose),
    "continuous_glucose": (("value",), _show_glucose),
    "ketone": (("value",), _show_ketone),
    "body_weight": (("weight",), _show_weight),
    "body_temperature": (("temperature",), _show_temperature),
    "pulse_oximetry": (("spo2",), _show_oxygen),
    "heart_rate": (("heart_rate",), _show_heart_rate),
    "body_composition": (("body_fat",), _show_composition),
}
