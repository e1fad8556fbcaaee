"""Reading and writing the fields that medical devices send: integers, IEEE 11073 numbers, dates. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from gateway.contract.session import PeerError

SFLOAT_MANTISSA_MAX = 2045
SFLOAT_EXPONENTS = range(-8, 8)
FLOAT_MANTISSA_MAX = 8_388_605
FLOAT_EXPONENTS = range(-128, 128)
GREGORIAN_YEAR_MIN = 1582  # the first that GATT Date Time allows


class Special(Enum):
    """IEEE 11073-20601 numbers that are none. Only these exact patterns, that is, with exponent 0 (PHD Transcoding WP 2.2)."""

    NAN = "NaN"
    NRES = "NRes"
    ABOVE = "+INFINITY"
    BELOW = "-INFINITY"
    RESERVED = "RESERVED"


_SFLOAT_SPECIAL = {
    0x07FF: Special.NAN,
    0x0800: Special.NRES,
    0x07FE: Special.ABOVE,
    0x0802: Special.BELOW,
    0x0801: Special.RESERVED,
}
_FLOAT_SPECIAL = {
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x007FFFFE: Special.ABOVE,
    0x00800002: Special.BELOW,
    0x00800001: Special.RESERVED,
}


@dataclass(frozen=True, slots=True)
class _Form:
    """One of the two widths of an IEEE 11073 number."""

    name: str
    octets: int
    mantissa_bits: int
    mantissa_max: int
    exponents: range
    specials: Mapping[int, Special]

    def decode(self, raw: int) -> Decimal | Special:
        if special := self.specials.get(raw):
            return special
        mantissa = _signed(raw & ((1 << self.mantissa_bits) - 1), self.mantissa_bits)
        exponent = _signed(raw >> self.mantissa_bits, 8 * self.octets - self.mantissa_bits)
        return Decimal(mantissa).scaleb(exponent)

    def encode(self, value: Decimal | Special) -> bytes:
        if isinstance(value, Special):
            code = next(raw for raw, special in self.specials.items() if special is value)
            return code.to_bytes(self.octets, "little")
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise ValueError(f"{value} is no number; use Special")  # noqa: TRY004 the value is wrong, not its type
        mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
        while exponent >= self.exponents.stop:
            if abs(mantissa) > self.mantissa_max:
                break
            mantissa, exponent = mantissa * 10, exponent - 1
        if abs(mantissa) > self.mantissa_max or exponent not in self.exponents:
            raise ValueError(
                f"{value} has mantissa {mantissa}, exponent {exponent}; {self.name} holds"
                f" ±{self.mantissa_max} and {self.exponents.start} to {self.exponents.stop - 1}"
            )
        both = (exponent << self.mantissa_bits) | (mantissa & ((1 << self.mantissa_bits) - 1))
        return (both & ((1 << 8 * self.octets) - 1)).to_bytes(self.octets, "little")


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw


_SFLOAT = _Form("SFLOAT", 2, 12, SFLOAT_MANTISSA_MAX, SFLOAT_EXPONENTS, _SFLOAT_SPECIAL)
_FLOAT = _Form("FLOAT", 4, 24, FLOAT_MANTISSA_MAX, FLOAT_EXPONENTS, _FLOAT_SPECIAL)


@dataclass(frozen=True, slots=True)
class StoredTime:
    """A device's date-time field: `naive` where it is a real moment, else None; `text` as it stood."""

    naive: datetime | None
    text: str


class Fields:
    """A frame read from its start, little endian. Every read raises PeerError where the frame is too short."""

    def __init__(self, data: bytes) -> None:
        """Start at the first octet."""
        self._data, self._at = data, 0

    def take(self, count: int, what: str) -> bytes:
        """The next `count` octets."""
        end = self._at + count
        if end > len(self._data):
            raise PeerError(
                f"truncated: {what} needs octets {self._at} to {end - 1} of {len(self._data)}"
            )
        taken, self._at = self._data[self._at : end], end
        return taken

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self._data[self._at :]

    def u8(self, what: str) -> int:
        """One octet."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """Two octets, unsigned."""
        return int.from_bytes(self.take(2, what), "little")

    def u32(self, what: str) -> int:
        """Four octets, unsigned."""
        return int.from_bytes(self.take(4, what), "little")

    def i8(self, what: str) -> int:
        """One octet, two's complement."""
        return _signed(self.u8(what), 8)

    def sfloat(self, what: str) -> Decimal | Special:
        """IEEE 11073 16-bit float; the exponent is kept, since it is the precision (0xE2D0 is 7.20)."""
        return _SFLOAT.decode(self.u16(what))

    def float32(self, what: str) -> Decimal | Special:
        """IEEE 11073 32-bit float, as thermometers send it; the exponent is kept likewise."""
        return _FLOAT.decode(self.u32(what))

    def date_time(self, what: str) -> StoredTime:
        """GATT Date Time, 7 octets (GSS). Zero for year, month or day means that it is not known; 1582 is the first year."""
        year = self.u16(what)
        month, day, hour, minute, second = self.take(5, what)
        text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        if year < GREGORIAN_YEAR_MIN:
            return StoredTime(None, text)
        try:
            return StoredTime(datetime(year, month, day, hour, minute, second), text)  # noqa: DTZ001 a device's clock has no zone
        except ValueError:
            return StoredTime(None, text)


def encode_sfloat(value: Decimal | Special) -> bytes:
    """IEEE 11073 16-bit float with the digits that `value` has. Raises ValueError where it doesn't fit exactly."""
    return _SFLOAT.encode(value)


def encode_float(value: Decimal | Special) -> bytes:
    """IEEE 11073 32-bit float with the digits that `value` has. Raises ValueError where it doesn't fit exactly."""
    return _FLOAT.encode(value)


def encode_date_time(moment: datetime) -> bytes:
    """GATT Date Time, 7 octets."""
    tail = bytes((moment.month, moment.day, moment.hour, moment.minute, moment.second))
    return moment.year.to_bytes(2, "little") + tail
