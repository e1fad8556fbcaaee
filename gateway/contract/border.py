"""What a session yields, looked at before it is believed: of the contract's types, and nobody else's to change. Pure.

A driver may come from anybody, and what it gets wrong ends its own visit: past this line types are trusted, and a text in a
number's place would stop the agent with all its other devices.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from gateway.contract.session import (
    Command,
    Finish,
    Flush,
    Read,
    Reading,
    Report,
    ReportClock,
    ReportFacts,
    SetTimer,
    Subscribe,
    Write,
)
from gateway.model.quantity import Limit, Quantity

NAME_CHARS_MAX = 60  # of a part or a fact, in a message

Types = type | tuple[type, ...]
_OPTIONAL_TEXT = (str, type(None))
_SECONDS = (int, float)


def taken(command: Command) -> Command:
    """The command as the visit may keep it: a reading is a copy, which its driver can't change any more.

    Raises TypeError or ValueError, which names what is wrong.
    """
    match command:
        case Report(reading):
            return Report(kept(reading))
        case ReportFacts(facts):
            return ReportFacts(_texts("ReportFacts", facts))
        case ReportClock(shown):
            _clock(shown)
        case Flush(cursor):
            _is("Flush.cursor", cursor, _OPTIONAL_TEXT)
            _is_text(cursor or "")
        case SetTimer(timer, after_s):
            _timer(timer, after_s)
        case Write(channel, data):
            _is("Write.channel", channel, str)
            _is("Write.data", data, bytes)
        case Subscribe(channel) | Read(channel):
            _is(f"{type(command).__name__}.channel", channel, str)
        case Finish(told_all):
            _is("Finish.told_all", told_all, bool, flag=True)
        case _:
            raise TypeError(f"a session yielded a {type(command).__name__}, which is no command")
    return command


def kept(told: Reading) -> Reading:
    """A copy of the reading, which its driver can't change any more. Raises TypeError."""
    _is("Report.reading", told, Reading)
    _is("Reading.kind", told.kind, str)
    _is("Reading.parts", told.parts, Mapping)
    for name, value in told.parts.items():
        _is("a name in Reading.parts", name, str)
        _is(f"Reading.parts[{_named(name)}]", value, (Quantity, Limit))
        if isinstance(value, Quantity):
            _is(f"the number of {_named(name)}", value.number, Decimal)
            _is(f"the unit of {_named(name)}", value.unit, str)
    _times(told)
    _is("Reading.sequence", told.sequence, (int, type(None)))
    _is("Reading.ordinal", told.ordinal, int)
    _is("Reading.slot", told.slot, _OPTIONAL_TEXT)
    _is("Reading.marks", told.marks, (frozenset, set))
    for mark in told.marks:
        _is("a mark in Reading.marks", mark, str)
    _is("Reading.raw", told.raw, bytes)
    _is("Reading.pushed", told.pushed, bool, flag=True)
    return replace(
        told,
        parts=dict(told.parts),
        context=_texts("Reading.context", told.context),
        marks=frozenset(told.marks),
    )


def _clock(shown: datetime) -> None:
    _is("ReportClock.shown", shown, datetime)
    if shown.tzinfo is not None:
        raise ValueError(f"ReportClock.shown is {shown}; a device's clock has no zone")


def _timer(timer: str, after_s: float) -> None:
    _is("SetTimer.timer", timer, str)
    _is("SetTimer.after_s", after_s, _SECONDS)
    if not math.isfinite(after_s):
        raise ValueError(f"SetTimer.after_s is {after_s}; a timer fires some time")


def _times(told: Reading) -> None:
    _is("Reading.taken", told.taken, (datetime, type(None)))
    _is("Reading.raw_time", told.raw_time, _OPTIONAL_TEXT)
    _is("Reading.offset", told.offset, (timedelta, type(None)))
    _is("Reading.within_s", told.within_s, (*_SECONDS, type(None)))


def _texts(what: str, told: Mapping[str, str]) -> dict[str, str]:
    _is(what, told, Mapping)
    for name, text in told.items():
        _is(f"a name in {what}", name, str)
        _is(f"{what}[{_named(name)}]", text, str)
    return dict(told)


def _is(what: str, value: object, types: Types, *, flag: bool = False) -> None:
    # True is an int to Python, and no number of a record.
    if not isinstance(value, types) or (isinstance(value, bool) and not flag):
        wanted = types if isinstance(types, tuple) else (types,)
        names = " or ".join("None" if one is type(None) else one.__name__ for one in wanted)
        # Never the value: it may be a measurement, or a code that a person typed.
        raise TypeError(f"{what} is a {type(value).__name__}; the contract wants {names}")


def _is_text(cursor: str) -> None:
    try:
        cursor.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"Flush.cursor: no text at {error.start}: a lone surrogate") from error


def _named(name: str) -> str:
    return f"{name[:NAME_CHARS_MAX]!r}"
