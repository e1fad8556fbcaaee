"""When a device is visited: at once when it advertises anew, with rests and backoff else; ports every so often."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from edge import scan
from edge.links.ble_radio import Heard
from edge.patience import Backoff
from edge.scan import FRESH_GAP_S, STALE_S, Bell, Bells, Visited, attend, poll
from gateway.runtime.clock import ManualClock

PATIENCE_S = 30.0
CUFF = Heard("C0:11:22:33:44:55", lasting=True, handle="device")
STRANGER = Heard("D0:00:00:00:00:09", lasting=True, handle="device")


@pytest.fixture
def clock() -> ManualClock:
    clock = ManualClock(datetime(2026, 3, 14, tzinfo=UTC))
    clock.advance(1000)
    return clock


@pytest.fixture
def bell(clock: ManualClock) -> Bell:
    return Bell(clock)


async def comes(bell: Bell, not_before_s: float) -> bool:
    """Whether the bell sends somebody now."""
    waiting = asyncio.create_task(bell.next(not_before_s))
    for _ in range(3):
        await asyncio.sleep(0)
    done = waiting.done()
    waiting.cancel()
    return done


async def test_only_enrolled_devices_ring(bell: Bell) -> None:
    Bells({CUFF.address: bell}).hear(STRANGER)
    assert bell.latest() is None
    Bells({CUFF.address: bell}).hear(CUFF)
    assert bell.latest() == CUFF


async def test_a_device_that_begins_to_advertise_is_visited_at_once(
    bell: Bell, clock: ManualClock
) -> None:
    bell.silence()
    clock.advance(FRESH_GAP_S)
    bell.ring(CUFF)
    bell.ring(CUFF)
    assert await comes(bell, not_before_s=clock.monotonic() + 1000)


async def test_a_device_that_goes_on_advertising_is_left_its_rest(
    bell: Bell, clock: ManualClock
) -> None:
    bell.silence()
    clock.advance(0.1)
    bell.ring(CUFF)
    rest_until_s = clock.monotonic() + 10
    assert not await comes(bell, rest_until_s)
    for _ in range(12):
        clock.advance(1)
        bell.ring(CUFF)
    assert await comes(bell, rest_until_s)


async def test_a_device_that_a_person_has_just_paired_is_visited_at_once_and_once(
    bell: Bell, clock: ManualClock
) -> None:
    bell.ring(CUFF)
    bell.silence()
    rest_until_s = clock.monotonic() + 300
    bell.ring(CUFF)
    assert not await comes(bell, rest_until_s)

    bell.ring(replace(CUFF, paired=True))
    assert await comes(bell, rest_until_s)

    bell.silence()
    bell.ring(replace(CUFF, paired=True))
    assert not await comes(bell, rest_until_s)


async def test_a_device_that_was_paired_before_the_agent_began_is_left_its_rest(
    bell: Bell, clock: ManualClock
) -> None:
    bell.ring(replace(CUFF, paired=True))
    bell.silence()
    bell.ring(replace(CUFF, paired=True))
    assert not await comes(bell, clock.monotonic() + 300)


async def test_what_was_heard_before_a_visit_ended_is_no_reason_for_another(bell: Bell) -> None:
    bell.ring(CUFF)
    bell.silence()
    assert not await comes(bell, 0)


async def test_a_stale_advertisement_is_no_reason_to_connect(
    bell: Bell, clock: ManualClock
) -> None:
    bell.ring(CUFF)
    clock.advance(STALE_S + 1)
    assert not await comes(bell, 0)
    assert bell.latest() is None


async def test_turns_are_kept_and_a_device_that_fell_asleep_meanwhile_is_not_called(
    bell: Bell, clock: ManualClock
) -> None:
    visits: asyncio.Queue[Heard] = asyncio.Queue()

    async def visit(heard: Heard) -> Visited:
        visits.put_nowait(heard)
        return Visited(well=True)

    turns = asyncio.Semaphore(1)
    await turns.acquire()
    attending = asyncio.create_task(attend(bell, visit, turns, clock, Random(1)))
    bell.ring(CUFF)
    await asyncio.sleep(0)
    clock.advance(STALE_S + 1)
    turns.release()
    await asyncio.sleep(0.01)
    assert visits.empty()
    bell.ring(CUFF)
    assert await asyncio.wait_for(visits.get(), PATIENCE_S) == CUFF
    assert visits.empty()
    attending.cancel()


async def test_a_device_that_keeps_failing_is_tried_less_and_less(
    bell: Bell, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "FAILED_S_MIN", 0.0)
    monkeypatch.setattr(scan, "Backoff", lambda *_: Backoff(10.0, 100.0, Random(1)))
    tried_at: list[float] = []

    async def visit(_heard: Heard) -> Visited:
        tried_at.append(clock.monotonic())
        return Visited(well=False)

    attending = asyncio.create_task(attend(bell, visit, asyncio.Semaphore(), clock, Random(1)))
    for _ in range(200):
        bell.ring(CUFF)
        for _ in range(4):
            await asyncio.sleep(0)
        clock.advance(1)
    attending.cancel()
    gaps = [b - a for a, b in itertools.pairwise(tried_at)]
    assert gaps[0] >= 5
    assert gaps == sorted(gaps)
    assert len(tried_at) < 10


async def test_a_device_that_a_person_has_now_is_visited_as_soon_as_it_is_given_back(
    bell: Bell, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "TAKEN_S", 0.0)
    answers: list[Visited | None] = [None] * 20 + [Visited(well=True)]
    given_back = asyncio.Event()

    async def visit(_heard: Heard) -> Visited | None:
        answer = answers.pop(0)
        if not answers:
            given_back.set()
            await asyncio.Event().wait()
        return answer

    attending = asyncio.create_task(attend(bell, visit, asyncio.Semaphore(), clock, Random(1)))
    bell.ring(CUFF)
    await asyncio.wait_for(given_back.wait(), PATIENCE_S)
    attending.cancel()


@pytest.mark.parametrize(
    ("how", "unpaired", "tries_min", "tries_max"),
    [
        ("advertises anew", False, 4, 7),
        ("advertises anew", True, 1, 1),
        ("was just paired", False, 4, 7),
        ("was just paired", True, 4, 7),
    ],
)
async def test_a_device_that_failed_long_and_begins_anew_is_tried_again_soon_unless_it_waits_for_a_person(
    bell: Bell, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, how: str, *, unpaired: bool,
    tries_min: int, tries_max: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(scan, "FAILED_S_MIN", 0.0)
    monkeypatch.setattr(scan, "Backoff", lambda *_: Backoff(1.0, 300.0, Random(1)))
    tried_at: list[float] = []
    heard = CUFF

    async def visit(_heard: Heard) -> Visited:
        tried_at.append(clock.monotonic())
        return Visited(well=False, unpaired=unpaired)

    async def advertise(seconds: int) -> None:
        for _ in range(seconds):
            bell.ring(heard)
            for _ in range(4):
                await asyncio.sleep(0)
            clock.advance(1)

    attending = asyncio.create_task(attend(bell, visit, asyncio.Semaphore(), clock, Random(1)))
    await advertise(400)
    if how == "advertises anew":
        clock.advance(FRESH_GAP_S)
    else:
        heard = replace(CUFF, paired=True)
    begun_s = clock.monotonic()
    await advertise(30)
    attending.cancel()
    tries = [at_s - begun_s for at_s in tried_at if at_s >= begun_s]
    assert tries[0] == 0
    assert tries_min <= len(tries) <= tries_max, tries


async def test_a_port_is_visited_every_so_often_and_at_once_after_a_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "FAILED_S_MIN", 0.02)
    outcomes = [Visited(well=True, again=True), Visited(well=True), Visited(well=False)]
    went: list[str | float] = []
    done = asyncio.Event()

    async def visit() -> Visited:
        went.append("visit")
        if not outcomes:
            done.set()
            return await asyncio.Future[Visited]()
        return outcomes.pop(0)

    async def sleep(seconds: float) -> None:
        went.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    polling = asyncio.create_task(poll(visit, 0.2, Random(1)))
    await done.wait()
    polling.cancel()

    first, again, rest, later, failed, last = went
    assert [first, again, later, last] == ["visit"] * 4
    assert rest == 0.2
    assert isinstance(failed, float)
    assert 0.01 <= failed <= 0.02


def test_backoff_grows_to_its_bound_and_no_two_are_in_step() -> None:
    draw: Callable[[int], list[float]] = lambda seed: [  # noqa: E731 three lines for one
        Backoff(1, 8, rng).next_s() for rng in [Random(seed)]
    ]
    assert draw(1) != draw(2)
    backoff = Backoff(1, 8, Random(3))
    waits = [backoff.next_s() for _ in range(10)]
    assert all(4 <= wait <= 8 for wait in waits[4:])
    backoff.reset()
    assert backoff.next_s() <= 1
