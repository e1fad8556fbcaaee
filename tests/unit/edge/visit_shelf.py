"""What a visit is driven with in tests: peers that answer by script or not at all, a host in memory, sessions by one function."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from edge.drive import Ended, Misfit
from gateway.contract.authoring import PushDriver
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.session import (
    Command,
    Event,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme
from gateway.model.quantity import Quantity

PROFILE = Profile(
    id="acme/cuff",
    maker="acme",
    model="cuff",
    kind="blood_pressure",
    driver="acme.cuff",
    support="test",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK),
    quiet_s=0.05,
)
UNIT = UnitInfo(PROFILE)


def reading(number: int) -> Reading:
    return Reading("blood_pressure", {"systolic": Quantity(Decimal(number), "mmHg")})


def numbers(readings: Iterable[Reading]) -> list[int]:
    return [int(r.parts["systolic"].number) for r in readings]  # type: ignore[union-attr]


class Deaf:
    """A peer that answers nothing."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        assert command.channel
        self.heard.set()
        return ()


@dataclass
class Scripted:
    """A peer whose answers are given by command."""

    answers: Mapping[Subscribe | Write | Read, Sequence[Received | Refused]]

    subscribed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        if isinstance(command, Subscribe):
            self.subscribed.set()
        return self.answers.get(command, ())


@dataclass
class Shelf:
    """A host in memory: commits in order, and what stops them."""

    commits: list[tuple[list[int], str | None]] = field(default_factory=list)
    arrivals: list[float | None] = field(default_factory=list)
    shown: list[datetime] = field(default_factory=list)
    fault: Exception | None = None
    no_room: Exception | None = None
    serial: str | None = None
    parted: list[Ended] = field(default_factory=list)
    gate: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None
    ) -> None:
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.commits.append((numbers(readings), cursor))
        self.arrivals.append(arrived)

    async def before_subscribing(self) -> None:
        if self.no_room is not None:
            raise self.no_room

    async def show_clock(self, at: float, shown: datetime) -> None:
        assert at > 0
        self.shown.append(shown)

    async def late(self, ended: Ended) -> None:
        self.parted.append(ended)

    async def check(self, facts: Mapping[str, str]) -> None:
        if self.serial is not None and facts.get("serial_number") != self.serial:
            raise Misfit(f"serial number {facts.get('serial_number')}, enrolled {self.serial}")


class Heard:
    """A session by one function from event to commands."""

    def __init__(self, answer: Callable[[Event], Iterable[Command]]) -> None:
        self.answer = answer
        self.events: list[Event] = []
        self.received = asyncio.Event()

    def on(self, event: Event) -> Iterable[Command]:
        self.events.append(event)
        if isinstance(event, Received):
            self.received.set()
        return self.answer(event)


def decode(_channel: str, data: bytes) -> Iterator[Reading]:
    for octet in data:
        if octet == 0xFF:
            raise PeerError("octet 255 breaks the protocol")
        if octet == 0xFE:
            raise ZeroDivisionError("a driver's bug")
        yield reading(octet)


CUFF = PushDriver("acme.cuff", decode, ("measurement",))


def frame(*octets: int, channel: str = "measurement") -> Received:
    return Received(0.0, channel, bytes(octets))
