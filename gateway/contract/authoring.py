"""Ways to write a session without writing a state machine: `PushDriver` and `FlowDriver`. Pure."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.contract.framing import Framing
from gateway.contract.session import (
    CONTRACT,
    Closed,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    PeerError,
    Reading,
    Received,
    Refused,
    Report,
    Session,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    VisitClosed,
    Write,
)
from gateway.contract.unreadable import Unreadable

PATIENCE = "patience"
QUIET = "quiet"

Decode = Callable[[str, bytes], Iterable[Reading]]
# `yield command` carries it out and goes on; a bare `yield` waits for the next event.
Flow = Generator[Command | None, Event | None, None]
Asking = Generator[Command | None, Event | None, bytes]
Listening = Generator[Command | None, Event | None, bytes | None]
Waiting = Generator[Command | None, Event | None, Event]


@dataclass(frozen=True, slots=True)
class FlowDriver:
    """A conversation as a generator: `visit(unit, opened)` yields commands, and waits at a bare `yield`."""

    id: str
    visit: Callable[[UnitInfo, Opened], Flow]
    contract: int = CONTRACT

    def open(self, unit: UnitInfo) -> Session:
        """A session for one visit."""
        return _FlowSession(self.visit, unit)


@dataclass(frozen=True, slots=True)
class PushDriver:
    """A device that only notifies: the whole driver is `decode(channel, data)`. The visit ends after `quiet_s`."""

    id: str
    decode: Decode
    channels: Sequence[str]
    contract: int = CONTRACT

    def open(self, unit: UnitInfo) -> Session:
        """A session for one visit."""
        return _FlowSession(self._visit, unit)

    def _visit(self, unit: UnitInfo, _opened: Opened) -> Flow:
        yield from listen(self.decode, self.channels, unit.profile.quiet_s)


class _FlowSession:
    def __init__(self, visit: Callable[[UnitInfo, Opened], Flow], unit: UnitInfo) -> None:
        self._visit, self._unit = visit, unit
        self._flow: Flow | None = None

    def on(self, event: Event) -> Iterator[Command]:
        if isinstance(event, Opened) and self._flow is None:
            self._flow = self._visit(self._unit, event)
            yield from self._run(None)
        elif self._flow is not None:
            yield from self._run(event)

    def _run(self, event: Event | None) -> Iterator[Command]:
        flow = self._flow
        assert flow is not None  # `on` starts it
        try:
            if isinstance(event, Closed):
                command = flow.throw(VisitClosed(event.why, event.at))
            else:
                command = flow.send(event)
            while command is not None:
                yield command
                command = flow.send(None)
        except StopIteration:
            self._flow = None
            yield Finish()
        except VisitClosed:
            self._flow = None


def wait() -> Waiting:
    """The next event."""
    event = yield
    assert event is not None  # a bare yield is only answered with an event
    return event


def until_stored(cursor: str | None = None) -> Flow:
    """Flush, and wait until it is durable. Bytes that arrive meanwhile are not expected, and dropped."""
    yield Flush(cursor)
    while not isinstance((yield from wait()), Stored):
        pass


def listen(decode: Decode, channels: Sequence[str], quiet_s: float) -> Flow:
    """Subscribe, and report each frame in a commit of its own, until nothing has come for `quiet_s`.

    One commit a frame, since a device may forget a record as soon as the radio has confirmed it. So one that can't be read is
    held, those behind it are heard, and UnreadableError is raised when all is over.
    Raises PeerError where the device refuses all `channels`: it would never say anything.
    """
    unreadable = Unreadable()
    with unreadable.told_at_the_end():
        for channel in channels:
            yield Subscribe(channel)
        yield SetTimer(QUIET, quiet_s)
        yield from _heard(decode, channels, quiet_s, unreadable)


def _heard(decode: Decode, channels: Sequence[str], quiet_s: float, unreadable: Unreadable) -> Flow:
    told = set(channels)
    while True:
        match event := (yield from wait()):
            case Received(_, channel, data) if channel in channels:
                try:
                    for reading in decode(channel, data):
                        yield Report(reading)
                except PeerError as fault:
                    unreadable.keep(event, fault)
                yield Flush()
                yield SetTimer(QUIET, quiet_s)
            case Refused(_, Subscribe(channel), code):
                told.discard(channel)
                if not told:
                    raise PeerError(f"refuses to tell of {channel} (ATT error 0x{code:02X})")
            case TimerFired(_, timer) if timer == QUIET:
                return
            case _:
                pass


def quiet(quiet_s: float) -> Flow:
    """Wait until nothing has come for `quiet_s`; what comes meanwhile (a second copy, a late answer) is thrown away."""
    yield SetTimer(QUIET, quiet_s)
    while True:
        match (yield from wait()):
            case Received():
                yield SetTimer(QUIET, quiet_s)
            case TimerFired(_, timer) if timer == QUIET:
                return
            case _:
                pass


class Asker:
    """Questions and answers on one channel: writes a question, gathers frames, minds the time."""

    def __init__(self, channel: str, framing: Framing, within_s: float) -> None:
        """Answers are due `within_s` after the question, and after each frame of an answer."""
        self._channel, self._within_s = channel, within_s
        self._reader = framing.reader()
        self._frames: list[bytes] = []

    def ask(self, question: bytes, matches: Callable[[bytes], bool]) -> Asking:
        """Send a question; the first frame that `matches` answers it, others are thrown away (a late answer to another)."""
        yield Write(self._channel, question)
        while True:
            frame = yield from self.frame()
            if matches(frame):
                return frame

    def frame(self) -> Asking:
        """The next frame. Raises PeerError after `within_s` without one, once the line is quiet.

        It is not asked again: where replies don't say what they answer, a late one would be taken for another's (ADR 11).
        """
        if not self._frames:
            yield SetTimer(PATIENCE, self._within_s)
        while not self._frames:
            match (yield from wait()):
                case Received(_, channel, data) if channel == self._channel:
                    self._frames.extend(self._reader.feed(data))
                case TimerFired(_, timer) if timer == PATIENCE:
                    yield from quiet(self._within_s)
                    raise PeerError(f"no answer within {self._within_s} s{self._unframed()}")
                case _:
                    pass
        return self._frames.pop(0)

    def more(self, within_s: float) -> Listening:
        """The next frame, or None where the line stays quiet for `within_s`: nobody asked for it, so that is no fault."""
        yield SetTimer(QUIET, within_s)
        while not self._frames:
            match (yield from wait()):
                case Received(_, channel, data) if channel == self._channel:
                    self._frames.extend(self._reader.feed(data))
                    yield SetTimer(QUIET, within_s)
                case TimerFired(_, timer) if timer == QUIET:
                    return None
                case _:
                    pass
        return self._frames.pop(0)

    def _unframed(self) -> str:
        rest = self._reader.rest
        return f", but {len(rest)} octets without an end: {rest[:8].hex(' ')}" if rest else ""
