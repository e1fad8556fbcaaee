"""Enhanced Blood Pressure Measurement 0x2B34, both ways: times in seconds, a user-facing time apart. Pure; table: README.md."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from drivers.gatt.blood_pressure.codec import (
    KPA,
    PULSE,
    STATUS,
    TIME,
    USER,
    Measurement,
    Number,
    Unit,
    reading_of,
)
from gateway.sdk import Fields, Reading, encode_sfloat

_USER_FACING, _EPOCH_2000 = 0x20, 0x40
EPOCH_1900 = datetime(1900, 1, 1)  # noqa: DTZ001 a device's clock has no zone
EPOCH_2000 = datetime(2000, 1, 1)  # noqa: DTZ001 the same


@dataclass(frozen=True, slots=True)
class Stamp:
    """Seconds since one of the two epochs that the flags choose."""

    seconds: int
    epoch: datetime = EPOCH_2000

    @property
    def naive(self) -> datetime:
        """As the device's clock showed it; 32 bits always are a moment."""
        return self.epoch + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows the pressures. `stamp` is the base time, which may be UTC; `user_facing` has zone and manual changes in it."""

    stamp: Stamp | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None
    user_facing: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Enhanced:
    """The fields of 0x2B34 as they stand; pressures are in `unit`."""

    unit: Unit
    systolic: Number
    diastolic: Number
    mean: Number
    tail: Tail = Tail()


def decode_enhanced(data: bytes) -> Enhanced:
    """Read 0x2B34. Raises PeerError where a flagged field is cut; octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return Enhanced(
        unit="kPa" if flags & KPA else "mmHg",
        systolic=fields.sfloat("systolic"),
        diastolic=fields.sfloat("diastolic"),
        mean=fields.sfloat("mean arterial pressure"),
        tail=decode_tail(fields, flags),
    )


def decode_tail(fields: Fields, flags: int) -> Tail:
    """The optional fields, the user-facing time last. Raises PeerError where one is cut."""
    epoch = EPOCH_2000 if flags & _EPOCH_2000 else EPOCH_1900
    return Tail(
        stamp=Stamp(fields.u32("time stamp"), epoch) if flags & TIME else None,
        pulse=fields.sfloat("pulse rate") if flags & PULSE else None,
        user=fields.u8("user id") if flags & USER else None,
        status=fields.u16("measurement status") if flags & STATUS else None,
        user_facing=Stamp(fields.u32("user facing time"), epoch) if flags & _USER_FACING else None,
    )


def encode_enhanced(told: Enhanced) -> bytes:
    """Write 0x2B34. Raises ValueError for what the fields can't hold."""
    tail = told.tail
    stamps = [stamp for stamp in (tail.stamp, tail.user_facing) if stamp is not None]
    if len({stamp.epoch for stamp in stamps}) > 1:
        raise ValueError("time stamp and user facing time have two epochs; the flags hold one")
    flags = KPA if told.unit == "kPa" else 0
    flags |= _EPOCH_2000 if stamps and stamps[0].epoch == EPOCH_2000 else 0
    octets = b"".join(map(encode_sfloat, (told.systolic, told.diastolic, told.mean)))
    for bit, field in (
        (TIME, _seconds(tail.stamp)),
        (PULSE, None if tail.pulse is None else encode_sfloat(tail.pulse)),
        (USER, None if tail.user is None else bytes((tail.user,))),
        (STATUS, None if tail.status is None else tail.status.to_bytes(2, "little")),
        (_USER_FACING, _seconds(tail.user_facing)),
    ):
        if field is not None:
            flags, octets = flags | bit, octets + field
    return bytes((flags,)) + octets


def _seconds(stamp: Stamp | None) -> bytes | None:
    return None if stamp is None else stamp.seconds.to_bytes(4, "little")


def enhanced_reading(data: bytes) -> Reading:
    """One indication as a reading. Base time and what the user saw stay apart. Raises PeerError."""
    told = decode_enhanced(data)
    tail = told.tail
    plain = Measurement(
        told.unit,
        told.systolic,
        told.diastolic,
        told.mean,
        None,
        tail.pulse,
        tail.user,
        tail.status,
    )
    shown, base = tail.user_facing, tail.stamp
    return replace(
        reading_of(plain, data),
        taken=base.naive if base else shown.naive if shown else None,
        offset=shown.naive - base.naive if shown and base else None,
    )
