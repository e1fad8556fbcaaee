"""The lines of the OneTouch Ultra 2's "DM" protocol, both ways. Pure; tables and sources: README.md."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from gateway.sdk import Limit, LineFramed, PeerError, Quantity, Reading

KIND = "glucose"
UNIT = "mg/dL"  # in every record, whatever the display shows
LOWEST, HIGHEST = 20, 600  # beyond them the meter shows LO and HI
RECORDS_MAX = 500
FRAMING = LineFramed(end=b"\r\n", line_max=120)
WAKE = b"\x11\r"

ASK_SERIAL, ASK_CLOCK, ASK_DUMP = b"DM@", b"DMF", b"DMP"

COMMENTS = (
    "",
    "not enough food",
    "too much food",
    "mild exercise",
    "hard exercise",
    "medication",
    "stress",
    "illness",
    "feel hypo",
    "menses",
    "vacation",
    "other",
)
MEALS = {"N": "", "B": "before", "A": "after"}

Meal = Literal["N", "B", "A"]
DisplayUnit = Literal["MG/DL ", "MMOL/L"]

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAY = rf"(?:{'|'.join(_DAYS)})"
_WHEN = rf'"{_DAY}","(?P<date>[0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}})","(?P<time>[0-9:]{{8}})   "'

_CHECKED = re.compile(rb"(?P<text>[ -~]*) (?P<sum>[0-9A-F]{4})", re.ASCII)
_SERIAL = re.compile(r'@ "(?P<serial>[0-9A-Z]{8,9})"')
_CLOCK = re.compile(rf"F {_WHEN}")
_HEADER = re.compile(r'P (?P<count>[0-9]{3}),"(?P<serial>[0-9A-Z]{8,9})","(?P<unit>MG/DL |MMOL/L)"')
# The older Ultra leaves meal and comment out.
_RECORD = re.compile(
    rf'P {_WHEN},"(?P<control>[C ]) (?P<value>[0-9]{{3}})(?P<parity>[? ])"'
    r'(?:,"(?P<meal>[NBA])","(?P<comment>0[0-9]|1[01])")?, [0-9]{2}'
)


@dataclass(frozen=True, slots=True)
class Header:
    """What announces a dump. `unit` is that of the display, and says nothing of the records."""

    count: int
    serial: str
    unit: DisplayUnit = "MG/DL "


@dataclass(frozen=True, slots=True)
class Record:
    """One line of memory. `taken` is None where `raw_time` (ISO 8601) is no real moment; `meal` None: an older Ultra."""

    raw_time: str
    value: int
    taken: datetime | None = None
    control: bool = False
    parity_fault: bool = False
    meal: Meal | None = "N"
    comment: int = 0


def checksum(text: bytes) -> int:
    """16-bit sum of the characters before the last blank."""
    return sum(text) & 0xFFFF


def request(command: bytes) -> bytes:
    """What is written to ask something; the octets before it wake the meter."""
    return WAKE + command + b"\r"


def unwrap(line: bytes) -> str:
    """The text of a line whose checksum is right. Raises PeerError, which does not repeat the line: it holds a measurement."""
    found = _CHECKED.fullmatch(line)
    if found is None:
        raise PeerError(f"{len(line)} octets that are no text with a checksum behind it")
    text, told = found["text"], int(found["sum"], 16)
    if checksum(text) != told:
        raise PeerError(
            f"checksum {told:04X}, but its {len(text)} octets sum to {checksum(text):04X}"
        )
    return text.decode("ascii")


def wrap(text: str) -> bytes:
    """A line as the meter sends it, with checksum and end."""
    told = text.encode("ascii")
    return told + f" {checksum(told):04X}".encode("ascii") + FRAMING.end


def decode_serial(line: bytes) -> str:
    """The serial number of an `@` line. Raises PeerError."""
    return _match(_SERIAL, line, "serial number")["serial"]


def encode_serial(serial: str) -> bytes:
    """The answer to `DM@`."""
    return wrap(f'@ "{serial}"')


def decode_clock(line: bytes) -> datetime | None:
    """What the clock shows, or None where that is no real moment. Raises PeerError."""
    return _moment(_raw_time(_match(_CLOCK, line, "clock")))


def encode_clock(shown: datetime) -> bytes:
    """The answer to `DMF`."""
    return wrap(f"F {_when(shown)}")


def decode_header(line: bytes) -> Header:
    """What a dump announces. Raises PeerError, also for more records than the memory holds."""
    found = _match(_HEADER, line, "dump's header")
    count = int(found["count"])
    if count > RECORDS_MAX:
        raise PeerError(f"claims {count} records; the model holds {RECORDS_MAX}")
    return Header(count, found["serial"], "MMOL/L" if found["unit"] == "MMOL/L" else "MG/DL ")


def encode_header(header: Header) -> bytes:
    """The first line of the answer to `DMP`."""
    return wrap(f'P {header.count:03},"{header.serial}","{header.unit}"')


def decode_record(line: bytes) -> Record:
    """One line of memory. Raises PeerError; an impossible date is none of the reasons."""
    found = _match(_RECORD, line, "record")
    raw_time = _raw_time(found)
    return Record(
        raw_time=raw_time,
        value=int(found["value"]),
        taken=_moment(raw_time),
        control=found["control"] == "C",
        parity_fault=found["parity"] == "?",
        meal=_meal(found["meal"]),
        comment=int(found["comment"] or 0),
    )


def encode_record(record: Record) -> bytes:
    """One line of memory. Raises ValueError for what its columns can't hold."""
    if not 0 <= record.value <= 999 or not 0 <= record.comment < len(COMMENTS):  # noqa: PLR2004 three digits
        raise ValueError(f"value {record.value}, comment {record.comment}; 0 to 999, 0 to 11 fit")
    control, parity = "C" if record.control else " ", "?" if record.parity_fault else " "
    tags = "" if record.meal is None else f',"{record.meal}","{record.comment:02}"'
    when = _when(record.taken) if record.taken else _impossible(record.raw_time)
    return wrap(f'P {when},"{control} {record.value:03}{parity}"{tags}, 00')


