"""The driver contract, version 0: events in, commands out. A session touches nothing else (ADR 1, ADR 11)."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from gateway.contract.profile import Profile
from gateway.model.quantity import Limit, Quantity

CONTRACT = 0

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 a device's clock has no zone

OFFSET_UNKNOWN = "offset_unknown"
"""The mark of a reading whose device says that user's time differs from `taken`, and not by how much: it names the record, and does not date it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One act of measurement, in the device's units and on the device's clock.

    `taken` is naive device time as stored, None where the device gives none. `raw_time` is the same as text when the
    device's time can't be a datetime (month 13): kept as evidence. `offset`: user-facing time = `taken` + `offset`.
    `sequence` is a number stored *with* the record; a memory position is none. `ordinal` is the place among equal records
    of one dump, from the oldest. `context` is never in key or hash. `raw` is the frame it came in.
    `pushed`: the device told of it by itself, right after measuring or when it next met a gateway. `within_s`: the session
    saw that it had not been made yet so many seconds before the event that it is told at; None where it can't have seen it.
    """

    kind: str
    parts: Mapping[str, Quantity | Limit]
    taken: datetime | None = None
    raw_time: str | None = None
    offset: timedelta | None = None
    sequence: int | None = None
    ordinal: int = 0
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    slot: str | None = None
    marks: frozenset[str] = frozenset()
    raw: bytes = b""
    pushed: bool = False
    within_s: float | None = None


# world -> session. `at` is the only clock that a session sees: POSIX seconds by the box's clock.
@dataclass(frozen=True, slots=True)
class Opened:
    """The link is up. `facts`: what the link knows (`name`, `address`, `port`)."""

    at: float
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from the device; a serial line may split or join them anywhere."""

    at: float
    channel: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The device, or the link, would not do a command. `code`: the ATT error code, or 0 where there is none."""

    at: float
    command: "Subscribe | Write | Read"
    code: int = 0


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that was set, and not replaced since, is due."""

    at: float
    timer: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything reported before the flush is durable: the device may now forget."""

    at: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The link is gone, or the visit's time is up. May be answered with `Report` only."""

    at: float
    why: str = ""


Event = Opened | Received | Refused | TimerFired | Stored | Closed


# session -> world. A channel is a name from the profile, never a UUID or a port.
@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask for a channel's notifications or indications."""

    channel: str


@dataclass(frozen=True, slots=True)
class Write:
    """Send bytes. `reply`: with the link's own acknowledgement, where it has one."""

    channel: str
    data: bytes
    reply: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for a channel's value: answered by `Received` or `Refused`."""

    channel: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Fire `timer` after so many seconds. Setting it again replaces it."""

    timer: str
    after_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """Tell of one measurement."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class ReportClock:
    """What the device's clock shows now (naive), so that the host can hold it beside its own."""

    shown: datetime


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the device states of itself: `serial_number`, `firmware`, ... A visit to the wrong device ends here."""

    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Flush:
    """Put what was reported so far and the cursor on disk in one commit; `Stored` answers. None leaves the cursor."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The visit is over. `told_all`: the device has told all that it held when the visit began.

    Unless a session says no, what the device tells later is taken to have been measured since then. One that leaves a device
    which tells without end says no.
    """

    told_all: bool = True


Command = Subscribe | Write | Read | SetTimer | Report | ReportClock | ReportFacts | Flush | Finish


class PeerError(Exception):
    """The device broke its protocol: all that a session may raise."""


class VisitClosed(Exception):  # noqa: N818 it is thrown into a flow to tell it, not raised as a fault
    """The link is gone, or the visit's time is up. A flow that holds readings back may catch it and yield `Report`s; nothing else is heard.

    `at`: when, by the box's clock.
    """

    def __init__(self, why: str = "", at: float = 0.0) -> None:
        """As `Closed` says it."""
        super().__init__(why)
        self.at = at


@dataclass(frozen=True, slots=True)
class UnitInfo:
    """The device that is visited. `zone_offset_s`: local time of the device = UTC + this, as far as the box knows.

    `box_off_s`: what the box's clock lacks to the true time, where the cloud has said so: events are stamped by the box's.
    A device's clock is set by `local_time`, which knows of both.
    `raw_stream`: the operator wants each sample of a stream kept, and pays for it.
    `secrets`: what the device asks for and its operator wrote into a file of its own (ADR 21). They may be written to the
    device, and never stand in a reading, a fact, a cursor or a message.
    """

    profile: Profile
    cursor: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    zone_offset_s: int = 0
    raw_stream: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    box_off_s: float = 0.0

    def local_time(self, at: float) -> datetime:
        """What a right clock of the device would show (naive, whole seconds) at an event's `at`."""
        return _EPOCH + timedelta(seconds=int(at + self.box_off_s) + self.zone_offset_s)


class Session(Protocol):
    """One visit to one device. What it yielded before it raised `PeerError` counts."""

    def on(self, event: Event) -> Iterable[Command]:
        """Answer one event. Events that a session doesn't know are answered with nothing."""
        ...


class Driver(Protocol):
    """What a plugin registers under the entry-point group `gateway.drivers`."""

    @property
    def id(self) -> str:
        """Name by which profiles refer to it, as in `acme.glu`."""
        ...

    @property
    def contract(self) -> int:
        """Version of this contract that it was written against."""
        ...

    def open(self, unit: UnitInfo) -> Session:
        """A session for one visit."""
        ...


class Link(Protocol):
    """A way to a device: Bluetooth, a port, a replayed capture, a simulator."""

    def events(self) -> AsyncIterator[Opened | Received | Refused]:
        """What the device says; ends when the link closes."""
        ...

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Carry out one command. Raises LinkError only."""
        ...

    async def close(self) -> None:
        """Let the device go. Never raises."""
        ...


class Peer(Protocol):
    """The device's side, for simulators."""

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What the device answers."""
        ...
