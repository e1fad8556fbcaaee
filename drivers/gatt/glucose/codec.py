"""Glucose Measurement 0x2A18 both ways, and what it and its context make of a reading. Pure; tables and sources: README.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from drivers.gatt.clocks import encode_stored_time
from drivers.gatt.glucose.context import Context, Number, in_words
from gateway.sdk import (
    OFFSET_UNKNOWN,
    Fields,
    Limit,
    Quantity,
    Reading,
    Special,
    StoredTime,
    encode_sfloat,
)

KIND = "glucose"
PART = "value"
KETONE = "ketone"

Unit = Literal["kg/L", "mol/L"]

_OFFSET, _CONCENTRATION, _IN_MOL, _STATUS, _CONTEXT = 0x01, 0x02, 0x04, 0x08, 0x10
OFFSET_OVERRUN, OFFSET_UNDERRUN = 0x7FFF, -0x8000

# The unit that a meter displays, and by how many powers of ten it differs from the field's.
SHOWN: Mapping[Unit, tuple[str, int]] = {"kg/L": ("mg/dL", 5), "mol/L": ("mmol/L", 3)}

TYPES: Mapping[int, str] = {
    1: "capillary_whole_blood", 2: "capillary_plasma", 3: "venous_whole_blood", 4: "venous_plasma",
    5: "arterial_whole_blood", 6: "arterial_plasma", 7: "undetermined_whole_blood",
    8: "undetermined_plasma", 9: "interstitial_fluid", 10: "control_solution",
}  # fmt: skip
LOCATIONS: Mapping[int, str] = {
    1: "finger", 2: "alternate_site_test", 3: "earlobe", 4: "control_solution", 15: "not_available",
}  # fmt: skip
CONTROL_TYPE, CONTROL_LOCATION = 10, 4

TOO_HIGH, TOO_LOW = 0x20, 0x40
STATUS_MARKS: Mapping[int, str] = {
    0x01: "battery_low",
    0x02: "sensor_malfunction",
    0x04: "sample_size_insufficient",
    0x08: "strip_insertion_error",
    0x10: "strip_type_incorrect",
    TOO_HIGH: "result_too_high",
    TOO_LOW: "result_too_low",
    0x80: "temperature_too_high",
    0x100: "temperature_too_low",
    0x200: "read_interrupted",
    0x400: "general_device_fault",
    0x800: "time_fault",
}
_LIMITS: Mapping[Number, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}
_LIMIT_BITS: Mapping[int, Limit] = {TOO_HIGH: Limit.ABOVE, TOO_LOW: Limit.BELOW}


@dataclass(frozen=True, slots=True)
class Concentration:
    """The number in the field's unit, and of what it was taken where (two nibbles, reserved ones as they stand)."""

    number: Number
    unit: Unit
    type: int
    location: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """The fields of 0x2A18 as they stand; None where the flags leave a field out. `offset_min` may be OVERRUN or UNDERRUN."""

    sequence: int
    base_time: StoredTime
    offset_min: int | None = None
    concentration: Concentration | None = None
    status: int | None = None
    context_follows: bool = False


def decode_measurement(data: bytes) -> Measurement:
    """Read 0x2A18. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags, sequence = fields.u8("flags"), fields.u16("sequence number")
    return Measurement(
        sequence=sequence,
        base_time=fields.date_time("base time"),
        offset_min=_signed(fields.u16("time offset")) if flags & _OFFSET else None,
        concentration=_concentration(fields, "mol/L" if flags & _IN_MOL else "kg/L")
        if flags & _CONCENTRATION
        else None,
        status=fields.u16("sensor status") if flags & _STATUS else None,
        context_follows=bool(flags & _CONTEXT),
    )


def _signed(told: int) -> int:
    # The supplement prints the range as unsigned; every meter east of its base time's zone says otherwise.
    return told - 0x10000 if told >= 0x8000 else told  # noqa: PLR2004 16-bit two's complement


def _concentration(fields: Fields, unit: Unit) -> Concentration:
    number, both = fields.sfloat("concentration"), fields.u8("type and location")
    return Concentration(number, unit, both & 0x0F, both >> 4)


def encode_measurement(told: Measurement) -> bytes:
    """Write 0x2A18. Raises ValueError or OverflowError for what the fields can't hold."""
    flags, tail = _CONTEXT if told.context_follows else 0, b""
    if told.offset_min is not None:
        flags |= _OFFSET
        tail += told.offset_min.to_bytes(2, "little", signed=True)
    if told.concentration is not None:
        sample = told.concentration
        flags |= _CONCENTRATION | (_IN_MOL if sample.unit == "mol/L" else 0)
        tail += encode_sfloat(sample.number) + bytes((sample.type | sample.location << 4,))
    if told.status is not None:
        flags |= _STATUS
        tail += told.status.to_bytes(2, "little")
    head = bytes((flags,)) + told.sequence.to_bytes(2, "little")
    return head + encode_stored_time(told.base_time) + tail


