"""Who a device is and what its clock shows, asked before its readings. Pure; for flows whose device waits to be asked.

Device Information 0x180A, Current Time 0x2A2B, Date Time 0x2A08: tables in blood_pressure/README.md.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drivers.gatt.clocks import decode_current_time, decode_date_time, encode_current_time
from gateway.sdk import (
    Command,
    Event,
    Flow,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    ReportClock,
    SetTimer,
    TimerFired,
    UnitInfo,
    Write,
    encode_date_time,
    wait,
)

# Facts, by the names of the channels that hold them.
TEXT_FACTS: Sequence[str] = ("serial_number", "model", "manufacturer", "firmware")
SYSTEM_ID = "system_id"
ANSWER_S = 3.0  # for one read; a device that took longer is asked for no more facts

_ANSWER, _SETTLE = "answer", "settle"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 a device's clock has no zone

Hearing = Generator[Command | None, Event | None, Event]
Telling = Generator[Command | None, Event | None, dict[str, str]]
Minding = Generator[Command | None, Event | None, bool]
Meanwhile = Callable[[Event], Iterable[Command]]
Valuing = Generator[Command | None, Event | None, bytes | None]


@dataclass(frozen=True, slots=True)
class _Clock:
    """A characteristic that holds the device's clock: local time, no zone."""

    channel: str
    decode: Callable[[bytes], datetime | None]
    encode: Callable[[datetime], bytes]


# A profile names one of them. Where it names both, the standard's own goes first.
_CLOCKS = (
    _Clock("current_time", decode_current_time, encode_current_time),
    _Clock("date_time", decode_date_time, encode_date_time),
)


class Introduction:
    """The first part of a visit. It remembers the box's time of the last event: a session has no other clock."""

    def __init__(
        self, unit: UnitInfo, opened: Opened, meanwhile: Meanwhile = lambda _event: ()
    ) -> None:
        """Nothing is asked yet. `meanwhile` is shown each event that comes: a device may tell before it is asked."""
        self._profile, self._offset_s, self._at = unit.profile, unit.zone_offset_s, opened.at
        self._meanwhile = meanwhile

    def settle(self) -> Flow:
        """Leave the gap that the profile asks for, if any: some devices lose a request that follows too soon upon another."""
        if self._profile.settle_s <= 0:
            return
        yield SetTimer(_SETTLE, self._profile.settle_s)
        while not _is_due((yield from self._hear()), _SETTLE):
            pass

    def facts(self) -> Telling:
        """What the device states of itself, as far as the profile names it and the device gives it."""
        told: dict[str, str] = {}
        for name in (*TEXT_FACTS, SYSTEM_ID):
            if name not in self._profile.channels:
                continue
            asked_at = self._at
            data = yield from self._read(name)
            if data is None and self._at - asked_at >= ANSWER_S:
                break
            if said := _fact(name, data or b""):
                told[name] = said
        return told

    def clock(self) -> Minding:
        """Tell what the clock shows; where the profile says so, set it to local time. Whether it was set."""
        for clock in _CLOCKS:
            if clock.channel in self._profile.channels:
                return (yield from self._mind(clock))
        return False

    def value(self, channel: str) -> Valuing:
        """What a characteristic holds; None where it is refused, or no answer comes in time."""
        return (yield from self._read(channel))

    def _mind(self, clock: _Clock) -> Minding:
        data = yield from self._read(clock.channel)
        if shown := _shown(clock, data):
            yield ReportClock(shown)
        if self._profile.clock.settable:
            yield from self.settle()
            now = _EPOCH + timedelta(seconds=int(self._at) + self._offset_s)
            yield Write(clock.channel, clock.encode(now))
        return self._profile.clock.settable

    def _read(self, channel: str) -> Valuing:
        yield Read(channel)
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            match (yield from self._hear()):
                case Received(_, told, data) if told == channel:
                    return data
                case Refused(_, Read(refused)) if refused == channel:
                    return None
                case TimerFired(_, timer) if timer == _ANSWER:
                    return None
                case _:
                    pass

    def _hear(self) -> Hearing:
        event = yield from wait()
        self._at = event.at
        yield from self._meanwhile(event)
        return event


def _is_due(event: Event, timer: str) -> bool:
    return isinstance(event, TimerFired) and event.timer == timer


def _fact(name: str, data: bytes) -> str:
    """UTF-8 text without padding; a System ID as it stands on the air, in hex. Empty where it says nothing."""
    if name == SYSTEM_ID:
        return data.hex() if any(data) else ""
    text = data.decode("utf-8", errors="backslashreplace")
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _shown(clock: _Clock, data: bytes | None) -> datetime | None:
    # A clock that can't be read costs the time's certainty, never the measurement.
    try:
        return clock.decode(data) if data is not None else None
    except PeerError:
        return None
