"""Date Time 0x2A08 and Current Time 0x2A2B, both ways: a device's clock, and the time stamp in a record. Pure.

It may not know which service a characteristic stands in. Tables and sources: blood_pressure/README.md.
"""

import re
from datetime import datetime, timedelta

from gateway.sdk import Fields, StoredTime, encode_date_time

CLOCK_ADJUSTED_BY_HAND = 0x01


def stored(moment: datetime | None) -> StoredTime:
    """A record's time stamp; None is what a clock that was never set stores."""
    if moment is None:
        return StoredTime(None, "0000-00-00T00:00:00")
    return StoredTime(moment, moment.isoformat(timespec="seconds"))


def encode_stored_time(time: StoredTime) -> bytes:
    """GATT Date Time, 7 octets, also where it is no real moment. Raises ValueError for another text than `StoredTime` has."""
    numbers = re.fullmatch(
        r"(\d{4,5})-(\d{2,3})-(\d{2,3})T(\d{2,3}):(\d{2,3}):(\d{2,3})", time.text
    )
    if numbers is None:
        raise ValueError(f"{time.text!r} is no date and time")
    year, *rest = map(int, numbers.groups())
    return year.to_bytes(2, "little") + bytes(rest)


def decode_date_time(data: bytes) -> datetime | None:
    """0x2A08: what the clock shows, or None where it isn't set. Raises PeerError."""
    return Fields(data).date_time("date time").naive


def decode_current_time(data: bytes) -> datetime | None:
    """0x2A2B: what the clock shows, or None where it isn't set. Raises PeerError."""
    fields = Fields(data)
    shown = fields.date_time("date time").naive
    fields.u8("day of week")
    fraction = fields.u8("fractions of 256")
    fields.u8("adjust reason")
    return None if shown is None else shown + timedelta(seconds=fraction / 256)


def encode_current_time(moment: datetime) -> bytes:
    """0x2A2B to write: whole seconds, adjusted by hand."""
    return encode_date_time(moment) + bytes((moment.isoweekday(), 0, CLOCK_ADJUSTED_BY_HAND))
