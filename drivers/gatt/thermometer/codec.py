"""Temperature Measurement 0x2A1C and its neighbours, both ways. Pure; tables and sources: README.md."""

from collections.abc import Mapping
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
    encode_float,
)

KIND = "body_temperature"
PART = "temperature"
SITE = "site"
RESERVED_SITE = "reserved_site"

Number = Decimal | Special
Unit = Literal["degC", "degF"]

_FAHRENHEIT, _TIME, _SITE = 0x01, 0x02, 0x04

# Where it was measured: Temperature Type of the assigned numbers. Other numbers are reserved, and told as they stand.
SITES: Mapping[int, str] = {
    1: "armpit",
    2: "body",
    3: "ear",
    4: "finger",
    5: "gastrointestinal_tract",
    6: "mouth",
    7: "rectum",
    8: "toe",
    9: "tympanum",
}
_LIMITS: Mapping[Number, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}


@dataclass(frozen=True, slots=True)
class Measurement:
    """The fields of 0x2A1C as they stand; None where the flags leave a field out. `site` is a Temperature Type."""

    unit: Unit
    temperature: Number
    time: StoredTime | None = None
    site: int | None = None


def decode_measurement(data: bytes) -> Measurement:
    """Read 0x2A1C. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return Measurement(
        unit="degF" if flags & _FAHRENHEIT else "degC",
        temperature=fields.float32("temperature"),
        time=fields.date_time("time stamp") if flags & _TIME else None,
        site=fields.u8("temperature type") if flags & _SITE else None,
    )


def encode_measurement(told: Measurement) -> bytes:
    """Write 0x2A1C. Raises ValueError for what the fields can't hold."""
    flags, tail = _FAHRENHEIT if told.unit == "degF" else 0, b""
    if told.time is not None:
        flags, tail = flags | _TIME, tail + encode_stored_time(told.time)
    if told.site is not None:
        flags, tail = flags | _SITE, tail + bytes((told.site,))
    return bytes((flags,)) + encode_float(told.temperature) + tail


def decode_site(data: bytes) -> int:
    """0x2A1D: the Temperature Type of all that this thermometer measures. Raises PeerError."""
    return Fields(data).u8("temperature type")


def decode_interval(data: bytes) -> int:
    """0x2A21: seconds between two measurements, 0 where it measures when it is asked to. Raises PeerError."""
    return Fields(data).u16("measurement interval")


def site_name(site: int) -> str:
    """The site in words."""
    return SITES.get(site, f"reserved_{site}")


def reading(data: bytes, constant_site: int | None = None, *, pushed: bool = True) -> Reading:
    """One indication as a reading. `constant_site` is what 0x2A1D says, where the frame says nothing. Raises PeerError."""
    told = decode_measurement(data)
    parts: dict[str, Quantity | Limit] = {}
    marks: set[str] = set()
    if told.temperature in _LIMITS:
        parts[PART] = _LIMITS[told.temperature]
    elif isinstance(told.temperature, Special):
        marks.add(f"not_available:{PART}")
    else:
        parts[PART] = Quantity(told.temperature, told.unit)
    site = constant_site if told.site is None else told.site
    if site is not None and site not in SITES:
        # Beurer's FT95 sends 255 with the temperature of an object: no site of a body, so perhaps no body temperature.
        marks.add(RESERVED_SITE)
    return Reading(
        kind=KIND,
        parts=parts,
        taken=told.time.naive if told.time else None,
        raw_time=told.time.text if told.time and told.time.naive is None else None,
        context={} if site is None else {SITE: site_name(site)},
        marks=frozenset(marks),
        raw=data,
        pushed=pushed,
    )
