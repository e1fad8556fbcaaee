"""The values of continuous glucose both ways: 0x2AA7, 0x2AA8, 0x2AA9, 0x2AAA, 0x2AAB. Pure; tables and sources: README.md.

Feature 0x2AA8 says whether all others end with a CRC: who decodes them says so (`e2e`), or None to go by their length.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from drivers.gatt.clocks import encode_stored_time
from drivers.gatt.e2e_crc import OCTETS, sealed, unsealed
from gateway.sdk import Fields, PeerError, Special, StoredTime, encode_sfloat

Number = Decimal | Special

_TREND, _QUALITY, _WARNING, _CALIBRATION, _STATUS = 0x01, 0x02, 0x20, 0x40, 0x80
# How many octets each flag adds to a record.
_FLAGGED: Mapping[int, int] = {_TREND: 2, _QUALITY: 2, _WARNING: 1, _CALIBRATION: 1, _STATUS: 1}
RECORD_OCTETS_MIN = 6
E2E_CRC = 0x1000
FEATURE_OCTETS, STATUS_OCTETS, START_OCTETS, RUN_TIME_OCTETS = 6, 5, 9, 2

ZONE_UNKNOWN, DST_UNKNOWN = -128, 255
ZONE_QUARTERS = range(-48, 57)  # others are reserved
QUARTER_HOUR_MIN = 15
DST_MIN: Mapping[int, int] = {0: 0, 2: 30, 4: 60, 8: 120}
OFFSET_END = 0x10000


@dataclass(frozen=True, slots=True)
class Feature:
    """0x2AA8: what a sensor can do, and of what it measures where (two nibbles)."""

    bits: int
    type: int
    location: int

    @property
    def e2e(self) -> bool:
        """Whether every other value ends with a CRC."""
        return bool(self.bits & E2E_CRC)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of 0x2AA7: minutes since the session began, mg/dL, and what its flags ask for (None: not there)."""

    offset_min: int
    glucose: Number
    status: int | None = None
    calibration: int | None = None
    warning: int | None = None
    trend: Number | None = None
    quality: Number | None = None

    @property
    def annunciation(self) -> int:
        """The three octets as 0x2AA9 has them."""
        return (self.status or 0) | (self.calibration or 0) << 8 | (self.warning or 0) << 16


@dataclass(frozen=True, slots=True)
class Status:
    """0x2AA9: minutes since the session began, and the annunciation bits."""

    offset_min: int
    bits: int


@dataclass(frozen=True, slots=True)
class Start:
    """0x2AAA: local time at which a session began; time zone in signed quarter hours, and code of daylight saving, as they stand."""

    time: StoredTime
    zone: int = ZONE_UNKNOWN
    dst: int = DST_UNKNOWN

    @property
    def ahead(self) -> timedelta | None:
        """How far local time is ahead of UTC, if that is told."""
        if self.zone not in ZONE_QUARTERS or self.dst not in DST_MIN:
            return None
        return timedelta(minutes=self.zone * QUARTER_HOUR_MIN + DST_MIN[self.dst])

    @property
    def utc(self) -> datetime | None:
        """The same moment in UTC (naive), if time and zone are told."""
        if self.time.naive is None or self.ahead is None:
            return None
        try:
            return self.time.naive - self.ahead
        except OverflowError:
            return None


def decode_feature(data: bytes) -> Feature:
    """Read 0x2AA8, always 6 octets. Its CRC counts only where it announces that; else the field is a filler. Raises PeerError."""
    if len(data) != FEATURE_OCTETS:
        raise PeerError(f"feature has {len(data)} octets; {FEATURE_OCTETS} are due")
    fields = Fields(data)
    bits = int.from_bytes(fields.take(3, "feature bits"), "little")
    both = fields.u8("type and location")
    if bits & E2E_CRC:
        unsealed(data, "feature")
    return Feature(bits, both & 0x0F, both >> 4)


def encode_feature(told: Feature) -> bytes:
    """Write 0x2AA8; the filler is 0xFFFF."""
    body = told.bits.to_bytes(3, "little") + bytes((told.type | told.location << 4,))
    return sealed(body) if told.e2e else body + b"\xff\xff"


def decode_measurement(data: bytes, *, e2e: bool) -> list[tuple[Record, bytes]]:
    """Read 0x2AA7: its records, each with its own octets. Raises PeerError where one is not as long as its flags ask for."""
    records, fault = read_measurement(data, e2e=e2e)
    if fault is not None:
        raise fault
    return records


def read_measurement(
    data: bytes, *, e2e: bool
) -> tuple[list[tuple[Record, bytes]], PeerError | None]:
    """The records that can be read, and what is wrong with the first that can't.

    Behind such a one only a CRC says where a record begins: without, no more are looked for.
    """
    records = list[tuple[Record, bytes]]()
    fault = None if data else PeerError("truncated: a measurement without a record")
    sized = _sized(data)
    while fault is None or e2e:
        try:
            octets = next(sized, b"")
            if not octets:
                break
            records.append((decode_record(octets, e2e=e2e), octets))
        except PeerError as bad:
            fault = fault or bad
    return records, fault


