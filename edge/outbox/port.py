"""The outbox for asyncio: every call runs in order on one thread, so that no fsync ever stops the loop."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from edge.outbox.records import (
    Accepted,
    Batch,
    Enrolled,
    LedgerVerdict,
    OutboxLimits,
    OutboxStatus,
    Recovery,
    Settled,
    WindowFigures,
)
from edge.outbox.store import Outbox
from gateway.model.observation import Observation
from gateway.runtime.clock import Clock, TimeBase
from gateway.wire.receipts import Answer, Receipt

P = ParamSpec("P")
T = TypeVar("T")


class AsyncOutbox:
    """An `Outbox` on a thread of its own. Same names, same promises; a call that was cancelled may still have happened."""

    def __init__(self, outbox: Outbox, thread: ThreadPoolExecutor) -> None:
        """Wrap an outbox that was opened on `thread` (one worker)."""
        self._outbox = outbox
        self._thread = thread

    @classmethod
    async def open(
        cls, path: Path, agent: str, clock: Clock, limits: OutboxLimits | None = None
    ) -> "AsyncOutbox":
        """Open as `Outbox.open` does."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        try:
            outbox = await asyncio.get_running_loop().run_in_executor(
                thread, Outbox.open, path, agent, clock, limits or OutboxLimits()
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(outbox, thread)

    @property
    def recovery(self) -> Recovery | None:
        """What was salvaged when a damaged file was found at opening."""
        return self._outbox.recovery

    async def accept(
        self,
        device: str,
        observations: Sequence[Observation],
        cursor: str | None = None,
        *,
        live: Sequence[bool],
        base: TimeBase | None = None,
    ) -> Accepted:
        """Number and keep observations; durable on return. Raises OutboxFull, StoreError; then nothing was taken."""
        return await self._do(
            self._outbox.accept, device, observations, cursor, live=live, base=base
        )

    async def cursor(self, device: str) -> str | None:
        """The cursor of the last commit for this device."""
        return await self._do(self._outbox.cursor, device)

    async def keep_to_key(self, mark: str) -> None:
        """Hold on to the key under which devices have their pseudonyms. Raises ConfigError for another one."""
        await self._do(self._outbox.keep_to_key, mark)

    async def clock_memory(self, device: str) -> str | None:
        """What visits learnt of this device's clock, as they wrote it."""
        return await self._do(self._outbox.clock_memory, device)

    async def remember_clock(self, device: str, memory: str) -> None:
        """Keep what a visit learnt of this device's clock; durable on return."""
        await self._do(self._outbox.remember_clock, device, memory)

    async def enrol(self, place: str, device: str, profile: str, facts: Mapping[str, str]) -> None:
        """Note which device stands at a place."""
        await self._do(self._outbox.enrol, place, device, profile, facts)

    async def enrolled(self, place: str) -> Enrolled | None:
        """Which device stands at a place."""
        return await self._do(self._outbox.enrolled, place)

    async def note_device(
        self,
        device: str,
        *,
        heard: datetime | None = None,
        reading: datetime | None = None,
        trouble: str | None = None,
    ) -> None:
        """Note what happened with a device; None leaves a time as it was, and clears the trouble."""
        await self._do(
            self._outbox.note_device, device, heard=heard, reading=reading, trouble=trouble
        )

    async def note_running(
        self, *, connected: bool, window: WindowFigures, counters: Mapping[str, int]
    ) -> None:
        """Leave what a running agent says of itself where `edge status` finds it. Not fsynced."""
        await self._do(
            self._outbox.note_running, connected=connected, window=window, counters=counters
        )

    async def next_batch(
        self, rows_max: int, *, live: bool, skip: frozenset[int], bytes_max: int
    ) -> Batch | None:
        """The next rows for one envelope."""
        return await self._do(
            self._outbox.next_batch, rows_max, live=live, skip=skip, bytes_max=bytes_max
        )

    async def settle(self, ids: frozenset[int], receipt: Receipt) -> Settled:
        """Set aside the rows of one envelope as its receipt says."""
        return await self._do(self._outbox.settle, ids, receipt)

    async def new_epoch(self, why: str, *, instead_of: str | None = None) -> str | None:
        """Number what comes from now on in a new epoch; None where `instead_of` is not the current one."""
        return await self._do(self._outbox.new_epoch, why, instead_of=instead_of)

    async def settled_mark(self) -> int:
        """Take this before the cloud is asked; `compare` leaves alone what was settled after it."""
        return await self._do(self._outbox.settled_mark)

    async def next_era(self) -> None:
        """The cloud went back in time, or is another: what was sent again before may be sent again once more."""
        await self._do(self._outbox.next_era)

    async def compare(self, answer: Answer, mark: int) -> LedgerVerdict:
        """Compare what the cloud holds with what is kept here; what it lacks is owed again. Other calls run in between."""
        steps = self._outbox.compare_in_steps(answer, mark)
        try:
            while (verdict := await self._do(_advance, steps)) is None:
                pass
        finally:
            # On the outbox's own thread, also when this was cancelled half-way.
            await self._do(steps.close)
        return verdict

    async def last_commit(self) -> tuple[str, int] | None:
        """Store and commit number of the receipt with the highest commit number of the present era."""
        return await self._do(self._outbox.last_commit)

    async def status(self) -> OutboxStatus:
        """How the outbox stands."""
        return await self._do(self._outbox.status)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self._do(self._outbox.close)
        self._thread.shutdown(wait=False)

    async def _do(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: call(*args, **kwargs)
        )


def _advance(steps: Generator[None, None, LedgerVerdict]) -> LedgerVerdict | None:
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    return None
