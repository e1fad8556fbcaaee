"""The two advertisements of Xiaomi's scales, both ways. Pure; tables and sources: README.md."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from gateway.sdk import Fields, PeerError, Quantity, Reading, StoredTime

KIND = "body_weight"
V1_OCTETS, V2_OCTETS = 10, 13

Unit = Literal["kg", "lb", "jin"]

V1_POUND, V1_JIN, V1_STABLE, V1_REMOVED = 0x01, 0x10, 0x20, 0x80
V2_KILOGRAM, V2_POUND = 2, 3
V2_IMPEDANCE, V2_STABLE, V2_JIN, V2_REMOVED = 0x02, 0x20, 0x40, 0x80
_V1_KNOWN = V1_POUND | V1_JIN | V1_STABLE | V1_REMOVED
_V2_KNOWN = V2_IMPEDANCE | V2_STABLE | V2_JIN | V2_REMOVED


@dataclass(frozen=True, slots=True)
class Weighing:
    """What a scale shows. `raw`: the weight in 1/200 kg, 1/100 lb or 1/100 jin; `other`: control bits of unknown meaning.

    `impedance` is what stands in its field, in Ohm; without `has_impedance` it means nothing.
    """

    raw: int
    unit: Unit
    time: StoredTime
    stable: bool = False
    removed: bool = False
    has_impedance: bool = False
    impedance: int = 0
    other: int = 0

    @property
    def finished(self) -> bool:
        """Whether it is a measurement: the display stands still, and somebody still stands on it."""
        return self.stable and not self.removed


def decode_v1(data: bytes) -> Weighing:
    """Service data of 0x181D. Raises PeerError."""
    _check_length(data, V1_OCTETS)
    fields = Fields(data)
    control, raw = fields.u8("control"), fields.u16("weight")
    if control & V1_POUND and control & V1_JIN:
        raise PeerError(f"control {control:#04x} says pounds and jin at once")
    return Weighing(
        raw=raw,
        unit="lb" if control & V1_POUND else "jin" if control & V1_JIN else "kg",
        time=fields.date_time("time"),
        stable=bool(control & V1_STABLE),
        removed=bool(control & V1_REMOVED),
        other=control & ~_V1_KNOWN,
    )


def encode_v1(told: Weighing) -> bytes:
    """As the scale advertises it."""
    control = told.other | {"kg": 0, "lb": V1_POUND, "jin": V1_JIN}[told.unit]
    control |= V1_STABLE * told.stable | V1_REMOVED * told.removed
    return bytes((control,)) + told.raw.to_bytes(2, "little") + _date(told.time)


def decode_v2(data: bytes) -> Weighing:
    """Service data of 0x181B. Raises PeerError."""
    _check_length(data, V2_OCTETS)
    fields = Fields(data)
    unit, control = fields.u8("unit"), fields.u8("control")
    if unit not in (V2_KILOGRAM, V2_POUND) or (unit == V2_POUND and control & V2_JIN):
        raise PeerError(
            f"unit {unit}, control {control:#04x}: 2 (kg or jin) and 3 (lb) are known units"
        )
    time, impedance = fields.date_time("time"), fields.u16("impedance")
    return Weighing(
        raw=fields.u16("weight"),
        unit="lb" if unit == V2_POUND else "jin" if control & V2_JIN else "kg",
        time=time,
        stable=bool(control & V2_STABLE),
        removed=bool(control & V2_REMOVED),
        has_impedance=bool(control & V2_IMPEDANCE),
        impedance=impedance,
        other=control & ~_V2_KNOWN,
    )


def encode_v2(told: Weighing) -> bytes:
    """As the scale advertises it."""
    unit = V2_POUND if told.unit == "lb" else V2_KILOGRAM
    control = told.other | V2_STABLE * told.stable | V2_REMOVED * told.removed
    control |= V2_IMPEDANCE * told.has_impedance | V2_JIN * (told.unit == "jin")
    tail = told.impedance.to_bytes(2, "little") + told.raw.to_bytes(2, "little")
    return bytes((unit, control)) + _date(told.time) + tail


def weight(told: Weighing) -> Quantity:
    """The weight in the unit of the scale's display, exactly."""
    if told.unit != "kg":
        return Quantity(Decimal(told.raw).scaleb(-2), told.unit)
    # The displays show 0.05 kg; what a raw number says beyond two digits is kept all the same.
    half, odd = divmod(told.raw, 2)
    exact = Decimal(told.raw * 5).scaleb(-3) if odd else Decimal(half).scaleb(-2)
    return Quantity(exact, "kg")


def raw_of(shown: Quantity) -> int:
    """The raw number that shows this weight. Raises ValueError where none does exactly."""
    steps = shown.number * (200 if shown.unit == "kg" else 100)
    if steps != int(steps) or not 0 <= steps <= 0xFFFF:  # noqa: PLR2004 two octets
        raise ValueError(f"{shown.number} {shown.unit} is no number of steps from 0 to 65535")
    return int(steps)


def reading(told: Weighing, data: bytes) -> Reading:
    """A finished weighing as a reading; `data` is what it was decoded from."""
    return Reading(
        kind=KIND,
        parts={"weight": weight(told)},
        taken=told.time.naive,
        raw_time=None if told.time.naive else told.time.text,
        context={"impedance": f"{told.impedance} Ohm"} if told.has_impedance else {},
        raw=data,
        pushed=True,
    )


def _check_length(data: bytes, octets: int) -> None:
    if len(data) != octets:
        raise PeerError(f"{len(data)} octets of service data; this scale has {octets}")


def _date(time: StoredTime) -> bytes:
    year, *rest = (int(number) for number in re.findall(r"[0-9]+", time.text))
    return year.to_bytes(2, "little") + bytes(rest)
