"""The shell of a visit: order, durability, deadlines, faults and what a cancelled visit still saves."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import pytest

from edge.drive import INBOX_MAX, Ended, Misfit, Outcome, drive
from edge.links.arrival import Arrivals
from edge.links.memory import MemoryLink, ReplayLink
from edge.salvage import salvage
from gateway.contract.authoring import Flow, FlowDriver, PushDriver, until_stored, wait
from gateway.contract.capture import Capture
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Finish,
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
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError, StoreError

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


@pytest.fixture
def now() -> Callable[[], float]:
    return Arrivals(SystemClock()).now


def frame(*octets: int, channel: str = "measurement") -> Received:
    return Received(0.0, channel, bytes(octets))


async def test_each_pushed_frame_is_committed_alone_and_the_visit_ends_when_quiet(
    now: Callable[[], float],
) -> None:
    shelf, link = Shelf(), MemoryLink(Deaf(), now)
    link.say(frame(120))
    link.say(frame(130))
    ended = await drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([120], None), ([130], None)]
    assert Outcome.FINISHED is ended.outcome
    assert ended.persisted == 2
    assert link.closed
    assert [Subscribe("measurement")] == link.performed


async def test_the_window_runs_from_the_arrival_of_the_frame_that_gave_the_reading(
    now: Callable[[], float],
) -> None:
    def visit(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Read("serial")
        yield from wait()
        yield Subscribe("measurement")
        received = yield from wait()
        assert isinstance(received, Received)
        yield Report(reading(received.data[0]))
        yield from until_stored()

    peer = Scripted({Read("serial"): [frame(1, channel="serial")]})
    shelf, link = Shelf(), MemoryLink(peer, now)
    task = asyncio.create_task(
        drive(FlowDriver("a.b", visit).open(UNIT), link, shelf, deadline_s=5, now=now)
    )
    await peer.subscribed.wait()
    before = now()
    link.say(frame(120))
    await task
    assert shelf.commits == [([120], None)]
    assert shelf.arrivals[0] is not None
    assert shelf.arrivals[0] >= before


async def test_stored_is_told_only_after_the_commit_and_bypasses_a_full_inbox(
    now: Callable[[], float],
) -> None:
    shelf = Shelf(gate=asyncio.Event())

    def answer(event: Event) -> Iterable[Command]:
        match event:
            case Opened():
                return [Report(reading(1)), Flush("a")]
            case Stored():
                return [Finish()]
            case _:
                return []

    session, link = Heard(answer), MemoryLink(Deaf(), now)
    for _ in range(INBOX_MAX * 2):
        link.say(frame(9))
    task = asyncio.create_task(drive(session, link, shelf, deadline_s=5, now=now))
    await shelf.asked.wait()
    assert not any(isinstance(event, Stored) for event in session.events)
    assert shelf.gate is not None
    shelf.gate.set()
    ended = await task
    assert Outcome.FINISHED is ended.outcome
    assert [Opened, Stored] == [type(event) for event in session.events]
    assert len(ended.unread) == INBOX_MAX * 2


async def test_a_link_that_closes_early_keeps_what_was_told_and_leaves_the_cursor(
    now: Callable[[], float],
) -> None:
    def answer(event: Event) -> Iterable[Command]:
        match event:
            case Received(_, _, data):
                return [Report(reading(data[0]))]
            case Closed():
                return [Report(reading(99)), Flush("never")]
            case _:
                return []

    shelf, link = Shelf(), MemoryLink(Deaf(), now)
    link.say(frame(7))
    link.hang_up()
    ended = await drive(Heard(answer), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([7, 99], None)]
    assert Outcome.CLOSED is ended.outcome


async def test_a_link_that_breaks_says_why(now: Callable[[], float]) -> None:
    link = MemoryLink(Deaf(), now)
    link.hang_up("over 1024 values")
    ended = await drive(CUFF.open(UNIT), link, Shelf(), deadline_s=5, now=now)
    assert (ended.outcome, ended.why) == (Outcome.CLOSED, "over 1024 values")


async def test_a_link_error_in_mid_command_ends_the_visit_but_keeps_what_came_with_it(
    now: Callable[[], float],
) -> None:
    class Breaking(MemoryLink):
        async def perform(self, command: Subscribe | Write | Read) -> None:
            raise LinkError(f"{command.channel}: no answer within 10 s")

    def answer(event: Event) -> Iterable[Command]:
        if isinstance(event, Opened):
            return [Report(reading(1)), Read("x"), Report(reading(2)), Flush("c")]
        return []

    shelf, link = Shelf(), Breaking(Deaf(), now)
    ended = await drive(Heard(answer), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([1, 2], "c")]
    assert (ended.outcome, ended.why) == (Outcome.CLOSED, "x: no answer within 10 s")


async def test_what_was_told_before_a_peer_error_is_kept(now: Callable[[], float]) -> None:
    shelf, link = Shelf(), MemoryLink(Deaf(), now)
    link.say(frame(120, 0xFF, 130))
    ended = await drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([120], None)]
    assert Outcome.PEER is ended.outcome
    assert ended.why == "octet 255 breaks the protocol"


async def test_a_bug_of_the_driver_is_contained_and_named(now: Callable[[], float]) -> None:
    shelf, link = Shelf(), MemoryLink(Deaf(), now)
    link.say(frame(120, 0xFE))
    ended = await drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([120], None)]
    assert Outcome.BUG is ended.outcome
    assert isinstance(ended.error, ZeroDivisionError)


async def test_a_visit_ends_at_its_deadline_with_what_had_arrived(
    now: Callable[[], float],
) -> None:
    def answer(event: Event) -> Iterable[Command]:
        return [Report(reading(event.data[0]))] if isinstance(event, Received) else []

    shelf, link = Shelf(), MemoryLink(Deaf(), now)
    link.say(frame(5))
    ended = await drive(Heard(answer), link, shelf, deadline_s=0.05, now=now)
    assert shelf.commits == [([5], None)]
    assert Outcome.DEADLINE is ended.outcome


async def test_other_facts_end_the_visit_and_nothing_more_is_filed(
    now: Callable[[], float],
) -> None:
    def answer(event: Event) -> Iterable[Command]:
        match event:
            case Opened():
                return [
                    Report(reading(1)),
                    Flush(),
                    Report(reading(2)),
                    ReportFacts({"serial_number": "B"}),
                    Report(reading(3)),
                    Flush("x"),
                ]
            case _:
                return []

    shelf, link = Shelf(serial="A"), MemoryLink(Deaf(), now)
    link.say(frame(4))
    ended = await drive(Heard(answer), link, shelf, deadline_s=5, now=now)
    assert shelf.commits == [([1], None)]
    assert Outcome.MISFIT is ended.outcome
    assert "serial number B, enrolled A" in ended.why


async def test_a_full_outbox_leaves_the_readings_on_the_meter_and_the_visit_fails_visibly(
    now: Callable[[], float],
) -> None:
    shelf = Shelf(fault=StoreError("500000 rows wait; the limit is 500000", retry=True))
    session, link = CUFF.open(UNIT), MemoryLink(Deaf(), now)
    link.say(frame(120))
    ended = await drive(session, link, shelf, deadline_s=5, now=now)
    assert Outcome.STORE is ended.outcome
    assert "500000 rows" in ended.why
    assert shelf.commits == []


async def test_nothing_is_subscribed_to_that_could_not_be_kept(now: Callable[[], float]) -> None:
    shelf = Shelf(no_room=StoreError("full", retry=True))
    link = MemoryLink(Deaf(), now)
    ended = await drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now)
    assert link.performed == []
    assert Outcome.STORE is ended.outcome


async def test_a_cancelled_visit_still_persists_what_has_arrived(
    now: Callable[[], float],
) -> None:
    def answer(event: Event) -> Iterable[Command]:
        return [Report(reading(event.data[0]))] if isinstance(event, Received) else []

    session, shelf, link = Heard(answer), Shelf(), MemoryLink(Deaf(), now)
    task = asyncio.create_task(drive(session, link, shelf, deadline_s=5, now=now))
    link.say(frame(5))
    await session.received.wait()
    link.say(frame(6))  # not yet handled when the visit is cancelled
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shelf.commits == [([5, 6], None)]
    assert link.closed


async def test_a_visit_cancelled_in_mid_commit_completes_it_once(
    now: Callable[[], float],
) -> None:
    shelf, link = Shelf(gate=asyncio.Event()), MemoryLink(Deaf(), now)
    task = asyncio.create_task(drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now))
    link.say(frame(120))
    await shelf.asked.wait()
    link.say(frame(130))
    task.cancel()
    await asyncio.sleep(0)
    assert shelf.gate is not None
    shelf.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shelf.commits == [([120], None), ([130], None)]


async def test_a_timer_goes_after_what_arrived_before_it_fell_due(
    now: Callable[[], float],
) -> None:
    shelf = Shelf(gate=asyncio.Event())

    def answer(event: Event) -> Iterable[Command]:
        match event:
            case Opened():
                return [SetTimer("quiet", 0.05), Report(reading(1)), Flush()]
            case Received(_, _, data):
                return [Report(reading(data[0])), SetTimer("quiet", 0.05)]
            case TimerFired():
                return [Finish()]
            case _:
                return []

    session, link = Heard(answer), MemoryLink(Deaf(), now)
    task = asyncio.create_task(drive(session, link, shelf, deadline_s=5, now=now))
    await shelf.asked.wait()
    link.say(frame(2))
    await asyncio.sleep(0.1)  # the timer falls due while the loop waits for the disk
    assert shelf.gate is not None
    shelf.gate.set()
    await task
    assert [Opened, Stored, Received, TimerFired] == [type(event) for event in session.events]


async def test_the_clock_that_a_device_shows_reaches_the_host(now: Callable[[], float]) -> None:
    shown = datetime(2026, 3, 14, 7, 5)

    def answer(event: Event) -> Iterable[Command]:
        return [ReportClock(shown), Finish()] if isinstance(event, Opened) else []

    shelf = Shelf()
    await drive(Heard(answer), MemoryLink(Deaf(), now), shelf, deadline_s=5, now=now)
    assert [shown] == shelf.shown


async def test_what_a_device_refuses_is_told_to_the_session(now: Callable[[], float]) -> None:
    asked = Read("serial")
    peer = Scripted({asked: [Refused(0.0, asked, 0x0A)]})

    def answer(event: Event) -> Iterable[Command]:
        return [asked] if isinstance(event, Opened) else [Finish()]

    session = Heard(answer)
    await drive(session, MemoryLink(peer, now), Shelf(), deadline_s=5, now=now)
    refused = session.events[1]
    assert isinstance(refused, Refused)
    assert refused.code == 0x0A


async def test_a_capture_replays_to_its_readings(now: Callable[[], float]) -> None:
    capture = Capture(
        {}, [Received(1.0, "measurement", b"\x78"), Received(2.0, "measurement", b"\x79")]
    )
    shelf = Shelf()
    ended = await drive(CUFF.open(UNIT), ReplayLink(capture), shelf, deadline_s=5, now=now)
    assert shelf.commits == [([120], None), ([121], None)]
    assert Outcome.CLOSED is ended.outcome


class Parting(MemoryLink):
    """A device that sends one more frame while the link is being closed."""

    def __init__(self, now: Callable[[], float], last: Received) -> None:
        super().__init__(Deaf(), now)
        self._last: Received | None = last

    async def close(self) -> None:
        if self._last is not None:
            self.say(self._last)
            self._last = None
        await super().close()


async def visit_with_late_frame(
    now: Callable[[], float], *, first: Received, last: Received
) -> Ended:
    link = Parting(now, last)
    link.say(first)
    shelf = Shelf()
    ended = await drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now, keep_history=True)
    assert shelf.parted == [ended]  # the host was told before the visit was over
    return ended


async def test_a_frame_that_came_while_hanging_up_is_salvaged(now: Callable[[], float]) -> None:
    ended = await visit_with_late_frame(now, first=frame(120), last=frame(130))
    assert Outcome.FINISHED is ended.outcome
    saved = salvage(lambda: CUFF.open(UNIT), ended.history[:-1], ended.unread)
    assert [numbers(readings) for _, readings in saved.read] == [[130]]
    assert saved.unreadable == []


async def test_good_frames_behind_a_bad_one_are_salvaged_and_the_bad_one_is_named(
    now: Callable[[], float],
) -> None:
    ended = await visit_with_late_frame(now, first=frame(0xFF), last=frame(131))
    assert Outcome.PEER is ended.outcome
    late = [frame(0xFE), *ended.unread, frame(0xFF), frame(132)]
    saved = salvage(lambda: CUFF.open(UNIT), ended.history[:-1], late)
    assert [numbers(readings) for _, readings in saved.read] == [[131], [132]]
    assert [bad.data for bad in saved.unreadable] == [b"\xfe", b"\xff"]


async def test_a_visit_cancelled_while_it_hangs_up_still_saves_what_came_late(
    now: Callable[[], float],
) -> None:
    class Slow(Parting):
        hanging = asyncio.Event()
        go_on = asyncio.Event()

        async def close(self) -> None:
            await super().close()
            self.hanging.set()
            await self.go_on.wait()

    link, shelf = Slow(now, frame(130)), Shelf()
    visiting = asyncio.create_task(
        drive(CUFF.open(UNIT), link, shelf, deadline_s=5, now=now, keep_history=True)
    )
    await link.hanging.wait()
    visiting.cancel()
    link.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await visiting
    assert [bad.data for bad in shelf.parted[0].unread] == [bytes([130])]
