"""A visit to a thermometer: who it is, what its clock shows, then every indication to disk at once. Pure.

Intermediate temperatures are no readings. That they come says when a measurement was still under way, and no more.
"""

from collections.abc import Iterator
from dataclasses import replace

from drivers.gatt.introduction import Asked, Hearing, Introduction, Telling
from drivers.gatt.thermometer.codec import decode_interval, decode_site, reading
from gateway.sdk import (
    Command,
    Event,
    Finish,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Report,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    Unreadable,
    Write,
    wait,
)

MEASUREMENT, INTERMEDIATE = "measurement", "intermediate"
SITE, INTERVAL = "temperature_type", "measurement_interval"
INTERVAL_FACT = "measurement_interval_s"
CLOCKS = ("current_time", "date_time")
# A thermometer that measures without end is left before the visit's deadline, and visited again.
PARTING_S = 5.0

# What is stored follows upon the subscription, and upon each other, sooner than this: what is heard of a measurement under way
# in between says nothing of the next that is told.
BURST_S = 0.5

_QUIET, _ENOUGH = "quiet", "enough"


class _Thermometer:
    """One visit. `keeps_time`: it has a clock, so what comes without a time stamp is from before the clock was set."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile = unit.profile
        self._intro = Introduction(unit, opened, self._tell)
        self._unreadable = Unreadable()
        self._site: int | None = None
        self._keeps_time = self._clock_refused = False
        self._subscribed = self._told_all = False
        self._burst_at: float | None = None
        """When the last indication came, or the first event behind the subscription to them."""
        self._measuring_since: float | None = None

    def visit(self) -> Flow:
        with self._unreadable.told_at_the_end():
            yield from self._talk()
        yield Finish(told_all=self._told_all)

    def _talk(self) -> Flow:
        yield SetTimer(_ENOUGH, self._profile.deadline_s - PARTING_S)
        yield from self._intro.settle()
        facts = yield from self._intro.facts()
        yield ReportFacts(facts | (yield from self._ways()))
        set_ = yield from self._intro.clock()
        named = any(clock in self._profile.channels for clock in CLOCKS)
        self._keeps_time = named and not self._clock_refused
        if set_:
            yield from self._intro.settle()
        yield from self._listen()

    def _ways(self) -> Telling:
        """Where and how often it measures, as far as the profile names it and the device says it."""
        told: dict[str, str] = {}
        for channel, decode in ((SITE, decode_site), (INTERVAL, decode_interval)):
            data = yield from self._value(channel)
            try:
                number = None if data is None else decode(data)
            except PeerError:
                continue
            if number is not None and channel == SITE:
                self._site = number
            elif number is not None:
                told[INTERVAL_FACT] = str(number)
        return told

    def _value(self, channel: str) -> Asked:
        if channel not in self._profile.channels:
            return None
        return (yield from self._intro.ask(channel))

    def _listen(self) -> Flow:
        for channel in (INTERMEDIATE, MEASUREMENT):
            if channel in self._profile.channels:
                yield Subscribe(channel)
        self._subscribed = True
        yield SetTimer(_QUIET, self._profile.quiet_s)
        while True:
            event = yield from self._hear()
            match event:
                case Received():
                    yield SetTimer(_QUIET, self._profile.quiet_s)
                case Refused(_, Subscribe(channel), code) if channel == MEASUREMENT:
                    raise PeerError(f"refuses to tell of {channel} (ATT error 0x{code:02X})")
                case TimerFired(_, timer) if timer in (_QUIET, _ENOUGH):
                    self._told_all = timer == _QUIET
                    return
                case _:
                    pass

    def _hear(self) -> Hearing:
        event = yield from wait()
        yield from self._tell(event)
        return event

    def _tell(self, event: Event) -> Iterator[Command]:
        """What any event means, at any time: a bonded thermometer may tell before it is asked, and forgets what it told."""
        if self._subscribed and self._burst_at is None:
            self._burst_at = event.at
        match event:
            case Received(at, channel) if channel == MEASUREMENT:
                yield from self._told(event)
                self._measuring_since, self._burst_at = None, at
            case Received(at, channel) if channel == INTERMEDIATE:
                if self._measuring_since is None and self._is_past_burst(at):
                    self._measuring_since = at
            case Refused(_, Read(channel) | Write(channel)) if channel in CLOCKS:
                self._clock_refused = isinstance(event.command, Write) or (
                    not self._profile.clock.settable
                )
                self._keeps_time = self._keeps_time and not self._clock_refused
            case _:
                pass

    def _told(self, event: Received) -> Iterator[Command]:
        try:
            told = reading(event.data, self._site)
        except PeerError as fault:
            self._unreadable.keep(event, fault)
            return
        if told.taken is None and told.raw_time is None:
            told = replace(told, pushed=not self._keeps_time)
        if self._measuring_since is not None:
            told = replace(told, within_s=event.at - self._measuring_since, pushed=True)
        yield Report(told)
        yield Flush()

    def _is_past_burst(self, at: float) -> bool:
        return self._burst_at is not None and at - self._burst_at >= BURST_S


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Thermometer(unit, opened).visit()


DRIVER = FlowDriver("gatt.thermometer", _visit)
