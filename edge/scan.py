"""When to visit which device: a cuff as soon as it is heard, a meter on a port every so often. Opens and reads nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from random import Random
from typing import Protocol

from edge.links.ble_radio import Heard
from edge.patience import Backoff
from gateway.runtime.clock import Clock

# A cuff advertises for a minute or less after measuring, so a failing visit is tried again soon; one that keeps failing while
# it goes on advertising gives its turns to others.
FAILED_S_MIN, FAILED_S_MAX = 1.0, 300.0
# A device that goes on advertising when all is read: visited less and less, but at once when it begins anew, or was paired.
REST_S_MIN, REST_S_MAX = 1.0, 30.0
FRESH_GAP_S = 5.0  # so long silent, then heard: it advertises anew, so it has something to tell
ABSENT_S_MAX = 10.0  # how often at least an absent port is looked for
TAKEN_S = 1.0  # until it is looked again whether a person still has it
STALE_S = 10.0  # an advertisement this old is no reason to connect


@dataclass(frozen=True, slots=True)
class Visited:
    """How a visit went: `readings` new on disk; `again`: at once, the place holds another device than before.

    `unpaired`: it waits for a person to pair it.
    """

    well: bool
    readings: int = 0
    again: bool = False
    unpaired: bool = False


@dataclass(frozen=True, slots=True)
class Rung:
    """A sighting on its way to a visit."""

    heard: Heard
    at_s: float
    fresh: bool


class Bell:
    """What was last heard of one device."""

    def __init__(self, clock: Clock) -> None:
        """Silent so far."""
        self._clock = clock
        self._latest: Rung | None = None
        self._rung = asyncio.Event()
        self._quiet_since_s = -FRESH_GAP_S
        self._paired: bool | None = None

    def ring(self, heard: Heard) -> None:
        """It was heard now."""
        now_s = self._clock.monotonic()
        before_s = max(
            self._quiet_since_s, self._latest.at_s if self._latest else self._quiet_since_s
        )
        # Who has just paired it waits to see it read: what failed before is no reason to rest.
        mended = heard.paired and self._paired is False
        self._paired = heard.paired
        begun = mended or now_s - before_s >= FRESH_GAP_S
        # Fresh until it is taken: the advertisements that follow the first say nothing against it.
        fresh = begun or self.fresh
        self._latest = Rung(heard, now_s, fresh)
        self._rung.set()

    def silence(self) -> None:
        """A visit is over: what was heard before it is no reason for another."""
        self._latest = None
        self._quiet_since_s = self._clock.monotonic()
        self._rung.clear()

    def latest(self) -> Heard | None:
        """The device as it was last heard, unless that is STALE_S ago."""
        rung = self._latest
        if rung is None or self._clock.monotonic() - rung.at_s > STALE_S:
            return None
        return rung.heard

    @property
    def fresh(self) -> bool:
        """Whether it advertises anew, or was just paired, and no visit has come of that yet."""
        return self._latest is not None and self._latest.fresh

    async def next(self, not_before_s: float) -> Heard:
        """The device as it was last heard: at once where it advertises anew, else not before this (monotonic) time."""
        while True:
            heard = self.latest()
            due = self._clock.monotonic() >= not_before_s
            if heard is not None and (due or self.fresh):
                return heard
            # No timer: a device that is still there advertises again, one that isn't can't be visited.
            self._rung.clear()
            await self._rung.wait()


class Rings(Protocol):
    """Who wants to know when a device is heard."""

    def ring(self, heard: Heard) -> None:
        """It was heard now."""
        ...


class Bells:
    """One bell for each enrolled address; what else is heard is not ours to read."""

    def __init__(self, addresses: Mapping[str, Rings]) -> None:
        """`addresses` in upper case."""
        self._bells = addresses

    def hear(self, heard: Heard) -> None:
        """The radio heard something."""
        bell = self._bells.get(heard.address)
        if bell is not None:
            bell.ring(heard)


async def attend(
    bell: Bell,
    visit: Callable[[Heard], Awaitable[Visited | None]],
    turns: AbstractAsyncContextManager[None],
    clock: Clock,
    rng: Random,
) -> None:
    """Visit one device whenever it is heard and it is its turn, for ever. `visit` gives None where a person has it now."""
    failing, resting = (
        Backoff(FAILED_S_MIN, FAILED_S_MAX, rng),
        Backoff(REST_S_MIN, REST_S_MAX, rng),
    )
    not_before_s, unpaired = 0.0, False
    while True:
        await bell.next(not_before_s)
        async with turns:
            heard = bell.latest()
            if heard is None:
                continue  # it went to sleep while others had their turn
            # The minute in which it advertises has its tries, whatever failed before; one that waits for a person shows its
            # passkey at each.
            if bell.fresh and (heard.paired or not unpaired):
                failing.reset()
            visited = await visit(heard)
        if visited is None:
            await asyncio.sleep(TAKEN_S)
            continue
        bell.silence()
        unpaired = visited.unpaired
        if visited.well:
            failing.reset()
            if visited.readings:
                resting.reset()
            wait_s = resting.next_s()
        else:
            # Also where it advertises anew: many tries a second would keep the adapter from all others.
            await asyncio.sleep(FAILED_S_MIN / 2)
            wait_s = failing.next_s()
        not_before_s = clock.monotonic() + wait_s


async def poll(visit: Callable[[], Awaitable[Visited]], every_s: float, rng: Random) -> None:
    """Visit the device on a port every so often, for ever; sooner where the last visit failed."""
    failing = Backoff(FAILED_S_MIN, min(every_s, ABSENT_S_MAX), rng)
    while True:
        visited = await visit()
        if visited.again:
            continue
        if visited.well:
            failing.reset()
            await asyncio.sleep(every_s)
        else:
            await asyncio.sleep(failing.next_s())
