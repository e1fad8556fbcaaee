"""Intermediate Cuff Pressure 0x2A36 and 0x2B35: the cuff while it inflates. Pure; tables: README.md.

It makes no reading, ever: what a cuff presses with is nothing that was measured of a person.
"""

from dataclasses import dataclass

from drivers.gatt.blood_pressure.codec import Number, Unit, decode_measurement
from drivers.gatt.blood_pressure.enhanced import Stamp, decode_tail
from gateway.sdk import Fields, StoredTime


@dataclass(frozen=True, slots=True)
class CuffPressure:
    """What the cuff presses with. The standard leaves two slots behind it unused: NaN, though some cuffs send 0."""

    unit: Unit
    pressure: Number
    time: StoredTime | Stamp | None = None
    pulse: Number | None = None
    user: int | None = None
    status: int | None = None


def decode_intermediate(data: bytes) -> CuffPressure:
    """Read 0x2A36, laid out as 0x2A35. Raises PeerError where a flagged field is cut."""
    told = decode_measurement(data)
    return CuffPressure(told.unit, told.systolic, told.time, told.pulse, told.user, told.status)


def decode_enhanced_intermediate(data: bytes) -> CuffPressure:
    """Read 0x2B35, which has one slot only. Raises PeerError where a flagged field is cut."""
    fields = Fields(data)
    flags = fields.u8("flags")
    pressure = fields.sfloat("cuff pressure")
    tail = decode_tail(fields, flags)
    return CuffPressure(
        "kPa" if flags & 1 else "mmHg", pressure, tail.stamp, tail.pulse, tail.user, tail.status
    )
