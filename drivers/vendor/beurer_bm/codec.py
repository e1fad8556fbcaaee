"""Beurer's frame on 0x2A35, both ways. Pure; table and sources: README.md."""

from dataclasses import replace
from decimal import Decimal

from drivers.gatt.blood_pressure.codec import (
    KPA,
    PULSE,
    STATUS,
    TIME,
    UNKNOWN_USER,
    Measurement,
    decode_measurement,
    encode_measurement,
    reading_of,
)
from drivers.gatt.clocks import encode_stored_time
from gateway.sdk import Fields, Reading, encode_sfloat

# Reserved in the standard; set in all that is published of these cuffs.
DIALECT = 0x40


def decode_frame(data: bytes) -> Measurement:
    """Read a frame. One without the dialect's flag is read as the standard says. Raises PeerError where a field is cut."""
    fields = Fields(data)
    flags = fields.u8("flags")
    if not flags & DIALECT:
        return decode_measurement(data)
    return Measurement(
        unit="kPa" if flags & KPA else "mmHg",
        systolic=fields.sfloat("systolic"),
        diastolic=fields.sfloat("diastolic"),
        mean=fields.sfloat("mean arterial pressure"),
        time=fields.date_time("time stamp") if flags & TIME else None,
        pulse=_turned(fields, "pulse rate").sfloat("pulse rate") if flags & PULSE else None,
        user=fields.u8("user id"),
        status=_turned(fields, "status").u16("status") if flags & STATUS else None,
    )


def _turned(fields: Fields, what: str) -> Fields:
    return Fields(fields.take(2, what)[::-1])


def encode_frame(told: Measurement) -> bytes:
    """Write a frame. No user is sent as "unknown". Raises ValueError for what the fields can't hold."""
    flags = DIALECT | (KPA if told.unit == "kPa" else 0)
    octets = b"".join(map(encode_sfloat, (told.systolic, told.diastolic, told.mean)))
    if told.time is not None:
        flags, octets = flags | TIME, octets + encode_stored_time(told.time)
    if told.pulse is not None:
        flags, octets = flags | PULSE, octets + encode_sfloat(told.pulse)[::-1]
    octets += bytes((UNKNOWN_USER if told.user is None else told.user,))
    if told.status is not None:
        flags, octets = flags | STATUS, octets + told.status.to_bytes(2, "big")
    return bytes((flags,)) + octets


def encode_again(data: bytes) -> bytes:
    """Decoded and encoded, in the form in which it came."""
    told = decode_frame(data)
    return encode_frame(told) if data[0] & DIALECT else encode_measurement(told)


def without_mean(told: Measurement) -> Measurement:
    """As these cuffs send it: they compute no mean, and send 0."""
    return replace(told, mean=Decimal(0))


def reading(data: bytes) -> Reading:
    """One indication as a reading; the slot is the number that is sent, which is one less than what the cuff's display calls it.

    Raises PeerError.
    """
    return reading_of(decode_frame(data), data)
