"""What a box and its cloud say to each other over a connection, whichever it is, and when. Knows no MQTT; opens nothing."""

from random import Random
from typing import Protocol

from edge.cloud_time import CloudTime
from edge.inflight import Inflight
from edge.ledger_check import LedgerCheck
from edge.outbox.port import AsyncOutbox
from edge.receipting import Receipting
from edge.reporting import Reporting
from edge.sending import PACKET_BYTES, Sending, Wire
from gateway.runtime.clock import Clock
from gateway.runtime.counters import Counters
from gateway.wire.topics import Down, Up


class Said(Protocol):
    """A message from the cloud."""

    @property
    def leaf(self) -> Down:
        """Where it was said."""
        ...

    @property
    def payload(self) -> bytes:
        """As it came."""
        ...


class Exchange:
    """Readings, receipts, the ledger and statuses. Lives as long as the agent; connections come and go."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        agent: str,
        clock: Clock,
        counters: Counters,
        *,
        rng: Random,
        version: str,
    ) -> None:
        """`rng` gives the jitter. `version`: the program's, for its status."""
        self._clock = clock
        self.time = CloudTime(clock, counters)
        inflight = Inflight(rng)
        self._sending = Sending(outbox, inflight, agent, clock, counters, time=self.time)
        self._ledger = LedgerCheck(outbox, agent, clock, counters, time=self.time)
        self._receipting = Receipting(outbox, inflight, self._ledger, counters, agent=agent)
        self._reporting = Reporting(outbox, agent, version, clock, counters, time=self.time)

    def will(self) -> bytes:
        """What the broker is to say when this box goes."""
        return self._reporting.will()

    async def connected(self) -> None:
        """A new connection. Raises StoreError."""
        self._sending.connected()
        await self._ledger.connected()
        self._reporting.due = self._clock.monotonic()

    def lost(self) -> None:
        """It is gone."""
        self._sending.lost()

    async def hear(self, said: Said) -> bool:
        """Take what the cloud said. True where a receipt settled something. Raises StoreError."""
        if said.leaf is Down.LEDGER:
            if await self._ledger.answered(said.payload):
                self._sending.told_time()
                self._reporting.changed()
            return False
        if not await self._receipting.heard(said.payload):
            return False
        self._sending.receipted()
        self._reporting.changed()
        return True

    async def send(self, wire: Wire) -> None:
        """Send what is due. The question goes first: its answer says how far this box's clock is off. Raises StoreError."""
        now = self._clock.monotonic()
        if self._ledger.due is not None and self._ledger.due <= now:
            wire.send(Up.LEDGER, await self._ledger.question())
        if await self._sending.send(wire):
            self._reporting.changed()
        if self._reporting.due <= now:
            fits = wire.packet_bytes_max - PACKET_BYTES
            wire.send(Up.STATUS, await self._reporting.status(fits), retain=True)

    def pause_s(self) -> float:
        """How long until something is due."""
        due = (self._sending.due(), self._ledger.due, self._reporting.due)
        now = self._clock.monotonic()
        return max(0.0, min(at for at in due if at is not None) - now)
