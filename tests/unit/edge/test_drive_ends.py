"""How a visit ends: by its link, its device, its driver, its deadline or another's word; and what is saved even then."""

import asyncio
from collections.abc import Callable, Iterable

import pytest

from edge.drive import Ended, Outcome, drive
from edge.links.memory import MemoryLink
from edge.salvage import salvage
from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Flush,
    Opened,
    Read,
    Received,
    Report,
    ReportFacts,
    Subscribe,
    Write,
)
from gateway.runtime.errors import LinkError
from tests.unit.edge.visit_shelf import CUFF, UNIT, Deaf, Heard, Shelf, frame, numbers, reading


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
    assert ended.why == "measurement 78ff82: octet 255 breaks the protocol"


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
    ended = await drive(Heard(answer), link, shelf, deadline_s=0.5, now=now)
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
    assert [bad.data for bad in saved.unreadable] == [b"\xfe", b"\xff", b"\xff"]


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
