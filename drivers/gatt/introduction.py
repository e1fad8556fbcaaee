"""Who a device is and what its clock shows, asked before its readings. Pure; for flows whose device waits to be asked.

Device Information 0x180A, Battery 0x180F, Current Time 0x2A2B, Date Time 0x2A08, Device Time 0x2B90: tables in
blood_pressure/README.md.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import datetime

from drivers.gatt.clocks import decode_current_time, decode_date_time, encode_current_time
from drivers.gatt.device_information import FACTS
from drivers.gatt.device_time import decode_device_time, decode_time_feature
from drivers.gatt.isens_clock import QUESTION, decode_isens_clock
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
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
    encode_date_time,
    wait,
)

# Clocks that are only read: one in the Device Time Service, one of i-SENS's own that has to be asked.
DEVICE_TIME, DEVICE_TIME_FEATURE = "device_time", "device_time_feature"
ISENS_CLOCK = "isens_clock"
ANSWER_S = 3.0  # for one read; a device that took longer is asked for no more facts

_ANSWER, _SETTLE = "answer", "settle"

Asked = Generator[Command | None, Event | None, bytes | None]
Hearing = Generator[Command | None, Event | None, Event]
Telling = Generator[Command | None, Event | None, dict[str, str]]
Minding = Generator[Command | None, Event | None, bool]
Meanwhile = Callable[[Event], Iterable[Command]]


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
        self._profile, self._local_time, self._at = unit.profile, unit.local_time, opened.at
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
        for name, fact in FACTS.items():
            if name not in self._profile.channels:
                continue
            asked_at = self._at
            data = yield from self._read(name)
            if data is None and self._at - asked_at >= ANSWER_S:
                break
            if data is not None and (said := fact(data)):
                told[name] = said
        return told

    def clock(self) -> Minding:
        """Tell what the clock shows; where the profile says so, set it to local time. Whether it was set."""
        for clock in _CLOCKS:
            if clock.channel in self._profile.channels:
                return (yield from self._mind(clock))
        if DEVICE_TIME in self._profile.channels:
            yield from self._look_at_device_time()
        elif ISENS_CLOCK in self._profile.channels:
            yield from self._ask_isens()
        return False

    def ask(self, channel: str) -> Asked:
        """What a channel holds; None where the device doesn't say."""
        return (yield from self._read(channel))

    def _look_at_device_time(self) -> Flow:
        # Whether a CRC stands before the time, and what behind it, is said elsewhere: without that it can't be read.
        feature = yield from self._read(DEVICE_TIME_FEATURE)
        data = yield from self._read(DEVICE_TIME)
        if feature is None or data is None:
            return
        try:
            shown = decode_device_time(data, decode_time_feature(feature)).shown
        except PeerError:
            return
        if shown is not None:
            yield ReportClock(shown)

    def _ask_isens(self) -> Flow:
        yield Subscribe(ISENS_CLOCK)
        yield Write(ISENS_CLOCK, QUESTION)
        data = yield from self._answer(ISENS_CLOCK)
        try:
            shown = decode_isens_clock(data) if data is not None else None
        except PeerError:
            return
        if shown is not None:
            yield ReportClock(shown)

    def _mind(self, clock: _Clock) -> Minding:
        data = yield from self._read(clock.channel)
        if shown := _shown(clock, data):
            yield ReportClock(shown)
        if self._profile.clock.settable:
            yield from self.settle()
            yield Write(clock.channel, clock.encode(self._local_time(self._at)))
        return self._profile.clock.settable

    def _read(self, channel: str) -> Asked:
        yield Read(channel)
        return (yield from self._answer(channel))

    def _answer(self, channel: str) -> Asked:
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            match (yield from self._hear()):
                case Received(_, told, data) if told == channel:
                    return data
                case Refused(_, command) if command.channel == channel:
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


def _shown(clock: _Clock, data: bytes | None) -> datetime | None:
    # A clock that can't be read costs the time's certainty, never the measurement.
    try:
        return clock.decode(data) if data is not None else None
    except PeerError:
        return None
