"""Device Time Service 0x1847 and Local and Reference Time Information of 0x1805, both ways. Pure; tables: README.md.

Which characteristic stands where is the profile's to say; whether a value carries a CRC, 0x2B8E's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from drivers.gatt.e2e_crc import OCTETS, crc_of
from gateway.sdk import Fields, PeerError

EPOCH_1900 = datetime(1900, 1, 1)  # noqa: DTZ001 a device's clock has no zone
EPOCH_2000 = datetime(2000, 1, 1)  # noqa: DTZ001 the same
QUARTER = timedelta(minutes=15)
ZONE_QUARTERS = range(-48, 57)  # -128: not known; others are reserved
DST_UNKNOWN = 255

FEATURES: Mapping[int, str] = {
    0x0001: "e2e_crc",
    0x0002: "time_change_logging",
    0x0004: "base_time_second_fractions",
    0x0008: "displayed_to_user",
    0x0010: "displayed_formats",
    0x0020: "displayed_formats_changeable",
    0x0040: "separate_user_timeline",
    0x0080: "authorization_required",
    0x0100: "rtc_drift_tracking",
    0x0200: "epoch_1900",
    0x0400: "epoch_2000",
    0x0800: "propose_non_logged_limit",
    0x1000: "retrieve_active_adjustments",
}
STATUSES: Mapping[int, str] = {
    0x01: "time_fault",
    0x02: "utc_aligned",
    0x04: "local_time_synchronized",
    0x08: "asks_for_an_update",
    0x10: "epoch_2000",
    0x20: "non_logged_change_active",
    0x40: "log_consolidation_active",
}
SOURCES: Mapping[int, str] = {
    0: "unknown", 1: "ntp", 2: "gps", 3: "radio", 4: "manual", 5: "atomic_clock", 6: "cellular",
    7: "not_synchronized",
}  # fmt: skip
# Standard time, half, whole and double daylight saving (GSS, DST Offset).
DST_QUARTERS: Mapping[int, int] = {0: 0, 2: 2, 4: 4, 8: 8}


@dataclass(frozen=True, slots=True)
class LocalTime:
    """0x2A0F. None where the device doesn't know; reserved codes say nothing either."""

    zone: timedelta | None
    dst: timedelta | None


@dataclass(frozen=True, slots=True)
class Reference:
    """0x2A14: by what a clock was set, how far off that can be (None: not known, or more than 31.6 s), how long ago."""

    source: str
    accuracy: timedelta | None
    since_update: timedelta


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """0x2B90. `user` is a timeline of the user's own, where the device has one apart."""

    base: datetime
    local: LocalTime
    status: frozenset[str]
    user: datetime | None = None

    @property
    def shown(self) -> datetime | None:
        """What the display shows (naive): the user's timeline, else base time with zone and daylight saving.

        None at a time fault, and where zone or daylight saving isn't known: by a guess all records would be off by it.
        """
        if "time_fault" in self.status:
            return None
        if self.user is not None:
            return self.user
        if self.local.zone is None or self.local.dst is None:
            return None
        return self.base + self.local.zone + self.local.dst


def decode_local_time(data: bytes) -> LocalTime:
    """0x2A0F: zone in signed quarters of an hour, daylight saving. Raises PeerError where it is cut."""
    return _local(Fields(data))


def decode_reference(data: bytes) -> Reference:
    """0x2A14. Raises PeerError where it is cut."""
    fields = Fields(data)
    source, accuracy = fields.u8("source"), fields.u8("accuracy")
    days, hours = fields.u8("days since update"), fields.u8("hours since update")
    off = timedelta(seconds=accuracy / 8) if accuracy < 254 else None  # noqa: PLR2004 254 too far, 255 unknown
    return Reference(
        SOURCES.get(source, f"reserved_{source}"), off, timedelta(days=days, hours=hours)
    )


def decode_time_feature(data: bytes) -> frozenset[str]:
    """0x2B8E by names; reserved bits have none. Raises PeerError where it is cut."""
    told = Fields(data).u16("device time feature")
    return frozenset(name for bit, name in FEATURES.items() if told & bit)


def decode_device_time(data: bytes, features: frozenset[str]) -> DeviceTime:
    """0x2B90, as the features say it is laid out. Raises PeerError where it is cut, or its CRC, which comes first, is another's."""
    if "e2e_crc" in features:
        told, data = Fields(data).take(OCTETS, "CRC"), data[OCTETS:]
        if told != crc_of(data).to_bytes(OCTETS, "little"):
            raise PeerError(
                f"device time {data.hex()} has CRC {told.hex()}; {crc_of(data):04x} fits"
            )
    fields = Fields(data)
    seconds, local, status = fields.u32("base time"), _local(fields), fields.u16("status")
    epoch = EPOCH_2000 if status & 0x10 else EPOCH_1900
    user = fields.u32("user time") if "separate_user_timeline" in features else None
    for feature in ("rtc_drift_tracking", "time_change_logging", "base_time_second_fractions"):
        if feature in features:
            fields.u16(feature)  # not used here; but one that is cut condemns the value
    return DeviceTime(
        epoch + timedelta(seconds=seconds),
        local,
        frozenset(name for bit, name in STATUSES.items() if status & bit),
        None if user is None else epoch + timedelta(seconds=user),
    )


def encode_device_time(moment: datetime, zone: timedelta, *, sealed: bool) -> bytes:
    """0x2B90 of a device whose base time is UTC and whose display shows `moment`. For the device's side."""
    seconds = int((moment - zone - EPOCH_2000).total_seconds())
    body = seconds.to_bytes(4, "little") + int(zone / QUARTER).to_bytes(1, "little", signed=True)
    body += bytes((0,)) + (0x12).to_bytes(2, "little")
    return (crc_of(body).to_bytes(OCTETS, "little") if sealed else b"") + body


def _local(fields: Fields) -> LocalTime:
    zone, dst = fields.i8("time zone"), DST_QUARTERS.get(fields.u8("DST offset"))
    return LocalTime(
        zone * QUARTER if zone in ZONE_QUARTERS else None, None if dst is None else dst * QUARTER
    )