def _sized(data: bytes) -> Iterator[bytes]:
    # A size of 0 must not be read for ever, and nothing is read past the packet.
    at = 0
    while at < len(data):
        size = data[at]
        if not RECORD_OCTETS_MIN <= size <= len(data) - at:
            raise PeerError(f"record of size {size} in a rest of {len(data) - at} octets")
        yield data[at : at + size]
        at += size


def octets_of(flags: int) -> int:
    """So long is a record with these flags, without its CRC."""
    return RECORD_OCTETS_MIN + sum(n for bit, n in _FLAGGED.items() if flags & bit)


def decode_record(data: bytes, *, e2e: bool | None = None) -> Record:
    """One record with its size octet. Raises PeerError."""
    fields = Fields(data)
    size, flags = fields.u8("size"), fields.u8("flags")
    octets = octets_of(flags)
    if size != len(data):
        raise PeerError(f"record of size {size} in {len(data)} octets")
    fields = Fields(_opened(data, octets, "record", e2e=e2e)[2:])
    return Record(
        glucose=fields.sfloat("glucose"),
        offset_min=fields.u16("time offset"),
        status=fields.u8("status") if flags & _STATUS else None,
        calibration=fields.u8("calibration") if flags & _CALIBRATION else None,
        warning=fields.u8("warning") if flags & _WARNING else None,
        trend=fields.sfloat("trend") if flags & _TREND else None,
        quality=fields.sfloat("quality") if flags & _QUALITY else None,
    )


def encode_record(told: Record, *, e2e: bool) -> bytes:
    """One record. Raises ValueError or OverflowError for what the fields can't hold."""
    flags, tail = 0, b""
    for bit, octet in (
        (_STATUS, told.status),
        (_CALIBRATION, told.calibration),
        (_WARNING, told.warning),
    ):
        if octet is not None:
            flags, tail = flags | bit, tail + bytes((octet,))
    for bit, number in ((_TREND, told.trend), (_QUALITY, told.quality)):
        if number is not None:
            flags, tail = flags | bit, tail + encode_sfloat(number)
    head = encode_sfloat(told.glucose) + told.offset_min.to_bytes(2, "little")
    size = RECORD_OCTETS_MIN + len(tail) + (OCTETS if e2e else 0)
    return _closed(bytes((size, flags)) + head + tail, e2e=e2e)


def decode_status(data: bytes, *, e2e: bool | None = None) -> Status:
    """Read 0x2AA9. Raises PeerError."""
    fields = Fields(_opened(data, STATUS_OCTETS, "status", e2e=e2e))
    return Status(
        fields.u16("time offset"), int.from_bytes(fields.take(3, "annunciation"), "little")
    )


def encode_status(told: Status, *, e2e: bool) -> bytes:
    """Write 0x2AA9."""
    return _closed(told.offset_min.to_bytes(2, "little") + told.bits.to_bytes(3, "little"), e2e=e2e)


def decode_start(data: bytes, *, e2e: bool | None = None) -> Start:
    """Read 0x2AAA. Raises PeerError."""
    fields = Fields(_opened(data, START_OCTETS, "session start", e2e=e2e))
    time = fields.date_time("date and time")
    zone = int.from_bytes(fields.take(1, "time zone"), "little", signed=True)
    return Start(time, zone, fields.u8("daylight saving"))


def encode_start(told: Start, *, e2e: bool) -> bytes:
    """Write 0x2AAA."""
    zone = told.zone.to_bytes(1, "little", signed=True)
    return _closed(encode_stored_time(told.time) + zone + bytes((told.dst,)), e2e=e2e)


def decode_run_time(data: bytes, *, e2e: bool | None = None) -> int:
    """Read 0x2AAB: hours that a session lasts. Raises PeerError."""
    return Fields(_opened(data, RUN_TIME_OCTETS, "run time", e2e=e2e)).u16("hours")


def encode_run_time(hours: int, *, e2e: bool) -> bytes:
    """Write 0x2AAB."""
    return _closed(hours.to_bytes(2, "little"), e2e=e2e)


def _opened(data: bytes, octets: int, what: str, *, e2e: bool | None) -> bytes:
    if e2e is None:
        e2e = len(data) == octets + OCTETS
    wanted = octets + (OCTETS if e2e else 0)
    if len(data) != wanted:
        raise PeerError(f"{what} has {len(data)} octets; {wanted} are due")
    return unsealed(data, what) if e2e else data


def _closed(body: bytes, *, e2e: bool) -> bytes:
    return sealed(body) if e2e else body
