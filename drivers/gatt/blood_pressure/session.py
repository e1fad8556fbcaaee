"""A visit to a blood pressure cuff: who it is, what its clock shows, then every indication to disk at once. Pure."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drivers.gatt.blood_pressure.codec import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    reading,
)
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    ReportClock,
    ReportFacts,
    SetTimer,
    TimerFired,
    UnitInfo,
    Write,
    encode_date_time,
    listen,
    wait,
)

MEASUREMENT = "measurement"
# Facts, by the names of the channels that hold them: Device Information 0x180A.
TEXT_FACTS: Sequence[str] = ("serial_number", "model", "manufacturer", "firmware")
SYSTEM_ID = "system_id"
ANSWER_S = 3.0  # for one read; a cuff that took longer is asked for no more facts

_ANSWER, _SETTLE = "answer", "settle"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 a device's clock has no zone

Hearing = Generator[Command | None, Event | None, Event]
Answer = Generator[Command | None, Event | None, bytes | None]


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


class _Cuff:
    """One visit. `_at` is the box's time when the last event arrived: a session has no other clock."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._offset_s, self._at = unit.profile, unit.zone_offset_s, opened.at

    def visit(self) -> Flow:
        yield from self._settle()
        yield from self._tell_facts()
        for clock in _CLOCKS:
            if clock.channel in self._profile.channels:
                yield from self._mind_clock(clock)
                break
        yield from listen(_decode, (MEASUREMENT,), self._profile.quiet_s)

    def _tell_facts(self) -> Flow:
        facts: dict[str, str] = {}
        for name in (*TEXT_FACTS, SYSTEM_ID):
            if name not in self._profile.channels:
                continue
            asked_at = self._at
            told = yield from self._read(name)
            if told is None and self._at - asked_at >= ANSWER_S:
                break
            if fact := _fact(name, told or b""):
                facts[name] = fact
        yield ReportFacts(facts)

    def _mind_clock(self, clock: _Clock) -> Flow:
        told = yield from self._read(clock.channel)
        if shown := _shown(clock, told):
            yield ReportClock(shown)
        if self._profile.clock.settable:
            yield from self._settle()
            now = _EPOCH + timedelta(seconds=int(self._at) + self._offset_s)
            yield Write(clock.channel, clock.encode(now))
            yield from self._settle()

    def _read(self, channel: str) -> Answer:
        """What a characteristic holds, or None where it can't be had."""
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

    def _settle(self) -> Flow:
        # Some cuffs lose a request that follows too soon upon another (README, "Gaps").
        if self._profile.settle_s <= 0:
            return
        yield SetTimer(_SETTLE, self._profile.settle_s)
        while True:
            match (yield from self._hear()):
                case TimerFired(_, timer) if timer == _SETTLE:
                    return
                case _:
                    pass

    def _hear(self) -> Hearing:
        # A bonded cuff that remembers its subscription may tell before it is asked, and forgets what it told.
        event = yield from wait()
        self._at = event.at
        if isinstance(event, Received) and event.channel == MEASUREMENT:
            yield Report(reading(event.data))
            yield Flush()
        return event


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Cuff(unit, opened).visit()


def _decode(_channel: str, data: bytes) -> Iterator[Reading]:
    yield reading(data)


def _fact(name: str, data: bytes) -> str:
    """UTF-8 text without padding; a System ID as it stands on the air, in hex. Empty where it says nothing."""
    if name == SYSTEM_ID:
        return data.hex() if any(data) else ""
    text = data.decode("utf-8", errors="backslashreplace")
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _shown(clock: _Clock, told: bytes | None) -> datetime | None:
    # A clock that can't be read costs the time's certainty, never the measurement.
    try:
        return clock.decode(told) if told is not None else None
    except PeerError:
        return None


DRIVER = FlowDriver("gatt.blood_pressure", _visit)
