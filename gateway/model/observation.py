"""An observation: a measurement in our units, in UTC with evidence, under one key. Frozen, and the wire's own type."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta

# What the time series can hold (int64 nanoseconds). A device's year outside it is told as an unknown time, with its text.
UTC_YEARS = range(1678, 2262)
SPAN_S_MAX = 4e9  # about 127 years: an interval wider than that is told as unbounded
OFFSET_S_MAX = 4e11  # a device's clock may show any year from 1582 to 9999
PARTS_MAX = 32
MARKS_MAX = 64
WORD_CHARS_MAX = 80  # kinds, parts, marks, and ids of drivers and profiles
RAW_HEX_MAX = 16_384
SEEN_BEFORE_MAX = 4_096  # strings, or sets of names, that are known to be well formed or not

_KEY = r"[0-9]{8}-[rca]-[0-9a-f]{32}"
_DEVICE = r"[0-9a-f]{20}"
_CONTENT = r"[0-9a-f]{32}"
_UTC = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
# What is published of it: no month of 32 days, no leap second. JSON Schema can't tell leap years.
_UTC_PUBLISHED = (
    r"(167[89]|16[89][0-9]|1[7-9][0-9]{2}|2[01][0-9]{2}|22[0-5][0-9]|226[01])"
    r"-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
)
_NUMBER = r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"
_WORD = r"[A-Za-z0-9_.:/+-]+"
_TEXT = r"[^\x00-\x1f\x7f]*"
_HEX = r"([0-9a-f]{2})*"


def _string(pattern: str, shortest: int, longest: int) -> Meta:
    # Lengths are checked by the decoder; patterns are published, and checked by `flaw`: a regex a field costs 10 µs a reading.
    return Meta(
        min_length=shortest,
        max_length=longest,
        extra_json_schema={"pattern": f"^{pattern}$"},
    )


Key = Annotated[str, _string(_KEY, 43, 43)]
DeviceId = Annotated[str, _string(_DEVICE, 20, 20)]
ContentHash = Annotated[str, _string(_CONTENT, 32, 32)]
Utc = Annotated[str, _string(_UTC_PUBLISHED, 24, 24)]
Number = Annotated[str, _string(_NUMBER, 1, 46)]
Word = Annotated[str, _string(_WORD, 1, WORD_CHARS_MAX)]
Text = Annotated[str, _string(_TEXT, 0, 200)]
Hex = Annotated[str, _string(_HEX, 0, RAW_HEX_MAX)]
Span = Annotated[float, Meta(ge=0, le=SPAN_S_MAX)]
Offset = Annotated[float, Meta(ge=-OFFSET_S_MAX, le=OFFSET_S_MAX)]
SequenceNumber = Annotated[int, Meta(ge=0, lt=2**53)]
Parts = Annotated[Mapping[Word, "Part"], Meta(max_length=PARTS_MAX)]
Context = Annotated[Mapping[Word, Text], Meta(max_length=PARTS_MAX)]
Marks = Annotated[tuple[Word, ...], Meta(max_length=MARKS_MAX)]


class Beyond(StrEnum):
    """Which side of the device's range a value lies on: `below` (LO) or `above` (HI)."""

    BELOW = "below"
    ABOVE = "above"


class Original(msgspec.Struct, frozen=True, forbid_unknown_fields=False, gc=False):
    """A value as the device gave it, before conversion: decimal digits and the device's unit."""

    value: Number
    unit: Text


class Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One number of a measurement. `value` is a decimal string in `unit` (UCUM).

    A value off the device's scale has `beyond` instead, and in `value` the bound from the profile where one is known.
    `original` stands beside a converted value.
    """

    unit: Text
    value: Number | None = None
    beyond: Beyond | None = None
    original: Original | None = None


class TimeMethod(StrEnum):
    """How a device's clock became UTC."""

    CORRECTED = "corrected"  # the device's clock was read at this visit, beside the box's
    ASSUMED = "assumed"  # the device's clock could not be read: taken as local time of the profile's or box's zone
    ARRIVAL = "arrival"  # the device gave no usable time: the moment of arrival stands in for it


