"""Reading → Observation: our units, our key, marks for what is odd. Pure: no clock, no store; repairs and drops nothing.

What an observation may not carry on the wire (NaN, control characters, names too long) is bent here, and a mark says so, so
that no reading is ever parked by the cloud for the way in which its device or its driver told it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from itertools import count
from typing import TypeVar

from gateway.contract.profile import Profile, Range
from gateway.contract.session import Reading
from gateway.contract.stamping import stamp_of
from gateway.model.identity import content_hash, observation_key
from gateway.model.kinds import FACTORS, KINDS, ZEROS
from gateway.model.observation import (
    MARKS_MAX,
    PARTS_MAX,
    RAW_HEX_MAX,
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
)
from gateway.model.quantity import Limit, Quantity
from gateway.runtime.clock import iso

# A converted value is rounded, half to even, to a thousandth of the stored unit: finer than any device's digits, so that
# converting back gives what it showed. Its own digits claim nothing; those that do stand in `original`, unrounded.
CONVERTED_STEP = Decimal("0.001")
RAW_BYTES_MAX = RAW_HEX_MAX // 2  # a longer frame is not kept as evidence; the mark says so
EXPONENT_MAX = 99
NUMBER_CHARS_MAX = 46
TEXT_CHARS_MAX = 200
WORD_CHARS_MAX = 80
SEQUENCE_END = 2**53

IMPLAUSIBLE = "implausible"
UNKNOWN_UNIT = "unknown_unit"
NOT_A_NUMBER = "not_a_number"  # what the device gave for a part stands in the context, as text
RAW_WITHHELD = "raw_withheld"
PARTS_WITHHELD = "parts_withheld"  # more than an observation may have: they stand in `raw`
CONTEXT_WITHHELD = "context_withheld"

T = TypeVar("T")

_exact = Context(prec=200)
_NO_ZERO = Decimal()
_number_shape = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?").fullmatch
_no_word = re.compile(r"[^A-Za-z0-9_.:/+-]")
_end_of_window = re.compile(r"_(lowest|highest)\Z")
_no_text = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_BEYOND = {Limit.BELOW: Beyond.BELOW, Limit.ABOVE: Beyond.ABOVE}


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the agent knows of a reading. `accepted` is aware; `arrival` is 64 random bits in hex, drawn for this reading.

    `facts` is what the device states of itself, by name.
    """

    agent: str
    device: str
    transport: str
    accepted: datetime
    arrival: str
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


def normalise(
    reading: Reading, profile: Profile, moment: Moment, provenance: Provenance
) -> Observation:
    """One observation for one reading, always. What is odd about it stands in its marks."""
    parts, context = _told(reading, profile)
    marks = {*map(_word, reading.marks), *_marks(reading, profile, parts, context)}
    parts, context = _first(parts), _first(context)
    content = content_hash(reading.kind, parts)
    stamp = stamp_of(reading, profile, content, arrival=f"{provenance.agent}:{provenance.arrival}")
    return Observation(
        key=observation_key(provenance.device, reading.kind, stamp, provenance.accepted.date()),
        device=provenance.device,
        kind=_word(reading.kind),
        parts=parts,
        time=moment,
        content=content,
        source=Source.PUSHED if reading.pushed else Source.MEMORY,
        accepted=iso(provenance.accepted),
        driver=profile.driver,
        profile=profile.id,
        transport=provenance.transport,
        sequence=reading.sequence if 0 <= (reading.sequence or 0) < SEQUENCE_END else None,
        slot=None if reading.slot is None else _text(reading.slot),
        context=context,
        marks=tuple(sorted(marks)[:MARKS_MAX]),
        raw=reading.raw.hex() if 0 < len(reading.raw) <= RAW_BYTES_MAX else None,
        maker=_stated(provenance, "manufacturer"),
        model=_stated(provenance, "model"),
        firmware=_stated(provenance, "firmware"),
    )


def _stated(provenance: Provenance, name: str) -> str | None:
    return _text(provenance.facts.get(name, "")) or None


def _told(reading: Reading, profile: Profile) -> tuple[dict[str, Part], dict[str, str]]:
    units = _units(reading)
    parts: dict[str, Part] = {}
    context: dict[str, str] = {}
    for name, value in reading.parts.items():
        part = _part(value, units.get(name), _shown(name, _ranges(reading, profile)))
        if part is None:
            context[_free(_word(name), context)] = _text(str(value))
        else:
            parts[_free(_word(name), parts)] = part
    for name, told in reading.context.items():
        context[_free(_word(name), context)] = _text(told)
    return parts, context


def _units(reading: Reading) -> Mapping[str, str]:
    return KINDS[reading.kind].parts if reading.kind in KINDS else {}


def _ranges(reading: Reading, profile: Profile) -> Mapping[str, Range]:
    # What a meter shows of glucose says nothing of the ketone that it measures too.
    return profile.ranges if reading.kind == profile.kind else {}