def reading(told: Measurement, raw: bytes, context: Context | None = None) -> Reading:
    """One record, with its context where it has one, as a reading. Base time and offset stay apart."""
    part = _part(told)
    known = told.offset_min not in (None, OFFSET_OVERRUN, OFFSET_UNDERRUN)
    return Reading(
        kind=KIND,
        parts={} if part is None else {PART: part},
        taken=told.base_time.naive,
        raw_time=told.base_time.text if told.base_time.naive is None else None,
        offset=timedelta(minutes=told.offset_min or 0) if known else None,
        sequence=told.sequence,
        context=dict(_context(told, part, context)),
        marks=frozenset(_marks(told, part)),
        raw=raw,
    )


def _part(told: Measurement) -> Quantity | Limit | None:
    beyond = _beyond(told)
    if beyond is not None:
        return beyond
    return _shown(told.concentration)


def _beyond(told: Measurement) -> Limit | None:
    """HI and LO come as an infinity, or as a status bit beside NaN or the range's last number (README)."""
    if told.concentration is not None and told.concentration.number in _LIMITS:
        return _LIMITS[told.concentration.number]
    return _LIMIT_BITS.get((told.status or 0) & (TOO_HIGH | TOO_LOW))


def _shown(sample: Concentration | None) -> Quantity | None:
    if sample is None or isinstance(sample.number, Special):
        return None
    unit, places = SHOWN[sample.unit]
    return Quantity(sample.number.scaleb(places), unit)


def _marks(told: Measurement, part: Quantity | Limit | None) -> Iterator[str]:
    sample = told.concentration
    for bit, mark in STATUS_MARKS.items():
        if (told.status or 0) & bit:
            yield mark
    if part is None:
        yield f"not_available:{PART}"
    if sample is not None and sample.type == CONTROL_TYPE:
        yield "control"
    elif sample is not None and sample.location == CONTROL_LOCATION:
        # Roche sends it for "not listed" (README): no reason to keep an alarm from a patient.
        yield "control_location"
    if told.offset_min in (OFFSET_OVERRUN, OFFSET_UNDERRUN):
        yield OFFSET_UNKNOWN


def _context(
    told: Measurement, part: Quantity | Limit | None, context: Context | None
) -> Iterator[tuple[str, str]]:
    sample = told.concentration
    if sample is not None:
        yield "sample_type", TYPES.get(sample.type, f"reserved_{sample.type}")
        yield "sample_location", LOCATIONS.get(sample.location, f"reserved_{sample.location}")
    if isinstance(part, Limit) and (sent := _shown(sample)):
        yield "sent", f"{sent.number:f} {sent.unit}"
    if context is not None:
        yield from in_words(context)


def ketone(told: Measurement, raw: bytes, context: Context) -> Reading:
    """A record that i-SENS marks as ketone: a tenth of the mg/dL of the field, in mmol/L (README)."""
    as_glucose = reading(told, raw, context)
    part = as_glucose.parts.get(PART)
    match part:
        case Quantity(number, "mg/dL"):
            part = Quantity(number.scaleb(-1), "mmol/L")
        case _:
            pass
    return Reading(
        kind=KETONE,
        parts={} if part is None else {PART: part},
        taken=as_glucose.taken,
        raw_time=as_glucose.raw_time,
        offset=as_glucose.offset,
        sequence=as_glucose.sequence,
        context=as_glucose.context,
        marks=as_glucose.marks,
        raw=raw,
    )
