"""The shell of a visit: order, durability, and what passes between device, session and host."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from edge.drive import INBOX_MAX, Outcome, drive
from edge.links.memory import MemoryLink, ReplayLink
from gateway.contract.authoring import Flow, FlowDriver, until_stored, wait
from gateway.contract.capture import Capture
from gateway.contract.session import (
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    Read,
    Received,
    Refused,
    Report,
    ReportClock,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
)
from gateway.runtime.errors import StoreError
from tests.unit.edge.visit_shelf import CUFF, UNIT, Deaf, Heard, Scripted, Shelf, frame, reading


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


async def test_a_timer_goes_after_what_arrived_before_it_fell_due(
    now: Callable[[], float],
) -> None:
    shelf = Shelf(gate=asyncio.Event())

    def answer(event: Event) -> Iterable[Command]:
        match event:
            case Opened():
                return [SetTimer("quiet", 0.5), Report(reading(1)), Flush()]
            case Received(_, _, data):
                return [Report(reading(data[0])), SetTimer("quiet", 0.5)]
            case TimerFired():
                return [Finish()]
            case _:
                return []

    session, link = Heard(answer), MemoryLink(Deaf(), now)
    task = asyncio.create_task(drive(session, link, shelf, deadline_s=5, now=now))
    await shelf.asked.wait()
    link.say(frame(2))
    await asyncio.sleep(0.6)  # the timer falls due while the loop waits for the disk
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
