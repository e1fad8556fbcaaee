"""The clock of i-SENS meters: a characteristic of the maker's that is asked by a write and answers by a notification. Pure.

`C0 03 01 00` and a Date Time sets it; with zeros for the Date Time it is only asked. The answer has the same four octets in front,
and shows what the clock showed before (xDrip and Tidepool's uploader; glucose/README.md, "Clocks").
"""

from datetime import datetime

from gateway.sdk import Fields

QUESTION = bytes.fromhex("c0030100") + bytes(7)
_HEAD_OCTETS = 4


def decode_isens_clock(data: bytes) -> datetime | None:
    """What the clock showed, or None where it isn't set. Raises PeerError where the answer is cut."""
    fields = Fields(data)
    fields.take(_HEAD_OCTETS, "head")
    return fields.date_time("date time").naive


def encode_isens_clock(shown: datetime) -> bytes:
    """The meter's answer. For the device's side."""
    tail = bytes((shown.month, shown.day, shown.hour, shown.minute, shown.second))
    return QUESTION[:_HEAD_OCTETS] + shown.year.to_bytes(2, "little") + tail