def reading(record: Record, line: bytes, ordinal: int = 0) -> Reading:
    """A record as a reading; `line` is what it was decoded from."""
    context = {"meal": MEALS[record.meal or "N"], "comment": COMMENTS[record.comment]}
    marks = {"control": record.control, "memory_parity": record.parity_fault}
    return Reading(
        kind=KIND,
        parts={"value": _shown(record.value)},
        taken=record.taken,
        raw_time=None if record.taken else record.raw_time,
        ordinal=ordinal,
        context={name: told for name, told in context.items() if told},
        marks=frozenset(mark for mark, set_ in marks.items() if set_),
        raw=line,
    )


def _shown(value: int) -> Quantity | Limit:
    if value < LOWEST:
        return Limit.BELOW
    return Limit.ABOVE if value > HIGHEST else Quantity(Decimal(value), UNIT)


def _match(pattern: re.Pattern[str], line: bytes, what: str) -> re.Match[str]:
    found = pattern.fullmatch(unwrap(line))
    if found is None:
        raise PeerError(f"its checksum is right, but it is no {what}")
    return found


def _meal(letter: str | None) -> Meal | None:
    match letter:
        case "N" | "B" | "A":
            return letter
        case _:
            return None


def _raw_time(found: re.Match[str]) -> str:
    month, day, year = found["date"].split("/")
    return f"20{year}-{month}-{day}T{found['time']}"


def _moment(raw_time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(raw_time)
    except ValueError:
        return None


def _when(moment: datetime) -> str:
    return f'"{_DAYS[moment.weekday()]}","{moment:%m/%d/%y}","{moment:%H:%M:%S}   "'


def _impossible(raw_time: str) -> str:
    date, _, time = raw_time.partition("T")
    year, month, day = date.split("-")
    return f'"{_DAYS[0]}","{month}/{day}/{year[2:]}","{time}   "'
