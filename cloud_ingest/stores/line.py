"""Points as line protocol, and what no line can hold. Pure; both time series refuse the same points by it."""

import math

from cloud_ingest.stores.series import Point

NAME_BYTES_MAX = 1_000
TEXT_BYTES_MAX = 60_000  # InfluxDB holds strings of at most 64 kB
# What nanoseconds since 1970 in 64 bits can hold, less InfluxDB's own reserve: years 1677 to 2262.
TIME_US_MIN = -9_223_372_036_854_775
TIME_US_MAX = 9_223_372_036_854_774

# InfluxDB stores a point without a field of this name, and calls it written.
_LEFT_OUT = "time"

_NAME = str.maketrans({",": "\\,", " ": "\\ "})
_TAG = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
_TEXT = str.maketrans({'"': '\\"', "\\": "\\\\"})


def unplaceable(point: Point) -> str | None:
    """Why no time series can have a point at this place, whatever its fields, or None."""
    for what, name in (
        ("kind", point.kind),
        ("subject", point.subject),
        ("device", point.device),
    ):
        if fault := _name_fault(name):
            return f"{what} {name[:80]!r} {fault}"
    if not TIME_US_MIN < point.time_us < TIME_US_MAX:
        return f"time {point.time_us} us lies outside the years 1678 to 2261"
    return None


def refusal(point: Point) -> str | None:
    """Why no time series can hold this point, or None."""
    if why := unplaceable(point):
        return why
    for name in point.fields:
        if fault := _field_fault(name):
            return f"field {name[:80]!r} {fault}"
    if not point.fields:
        return "no fields"
    for name, value in point.fields.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name} is {value}, which is no finite number"
        if isinstance(value, str) and (fault := _text_fault(value)):
            return f"{name} {fault}"
    return None


def encode(point: Point) -> bytes:
    """One line, time in microseconds. The point must have passed `refusal`.

    A number is always written as a float: one written as an integer would fix the field's type for its whole shard.
    """
    fields = ",".join(
        f"{name.translate(_TAG)}={_field(value)}" for name, value in point.fields.items()
    )
    return (
        f"{point.kind.translate(_NAME)},device={point.device.translate(_TAG)},"
        f"subject={point.subject.translate(_TAG)} {fields} {point.time_us}"
    ).encode()


def _field(value: float | str | bool) -> str:  # noqa: FBT001 a field may be one
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value.translate(_TEXT)}"'
        case _:
            return repr(float(value))


def _text_fault(text: str) -> str | None:
    # InfluxDB answers a line feed as a carriage return and a line feed: such a text would not come back as it went.
    if not text.isprintable():
        return "has a character that is not printable"
    if len(text.encode()) > TEXT_BYTES_MAX:
        return f"has {len(text.encode())} bytes; {TEXT_BYTES_MAX} fit"
    return None


def _field_fault(name: str) -> str | None:
    if name == _LEFT_OUT:
        return "has a name that InfluxDB leaves out without a word"
    return _name_fault(name)


def _name_fault(name: str) -> str | None:
    if not name:
        return "is empty"
    if name.startswith(("#", "_")):
        return "begins with a sign that the store keeps for itself"
    # A backslash before a separator would escape it: line protocol cannot spell a name that ends in one.
    if not name.isprintable() or "\\" in name:
        return "has a character that a name cannot have"
    if len(name.encode(errors="replace")) > NAME_BYTES_MAX:
        return f"has over {NAME_BYTES_MAX} bytes"
    return None
