"""Blood Pressure Measurement 0x2A35, both ways. Pure; tables and sources: README.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from drivers.gatt.clocks import encode_stored_time
from gateway.sdk import (
    Fields,
    Limit,
    Quantity,
    Reading,
    Special,
    StoredTime,
    encode_sfloat,
)

KIND = "blood_pressure"
UNKNOWN_USER = 0xFF
UNKNOWN_USER_MARK = "unknown_user"
"""The cuff knows users, and not who this was. Without it the reading is like one of a cuff that has no users."""

Number = Decimal | Special
Unit = Literal["mmHg", "kPa"]

KPA, TIME, PULSE, USER, STATUS = 0x01, 0x02, 0x04, 0x08, 0x10

STATUS_MARKS: Mapping[int, str] = {
    0x01: "body_movement",
    0x02: "cuff_loose",
    0x04: "irregular_pulse",
    0x20: "improper_position",
}
# Two bits; 00 is "in range", 11 is reserved and says nothing.
_PULSE_RANGE_BITS = 0x18
PULSE_RANGE_MARKS: Mapping[int, str] = {0x08: "pulse_above_range", 0x10: "pulse_below_range"}

_LIMITS: Mapping[Number, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}


@dataclass(frozen=True, slots=True)
class Measurement:
    """The fields of 0x2A35 as they stand; None where the flags leave a field out. Pressures are in `unit`."""

    unit: Unit
    systolic: Number
    diastolic: Number
    mean: Number
    time: StoredTime | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None


def decode_measurement(data: bytes) -> Measurement:
    """Read 0x2A35. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return Measurement(
        unit="kPa" if flags & KPA else "mmHg",
        systolic=fields.sfloat("systolic"),
        diastolic=fields.sfloat("diastolic"),
        mean=fields.sfloat("mean arterial pressure"),
        time=fields.date_time("time stamp") if flags & TIME else None,
        pulse=fields.sfloat("pulse rate") if flags & PULSE else None,
        user=fields.u8("user id") if flags & USER else None,
        status=fields.u16("measurement status") if flags & STATUS else None,
    )


def encode_measurement(told: Measurement) -> bytes:
    """Write 0x2A35. Raises ValueError for what the fields can't hold."""
    flags, tail = KPA if told.unit == "kPa" else 0, b""
    if told.time is not None:
        flags, tail = flags | TIME, tail + encode_stored_time(told.time)
    if told.pulse is not None:
        flags, tail = flags | PULSE, tail + encode_sfloat(told.pulse)
    if told.user is not None:
        flags, tail = flags | USER, tail + bytes((told.user,))
    if told.status is not None:
        flags, tail = flags | STATUS, tail + told.status.to_bytes(2, "little")
    pressures = b"".join(map(encode_sfloat, (told.systolic, told.diastolic, told.mean)))
    return bytes((flags,)) + pressures + tail


def reading(data: bytes) -> Reading:
    """One indication as a reading. Raises PeerError."""
    return reading_of(decode_measurement(data), data)


def reading_of(told: Measurement, raw: bytes) -> Reading:
    """A measurement as a reading; `raw` is the frame it came in."""
    parts: dict[str, Quantity | Limit] = {}
    marks = set(_status_marks(told.status or 0))
    if told.user == UNKNOWN_USER:
        marks.add(UNKNOWN_USER_MARK)
    for name, number, unit in _numbers(told):
        if number in _LIMITS:
            parts[name] = _LIMITS[number]
        elif isinstance(number, Special):
            marks.add(f"not_available:{name}")
        else:
            parts[name] = Quantity(number, unit)
    return Reading(
        kind=KIND,
        parts=parts,
        taken=told.time.naive if told.time else None,
        raw_time=told.time.text if told.time and told.time.naive is None else None,
        slot=None if told.user in (None, UNKNOWN_USER) else str(told.user),
        marks=frozenset(marks),
        raw=raw,
        pushed=True,
    )


def _numbers(told: Measurement) -> Iterator[tuple[str, Number, str]]:
    yield "systolic", told.systolic, told.unit
    yield "diastolic", told.diastolic, told.unit
    # Cuffs that compute no mean send NaN, or 0 (README, "No mean"): a mean of 0 was not measured.
    yield "mean_arterial_pressure", Special.NAN if told.mean == 0 else told.mean, told.unit
    if told.pulse is not None:
        yield "pulse_rate", told.pulse, "/min"


def _status_marks(status: int) -> Iterator[str]:
    for bit, mark in STATUS_MARKS.items():
        if status & bit:
            yield mark
    if pulse_range := PULSE_RANGE_MARKS.get(status & _PULSE_RANGE_BITS):
        yield pulse_range
