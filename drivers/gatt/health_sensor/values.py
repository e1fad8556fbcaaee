"""Values of health sensors both ways: FLOAT as it is written, and the 9 octets of Elapsed Time 0x2BF2. Pure; tables: README.md."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from gateway.sdk import Fields, Special

Number = Decimal | Special

FLOAT_OCTETS = 4
MANTISSAS = range(-(1 << 23), 1 << 23)
EXPONENTS = range(-128, 128)
_SPECIALS = {
    0x007FFFFF: Special.NAN,
    0x00800000: Special.NRES,
    0x007FFFFE: Special.ABOVE,
    0x00800002: Special.BELOW,
    0x00800001: Special.RESERVED,
}
_CODES = {special: code for code, special in _SPECIALS.items()}
_MANTISSA_BITS = 24

EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 a device's clock has no zone
_TICKS, _UTC, _OFFSET_USED, _CURRENT = 0x01, 0x02, 0x10, 0x20
_STEPS_A_S = (1, 10, 1000, 10_000)  # by resolution
_TIME_OCTETS = 6
QUARTER_HOUR_MIN = 15
# Zones of the Current Time Service, with double daylight saving on top. What lies beyond is no zone: -128 is "not known" there.
OFFSET_QUARTERS = range(-48, 56 + 8 + 1)


def encode_float(value: Number) -> bytes:
    """IEEE 11073 32-bit float with the digits that `value` has, also with mantissas that the standard keeps free: sensors send them (`gateway.sdk` refuses those).

    Raises ValueError where it doesn't fit exactly.
    """
    if isinstance(value, Special):
        return _CODES[value].to_bytes(FLOAT_OCTETS, "little")
    sign, digits, exponent = value.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or exponent not in EXPONENTS or mantissa not in MANTISSAS:
        raise ValueError(f"{value}: FLOAT holds ±{MANTISSAS[-1]} and exponents -128 to 127")
    raw = mantissa & (1 << _MANTISSA_BITS) - 1 | (exponent & 0xFF) << _MANTISSA_BITS
    if raw in _SPECIALS:
        raise ValueError(f"{value} is written as {_SPECIALS[raw].value}")
    return raw.to_bytes(FLOAT_OCTETS, "little")


@dataclass(frozen=True, slots=True)
class ElapsedTime:
    """Elapsed Time as it stands: flags, steps since 2000 (or ticks since nobody knows when), source, quarter hours of zone and daylight saving."""

    flags: int
    steps: int
    source: int = 0
    quarters: int = 0

    @property
    def is_ticks(self) -> bool:
        """A counter that says nothing of the calendar."""
        return bool(self.flags & _TICKS)

    @property
    def is_utc(self) -> bool:
        """UTC; else local time."""
        return bool(self.flags & _UTC)

    @property
    def is_current(self) -> bool:
        """Taken since the clock was last set: else it can't be compared with what the clock shows now."""
        return bool(self.flags & _CURRENT)

    @property
    def offset(self) -> timedelta | None:
        """What is added to UTC to give the user's time, if it is told, and is one that a place on earth has."""
        told = self.flags & _OFFSET_USED and self.quarters in OFFSET_QUARTERS
        if not (told and self.is_utc):
            return None
        return timedelta(minutes=self.quarters * QUARTER_HOUR_MIN)

    @property
    def naive(self) -> datetime | None:
        """As the device's clock showed it; None for ticks, and for a moment that no calendar has."""
        if self.is_ticks:
            return None
        try:
            return EPOCH + timedelta(microseconds=self.steps * 1_000_000 // self._steps_a_s)
        except OverflowError:
            return None

    @property
    def shown(self) -> datetime | None:
        """As a display would show it: UTC moved by its offset. None where `naive` is, and beyond the calendar."""
        if self.naive is None:
            return None
        try:
            return self.naive + (self.offset or timedelta())
        except OverflowError:
            return None

    @property
    def text(self) -> str:
        """The same as `naive` for people, also where it is no moment."""
        return f"{self.steps} of {self._steps_a_s} a second, flags 0x{self.flags:02x}"

    @property
    def _steps_a_s(self) -> int:
        return _STEPS_A_S[self.flags >> 2 & 0x03]


def decode_time(fields: Fields) -> ElapsedTime:
    """The next 9 octets. Raises PeerError where they are cut."""
    flags = fields.u8("time flags")
    steps = int.from_bytes(fields.take(_TIME_OCTETS, "time"), "little")
    source = fields.u8("synchronisation source")
    quarters = int.from_bytes(fields.take(1, "time offset"), "little", signed=True)
    return ElapsedTime(flags, steps, source, quarters)


def encode_time(told: ElapsedTime) -> bytes:
    """The 9 octets. Raises OverflowError for what they can't hold."""
    quarters = told.quarters.to_bytes(1, "little", signed=True)
    steps = told.steps.to_bytes(_TIME_OCTETS, "little")
    return bytes((told.flags,)) + steps + bytes((told.source,)) + quarters


def time_of(moment: datetime, offset: timedelta | None = None) -> ElapsedTime:
    """A moment in whole seconds, on the current timeline: a local one, or with its `offset` one of UTC."""
    steps = int((moment - EPOCH).total_seconds())
    if offset is None:
        return ElapsedTime(_CURRENT, steps)
    quarters = offset // timedelta(minutes=QUARTER_HOUR_MIN)
    return ElapsedTime(_CURRENT | _UTC | _OFFSET_USED, steps, quarters=quarters)
