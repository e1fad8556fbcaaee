"""Reading and writing the fields that medical devices send: integers, IEEE 11073 numbers, dates. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum

from gateway.contract.session import PeerError

SFLOAT_MANTISSA_MAX = 2045
SFLOAT_EXPONENTS = range(-8, 8)
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
_SFLOAT_CODE = {special: raw for raw, special in _SFLOAT_SPECIAL.items()}


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

    def sfloat(self, what: str) -> Decimal | Special:
        """IEEE 11073 16-bit float; the exponent is kept, since it is the precision (0xE2D0 is 7.20)."""
        raw = self.u16(what)
        if special := _SFLOAT_SPECIAL.get(raw):
            return special
        mantissa, exponent = raw & 0x0FFF, raw >> 12
        mantissa -= 0x1000 if mantissa >= 0x0800 else 0  # noqa: PLR2004 12-bit two's complement
        exponent -= 0x10 if exponent >= 0x08 else 0  # noqa: PLR2004 4-bit two's complement
        return Decimal(mantissa).scaleb(exponent)

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
    if isinstance(value, Special):
        return _SFLOAT_CODE[value].to_bytes(2, "little")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no number; use Special")  # noqa: TRY004 the value is wrong, not its type
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    while exponent not in SFLOAT_EXPONENTS and exponent > 0:
        mantissa, exponent = mantissa * 10, exponent - 1
    if abs(mantissa) > SFLOAT_MANTISSA_MAX or exponent not in SFLOAT_EXPONENTS:
        raise ValueError(
            f"{value} has mantissa {mantissa}, exponent {exponent}; SFLOAT holds ±2045 and -8 to 7"
        )
    return ((mantissa & 0x0FFF) | ((exponent & 0x0F) << 12)).to_bytes(2, "little")


def encode_date_time(moment: datetime) -> bytes:
    """GATT Date Time, 7 octets."""
    tail = bytes((moment.month, moment.day, moment.hour, moment.minute, moment.second))
    return moment.year.to_bytes(2, "little") + tail
