"""The asyncio shell of a visit: joins a session to a link and to the disk. Decides nothing about devices or stores."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, assert_never

from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Link,
    Opened,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    Session,
    Subscribe,
    Write,
)
from gateway.contract.visit import (
    Clock,
    DeadlinePassed,
    Effect,
    Ending,
    Facts,
    Happening,
    Over,
    Perform,
    Persist,
    Persisted,
    TimerDue,
    Visit,
    Wake,
)
from gateway.runtime.errors import LinkError, StoreError, said

INBOX_MAX = 256  # events that wait for the session; beyond it the link waits
HISTORY_MAX = 4096  # happenings kept of a visit that may have to be played again
FAREWELL_S = 5.0  # for a visit that is cut short: what has arrived is on disk within this
HANG_UP_S = 15.0  # for a link to close
HASTY_HANG_UP_S = 2.0  # the same, of a visit that is cut short


class Outcome(StrEnum):
    """Why a visit is over, as the agent sees it: each `Ending` of a session, and what the host refused."""

    FINISHED = "finished"
    CLOSED = "link closed"
    PEER = "device broke its protocol"
    BUG = "driver raised"
    DEADLINE = "not over by the deadline_s of its profile"
    MISFIT = "not filed, since it isn't known whose it is"
    STORE = "readings could not be stored"


class Misfit(Exception):  # noqa: N818 it says what a device is, and is no fault of the agent's
    """The device states other facts than the one enrolled at this place: nothing more of the visit may be filed."""


class Host(Protocol):
    """What a visit needs of the agent."""

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None
    ) -> None:
        """Put readings and cursor on disk in one commit; durable on return. `arrived`: of the oldest frame they came in.

        Raises StoreError where they could not be kept, and Misfit where it isn't known whose they are.
        """
        ...

    async def before_subscribing(self) -> None:
        """Raises StoreError or Misfit where what the device is about to push could not be kept."""
        ...

    async def show_clock(self, at: float, shown: datetime) -> None:
        """The device's clock showed this at `at` (box's POSIX seconds). Durable on return: it may be set next."""
        ...

    async def check(self, facts: Mapping[str, str]) -> None:
        """Compare what the device states with what is enrolled. Raises Misfit."""
        ...

    async def late(self, ended: "Ended") -> None:
        """The device has said its last, and the link is closing: save what came too late for the session. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a visit went. `history` and `unread` (frames that arrived too late for the session) serve `edge.salvage`.

    `error`: what broke it off. `hung_up_at`: when the device ended the link, as far as is known, by itself. `told_all`: the
    session says that the device has told all that it had, and the device got its last command.
    """

    outcome: Outcome
    why: str = ""
    error: Exception | None = None
    persisted: int = 0
    history: tuple[Happening, ...] = ()
    unread: tuple[Received, ...] = ()
    hung_up_at: float | None = None
    told_all: bool = False


async def drive(
    session: Session,
    link: Link,
    host: Host,
    *,
    deadline_s: float,
    now: Callable[[], float],
    keep_history: bool = False,
) -> Ended:
    """Run one visit and close the link. `now` must be the clock that the link stamps its events with.

    A cancelled visit still tells and persists what has arrived, within FAREWELL_S, and is then cancelled.
    """
    shell = _Shell(_Overheard(session), link, host, now, keep_history=keep_history)
    deadline = asyncio.get_running_loop().call_later(deadline_s, shell.pass_deadline)
    try:
        await shell.run()
    except asyncio.CancelledError:
        await shell.farewell()
        raise
    finally:
        deadline.cancel()
        await _to_its_end(shell.part())
    return shell.ended()


async def _to_its_end(work: Coroutine[object, None, None]) -> None:
    """Do this also where the visit is cancelled meanwhile: within FAREWELL_S then."""
    doing = asyncio.create_task(work)
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing}, timeout=FAREWELL_S)
        raise


class _Overheard:
    """A session of which it is noted when the event arrived that gave the oldest reading not yet on disk."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.since: float | None = None

    def on(self, event: Event) -> Iterator[Command]:
        for command in self._session.on(event):
            if isinstance(command, Report) and self.since is None:
                self.since = event.at
            yield command