class Moment(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """When a measurement was taken, and how that is known.

    `utc` is ISO 8601 with `Z`, in milliseconds, of a year in `UTC_YEARS`. The measurement lies within [`utc` - `early_s`, `utc` + `late_s`].
    `known` is false where the device gave no usable time, and nobody saw it measure: `utc` is then the moment of arrival,
    and `early_s` is absent where nothing bounds it. `device` is the device's stored time as it stood (ISO 8601 without a zone; may be impossible).
    `offset_s` is what was added to the device's time to give UTC. `box_in_doubt`: the box doubts its own clock.
    `box_off_s`: by so much the box's clock was found to be wrong, and is corrected here. No box sends it: who reads an envelope
    whose header has `clock_off_s` puts it there.
    """

    utc: Utc
    method: TimeMethod
    known: bool = True
    early_s: Span | None = None
    late_s: Span = 0.0
    device: Text | None = None
    offset_s: Offset | None = None
    zone: Text | None = None
    box_in_doubt: bool = False
    box_off_s: Offset | None = None


class Source(StrEnum):
    """Whether the device told of a measurement by itself, or was read from memory."""

    PUSHED = "pushed"
    MEMORY = "memory"


class Observation(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One measurement, as it travels and is stored. `key` is its identity (see `gateway.model.identity`).

    `content` is a hash over values and units alone. `accepted` is the box's UTC when it was committed to the outbox.
    `context` (meal, posture) and `marks` (`control`, `irregular_pulse`, ...) are in neither key nor hash.
    `raw` is the frame that it was decoded from, in hex. `maker`, `model` and `firmware` are as the device stated them, absent
    where it stated none: by them the readings of a faulty firmware are found. They name no unit and no person.
    """

    key: Key
    device: DeviceId
    kind: Word
    parts: Parts
    time: Moment
    content: ContentHash
    source: Source
    accepted: Utc
    driver: Word
    profile: Word
    transport: Word
    sequence: SequenceNumber | None = None
    slot: Text | None = None
    context: Context = {}
    marks: Marks = ()
    raw: Hex | None = None
    maker: Text | None = None
    model: Text | None = None
    firmware: Text | None = None


# Fields of fixed length need nothing between them to be checked in one go.
_frame = re.compile(_KEY + _DEVICE + _CONTENT + _UTC + _UTC).fullmatch
_number = re.compile(_NUMBER).fullmatch
_word = re.compile(_WORD).fullmatch
_text = re.compile(_TEXT).fullmatch
_hex = re.compile(
    r"[0-9a-f]*"
).fullmatch  # and of even length: a group that repeats takes five times as long


def flaw(observation: Observation) -> str | None:
    """What is wrong with a decoded observation beyond its types and lengths, or None. Says where, not what stood there."""
    seen, time = observation, observation.time
    if not _frame(seen.key + seen.device + seen.content + time.utc + seen.accepted):
        return "key, device, content, time.utc or accepted is not of its pattern"
    return (
        _moment_flaw("time.utc", time.utc)
        or _moment_flaw("accepted", seen.accepted)
        or _parts_flaw(seen.parts)
        or _strings_flaw(seen)
    )


def _moment_flaw(what: str, text: str) -> str | None:
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        return f"{what} {text!r} is no moment"
    return (
        None if year in UTC_YEARS else f"{what}: year {year}; {UTC_YEARS[0]} to {UTC_YEARS[-1]} fit"
    )


def _parts_flaw(parts: Mapping[str, Part]) -> str | None:
    for name, part in parts.items():
        if part.value is None and part.beyond is None:
            return f"part {name!r} has neither value nor beyond"
        if part.value is not None and not _is_number(part.value):
            return f"part {name!r}: its value is no decimal number"
        if part.original is not None and not _is_number(part.original.value):
            return f"part {name!r}: its original value is no decimal number"
    return None


def _strings_flaw(seen: Observation) -> str | None:
    time = seen.time
    words = (seen.kind, seen.driver, seen.profile, seen.transport, *seen.parts)
    if seen.context or seen.marks:
        words = (*words, *seen.context, *seen.marks)
    if not _are_words(words):
        return f"a name or mark has other characters than {_WORD}"
    for part in seen.parts.values():
        original = part.original
        if not _is_text(part.unit) or (original is not None and not _is_text(original.unit)):
            return "a text has a control character"
    texts = (seen.slot or "", time.device or "", time.zone or "", *seen.context.values())
    if not _is_plain("".join(texts)):
        return "a text has a control character"
    if seen.maker or seen.model or seen.firmware:
        texts = (seen.maker or "", seen.model or "", seen.firmware or "")
        if not _is_text("".join(texts)):
            return "a text has a control character"
    hexed = seen.raw is None or (len(seen.raw) % 2 == 0 and _hex(seen.raw))
    return None if hexed else "raw is no hex"


def _is_plain(text: str) -> bool:
    # What is printable has no control character; of the rest (a no-break space) most have none either.
    return text.isprintable() or _text(text) is not None


# The same few names, units and values come in nearly every reading: to look them up is a tenth of matching them anew.
@lru_cache(SEEN_BEFORE_MAX)
def _are_words(words: tuple[str, ...]) -> bool:
    return _word("".join(words)) is not None


@lru_cache(SEEN_BEFORE_MAX)
def _is_text(text: str) -> bool:
    return _text(text) is not None


@lru_cache(SEEN_BEFORE_MAX)
def _is_number(text: str) -> bool:
    return _number(text) is not None