def _shown(name: str, ranges: Mapping[str, Range]) -> Range | None:
    # The lowest and the highest of a stream's window are bounded as each of its samples.
    return ranges.get(name) or ranges.get(_end_of_window.sub("", name))


def _part(value: Quantity | Limit, stored: str | None, shown: Range | None) -> Part | None:
    if isinstance(value, Quantity):
        return _number(value, stored)
    if shown is None:
        return Part(unit=stored or "", beyond=_BEYOND[value])
    # The bound is the profile's, not something that the device said: it has no original.
    bound = _number(Quantity(shown.low if value is Limit.BELOW else shown.high, shown.unit), stored)
    assert bound is not None, "a profile's bounds are numbers"
    return Part(unit=bound.unit, value=bound.value, beyond=_BEYOND[value])


def _number(value: Quantity, stored: str | None) -> Part | None:
    told = _digits(value.number)
    if told is None:
        return None
    exact = _converted(value.number, value.unit, stored)
    if stored is None or exact is None:
        return Part(unit=_text(value.unit), value=told)
    if FACTORS[value.unit, stored] == 1:
        return Part(unit=stored, value=told)
    rounded = _digits(exact.quantize(CONVERTED_STEP, context=_exact).normalize(_exact))
    if rounded is None:
        return Part(unit=_text(value.unit), value=told)
    return Part(unit=stored, value=rounded, original=Original(value=told, unit=value.unit))


def _converted(number: Decimal, unit: str, stored: str | None) -> Decimal | None:
    factor = FACTORS.get((unit, stored)) if stored is not None else None
    if factor is None or _digits(number) is None:
        return None
    zero = ZEROS.get((unit, stored or ""), _NO_ZERO)
    return _exact.multiply(_exact.subtract(number, zero), factor)


def _digits(number: Decimal) -> str | None:
    # `36.50` stays `36.50`, and 12E+1 is written as the device showed it: 120. None: no number, or garbage.
    if not number.is_finite() or max(abs(_exponent(number)), abs(number.adjusted())) > EXPONENT_MAX:
        return None
    for told in (f"{number:f}", str(number)):
        if len(told) <= NUMBER_CHARS_MAX and _number_shape(told):
            return told
    return None


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "asked of finite numbers only"
    return exponent


def _word(name: str) -> str:
    return _no_word.sub("_", name)[:WORD_CHARS_MAX] or "_"


def _text(told: str) -> str:
    return _no_text.sub("\N{REPLACEMENT CHARACTER}", told)[:TEXT_CHARS_MAX]


def _free(name: str, taken: Mapping[str, object]) -> str:
    # Only where characters had to be replaced, or a part had to go into the context, can two names have become one.
    if name not in taken:
        return name
    stem = name[: WORD_CHARS_MAX - 10]
    return next(free for k in count(2) if (free := f"{stem}.{k}") not in taken)


def _first(named: dict[str, T]) -> dict[str, T]:
    return dict(list(named.items())[:PARTS_MAX])


def _marks(
    reading: Reading, profile: Profile, parts: Mapping[str, Part], context: Mapping[str, str]
) -> Iterator[str]:
    units = _units(reading)
    numbers = {n: v for n, v in reading.parts.items() if isinstance(v, Quantity)}
    if any(part.unit != units.get(name) for name, part in parts.items()):
        yield UNKNOWN_UNIT
    if len(parts) < len(reading.parts):
        yield NOT_A_NUMBER
    if len(reading.raw) > RAW_BYTES_MAX:
        yield RAW_WITHHELD
    if len(parts) > PARTS_MAX:
        yield PARTS_WITHHELD
    if len(context) > PARTS_MAX:
        yield CONTEXT_WITHHELD
    ranges = _ranges(reading, profile)
    outside = any(_is_outside(v, ranges.get(n), units.get(n)) for n, v in numbers.items())
    if outside or _is_upside_down(numbers, units):
        yield IMPLAUSIBLE


def _is_outside(value: Quantity, shown: Range | None, stored: str | None) -> bool:
    if _digits(value.number) is None:
        return True
    if shown is None:
        return False
    if value.unit == shown.unit:
        return not shown.low <= value.number <= shown.high
    number = _converted(value.number, value.unit, stored)
    low, high = (_converted(bound, shown.unit, stored) for bound in (shown.low, shown.high))
    if number is None or low is None or high is None:
        return False
    # The device rounded to its own digits: 40.0 kPa may be 299.7 mmHg.
    half_step = Decimal((0, (5,), _exponent(value.number) - 1))
    half = _exact.multiply(half_step, FACTORS[value.unit, stored or ""])
    return not low - half <= number <= high + half


def _is_upside_down(numbers: Mapping[str, Quantity], units: Mapping[str, str]) -> bool:
    systolic, diastolic = (
        _converted(numbers[name].number, numbers[name].unit, units.get(name))
        if name in numbers
        else None
        for name in ("systolic", "diastolic")
    )
    return systolic is not None and diastolic is not None and diastolic >= systolic