class _Shell:
    """One visit's state. `_own` holds the host's own happenings, which go before the inbox (see `_next`)."""

    def __init__(
        self,
        session: _Overheard,
        link: Link,
        host: Host,
        now: Callable[[], float],
        *,
        keep_history: bool,
    ) -> None:
        self._session, self._visit = session, Visit(session)
        self._link, self._host, self._now = link, host, now
        self._stored: deque[Persisted] = deque()
        self._own: deque[TimerDue | DeadlinePassed] = deque()
        self._inbox: deque[Opened | Received | Refused] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._effects: Iterator[Effect] = iter(())
        self._saving: tuple[asyncio.Task[None], Persist] | None = None
        self._history: list[Happening] | None = [] if keep_history else None
        self._closing = False
        self._lost: LinkError | None = None
        self._end = Ended(Outcome.CLOSED)
        self._refused = False
        self._listening = asyncio.create_task(self._listen())

    async def run(self) -> None:
        """Handle happenings until the visit is over."""
        while not self._done:
            happening = self._next()
            if happening is None:
                self._news.clear()
                await self._news.wait()
                continue
            await self._handle(happening)

    def pass_deadline(self) -> None:
        """The visit has lasted long enough."""
        self._tell_self(DeadlinePassed(self._now()))

    async def farewell(self) -> None:
        """Cut short: tell the session what has arrived, persist what it makes of it, ask nothing more of the device."""
        self._lost = self._lost or LinkError("the agent is stopping")
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._settle_saving()
                await self._exhaust()
                await self._drain()
                await self.hang_up(HASTY_HANG_UP_S)
                await self._drain()
                if not self._done:
                    await self._handle(DeadlinePassed(self._now()))
        except TimeoutError:
            pass  # the disk or the radio hangs: what could be saved is

    async def hang_up(self, patience_s: float = HANG_UP_S) -> None:
        """Close the link and take in what still came. Idempotent."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        # From here on the inbox takes what comes: a link holds a bounded number of events and gets no more.
        self._closing = True
        self._room.set()
        try:
            async with asyncio.timeout(patience_s):
                await self._link.close()
                await asyncio.wait({self._listening})
        except TimeoutError:
            self._lost = self._lost or LinkError(f"the link did not close within {patience_s} s")
        finally:
            self._listening.cancel()

    async def part(self) -> None:
        """Hang up; as soon as the device can say no more, before the radio is done with it, save what came late."""
        hanging_up = asyncio.create_task(self.hang_up())
        await asyncio.wait({self._listening, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
        await self._host.late(self.ended())
        await hanging_up

    async def _drain(self) -> None:
        while not self._done:
            happening = self._stored.popleft() if self._stored else self._take()
            if happening is None:
                return
            await self._handle(happening)

    def ended(self) -> Ended:
        """How it went."""
        unread = tuple(event for event in self._inbox if isinstance(event, Received))
        history = self._history
        if history is None or len(history) > HISTORY_MAX:
            history = []
        return replace(self._end, unread=unread, history=tuple(history))

    @property
    def _done(self) -> bool:
        return self._visit.over or self._refused

    def _next(self) -> Happening | None:
        # `Stored` goes first, so that a full inbox can't block it. A timer goes before whatever arrived after it fell
        # due, and after what arrived before: a quiet time is not over while a frame lies unread.
        if self._stored:
            return self._stored.popleft()
        if self._own and not (self._inbox and self._inbox[0].at <= self._own[0].at):
            return self._own.popleft()
        if self._inbox:
            return self._take()
        if self._listening.done():
            return Closed(self._now(), str(self._fault()))
        return None

    def _take(self) -> Opened | Received | Refused | None:
        if not self._inbox:
            return None
        self._room.set()
        return self._inbox.popleft()

    def _fault(self) -> LinkError:
        fault = None if self._listening.cancelled() else self._listening.exception()
        if fault is not None and not isinstance(fault, LinkError):
            raise fault  # our own bug in a link
        return self._lost or fault or LinkError("the device hung up")

    async def _listen(self) -> None:
        try:
            async for event in self._link.events():
                while len(self._inbox) >= INBOX_MAX and not self._closing:
                    self._room.clear()
                    await self._room.wait()
                self._inbox.append(event)
                self._news.set()
            if not self._closing and self._lost is None:
                self._end = replace(self._end, hung_up_at=self._now())
        finally:
            self._news.set()

    def _tell_self(self, happening: TimerDue | DeadlinePassed) -> None:
        self._own.append(happening)
        self._news.set()

    async def _handle(self, happening: Happening) -> None:
        if self._history is not None and len(self._history) <= HISTORY_MAX:
            self._history.append(happening)
        self._effects = self._visit.handle(happening)
        await self._exhaust()

    async def _exhaust(self) -> None:
        try:
            for effect in self._effects:
                await self._carry_out(effect)
        except Misfit as misfit:
            self._refuse(Outcome.MISFIT, misfit)
        except StoreError as fault:
            self._refuse(Outcome.STORE, fault)

    def _refuse(self, outcome: Outcome, error: Exception) -> None:
        self._refused = True
        self._end = replace(self._end, outcome=outcome, why=str(error), error=error)

    async def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Perform(command):
                await self._perform(command)
            case Wake(token, after_s):
                self._wake(token, after_s)
            case Persist():
                await self._persist(effect)
            case Clock(at, shown):
                await self._host.show_clock(at, shown)
            case Facts(facts):
                await self._host.check(facts)
            case Over(ending, error, told_all):
                error = self._fault() if ending is Ending.CLOSED else error
                self._end = replace(
                    self._end,
                    outcome=Outcome[ending.name],
                    why="" if error is None else said(error),
                    error=error,
                    told_all=told_all and self._lost is None,
                )
            case _:
                assert_never(effect)

    async def _perform(self, command: Subscribe | Write | Read) -> None:
        if self._lost is not None:
            return
        if isinstance(command, Subscribe):
            await self._host.before_subscribing()
        try:
            await self._link.perform(command)
        except LinkError as fault:
            # The device is gone; what it said before is still heard, then the session learns that it is closed.
            self._lost = fault
            await self._link.close()

    def _wake(self, token: int, after_s: float) -> None:
        loop = asyncio.get_running_loop()
        if self._lost is None:
            due = self._now() + after_s
            self._timers[token] = loop.call_later(after_s, self._ring, TimerDue(due, token))

    def _ring(self, due: TimerDue) -> None:
        self._timers.pop(due.token, None)
        self._tell_self(due)

    async def _persist(self, effect: Persist) -> None:
        saving = asyncio.create_task(self._accept(effect, self._session.since))
        self._session.since = None
        self._saving = (saving, effect)
        # A visit that is cancelled now must not tear the commit: `farewell` waits for it.
        await asyncio.shield(saving)
        self._persisted()

    async def _accept(self, effect: Persist, arrived: float | None) -> None:
        if effect.readings or effect.cursor is not None:
            await self._host.accept(effect.readings, effect.cursor, arrived)

    def _persisted(self) -> None:
        assert self._saving is not None  # set where the commit began
        _, effect = self._saving
        self._saving = None
        self._end = replace(self._end, persisted=self._end.persisted + len(effect.readings))
        if effect.answer:
            self._stored.append(Persisted(self._now()))

    async def _settle_saving(self) -> None:
        if self._saving is None:
            return
        try:
            await self._saving[0]
        except (Misfit, StoreError) as fault:
            self._refuse(Outcome.MISFIT if isinstance(fault, Misfit) else Outcome.STORE, fault)
        else:
            self._persisted()
