"""The one owner of the adapter: keeps discovery alive, gives turns to connect, and takes back a radio that vanished."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from types import TracebackType
from typing import Protocol

from edge.links.ble import NotPairedError, TurnedAwayError
from edge.links.ble_radio import Heard
from edge.patience import Backoff
from gateway.contract.profile import BleChannel
from gateway.contract.session import Link
from gateway.runtime import log
from gateway.runtime.clock import Clock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import LinkError

LINKS_MAX = 6  # at once: adapters rarely say how many they bear, and meters connect briefly
# Of these, so many may be taken by devices that stream for minutes: a cuff that advertises for one must not wait for them.
STREAMS_MAX = 4
# A home may be silent for hours, so silence is no fault; but a scan that died looks the same, and starting it anew costs
# nothing. Below this the air is left alone.
SILENCE_S = 20.0
PROBE_S = 2.0
REOPEN_S_MIN, REOPEN_S_MAX = 0.5, 30.0

_log = log.get("radio")


class Adapter(Protocol):
    """A radio, as its owner uses it."""

    async def open(self) -> None:
        """Take it. Raises LinkError."""
        ...

    async def listen(self, hear: Callable[[Heard], None]) -> None:
        """Begin discovery, or begin it anew. Raises LinkError."""
        ...

    async def connect(
        self, heard: Heard, channels: Mapping[str, BleChannel], now: Callable[[], float]
    ) -> Link:
        """Connect to what was just heard. Raises LinkError."""
        ...

    async def close(self) -> None:
        """Let it go. Never raises."""
        ...


class TwoTurns:
    """A turn of a kind that may not take all turns: first one of its own, then one of all. Fair, as both are."""

    def __init__(self, own: asyncio.Semaphore, common: asyncio.Semaphore) -> None:
        """`own`: fewer than `common`."""
        self._own, self._common = own, common

    async def __aenter__(self) -> None:
        """Wait for both."""
        await self._own.acquire()
        try:
            await self._common.acquire()
        except BaseException:
            self._own.release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Give both back."""
        self._common.release()
        self._own.release()


class Radio:
    """Serves one adapter for as long as `run` runs. `trouble` says what is wrong with it, for people."""

    def __init__(
        self,
        adapter: Adapter,
        hear: Callable[[Heard], None],
        clock: Clock,
        counters: Counters,
        rng: Random,
    ) -> None:
        """`hear` gets every advertisement; it must be quick."""
        self._adapter, self._tell = adapter, hear
        self._clock, self._counters = clock, counters
        self._backoff = Backoff(REOPEN_S_MIN, REOPEN_S_MAX, rng)
        self._connecting = asyncio.Lock()
        self._doubted = asyncio.Event()
        self._last_heard_s = 0.0
        self.turns = asyncio.Semaphore(LINKS_MAX)  # fair: first come, first served
        self.stream_turns = TwoTurns(asyncio.Semaphore(STREAMS_MAX), self.turns)
        self.trouble: str | None = "not opened yet"

    async def run(self) -> None:
        """Open, listen, and begin again whenever the radio is lost. Ends only by being cancelled."""
        while True:
            try:
                await self._serve()
            except LinkError as fault:
                self._lost(str(fault))
            finally:
                await self._adapter.close()
            await asyncio.sleep(self._backoff.next_s())

    async def connect(
        self, heard: Heard, channels: Mapping[str, BleChannel], now: Callable[[], float]
    ) -> Link:
        """Connect when it is this caller's turn: a controller has one connection under way. Raises LinkError."""
        async with self._connecting:
            try:
                return await self._adapter.connect(heard, channels, now)
            except LinkError as fault:
                self._counters.add("radio.connect_failed")
                # One that a device turned away hears well; to begin a scan anew each time would get in the way of other programs.
                if not isinstance(fault, TurnedAwayError | NotPairedError):
                    self._doubted.set()
                raise

    async def _serve(self) -> None:
        await self._adapter.open()
        await self._adapter.listen(self._hear)
        self._last_heard_s = self._clock.monotonic()
        self.trouble = None
        self._counters.add("radio.opened")
        _log.info("radio.listening")
        while True:
            await self._until_doubted()
            # First rung: a new scan. A radio that is gone answers with an error, which leads to the second: open anew.
            async with self._connecting:
                await self._adapter.listen(self._hear)
            self._counters.add("radio.scan_restarted")
            self._last_heard_s = self._clock.monotonic()

    def _lost(self, why: str) -> None:
        self._counters.add("radio.lost")
        if why != self.trouble:  # a radio that stays away is told of once
            _log.warning("radio.lost", why=why)
        self.trouble = why

    async def _until_doubted(self) -> None:
        while not self._doubted.is_set():
            silent_s = self._clock.monotonic() - self._last_heard_s
            if silent_s >= SILENCE_S:
                return
            try:
                async with asyncio.timeout(min(PROBE_S, SILENCE_S - silent_s)):
                    await self._doubted.wait()
            except TimeoutError:
                pass
        self._doubted.clear()

    def _hear(self, heard: Heard) -> None:
        self._last_heard_s = self._clock.monotonic()
        self._backoff.reset()
        self._tell(heard)
