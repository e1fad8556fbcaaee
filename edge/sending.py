"""What of the outbox goes to the cloud next: overdue envelopes, then fresh readings, then backlog. Knows no broker."""

from typing import Protocol

from edge.cloud_time import CloudTime, is_like
from edge.inflight import Inflight, Sent
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import BATCH_BYTES_MAX, BATCH_ROWS_MAX, Batch
from edge.setback import SetBack
from gateway.runtime import log
from gateway.runtime.clock import Clock
from gateway.runtime.counters import Counters
from gateway.wire.box_clock import in_doubt
from gateway.wire.envelope import assemble, envelope_hash
from gateway.wire.topics import Up

TIME_S_MAX = 3.0  # so long a connection's first readings wait for the cloud to say what time it is
PACKET_BYTES = 300  # what MQTT adds to a payload: topic and header
TRIES_WHOLE = 3  # without a receipt, though the cloud has answered: then an envelope is cut smaller
RECEIPTS_UNTIL_LARGER = 20  # before larger ones are tried again

_log = log.get("sending")


class Wire(Protocol):
    """A connection to the broker."""

    @property
    def packet_bytes_max(self) -> int:
        """What the broker takes in one packet."""
        ...

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message over. False: the connection takes nothing more."""
        ...


class Sending:
    """Cuts envelopes, keeps their window full, and sends again what no receipt covers."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        inflight: Inflight,
        agent: str,
        clock: Clock,
        counters: Counters,
        *,
        time: CloudTime,
    ) -> None:
        """`inflight` is shared with who takes the receipts; `time` with who takes the cloud's answers."""
        self._outbox = outbox
        self._inflight = inflight
        self._agent = agent
        self._clock = clock
        self._counters = counters
        self._time = time
        self._held_until: float | None = None
        self._rows_max = BATCH_ROWS_MAX
        self._unsendable: frozenset[int] = frozenset()
        self._set_back = SetBack()
        self._receipts = 0
        self._until_larger = RECEIPTS_UNTIL_LARGER
        self._answered = False

    def connected(self) -> None:
        """A new connection: its broker may take what another's didn't."""
        self._unsendable = frozenset()
        self._receipts = 0
        self._answered = False
        self._held_until = self._clock.monotonic() + TIME_S_MAX

    def told_time(self) -> None:
        """The cloud has answered: readings may go, dated as well as can be."""
        self._held_until = None
        self._answered = True

    def receipted(self) -> None:
        """A receipt came. After some of them larger envelopes are tried again."""
        self._receipts += 1
        self._until_larger -= 1
        if not self._until_larger:
            self._until_larger = RECEIPTS_UNTIL_LARGER
            self._rows_max = min(BATCH_ROWS_MAX, self._rows_max * 2)

    def lost(self) -> None:
        """The connection is gone; what was on its way is cut anew on the next."""
        lost = self._inflight.lost_connection()
        if not lost or self._receipts:
            return
        # Perhaps the broker can't take envelopes of this size, and hangs up instead of saying so: at the first too large.
        suspect = next(filter(self._is_suspect, lost), None)
        # Not before that has happened again and again: networks are lost too, and a fresh reading must not wait for it.
        if suspect is not None and self._rows_max == 1:
            self._set_back.add(suspect.ids, self._clock.monotonic())
        self._cut_to(self._rows_max // 2)

    def due(self) -> float | None:
        """When something is to be sent again (monotonic)."""
        if self._held_until is not None:
            return self._held_until
        return self._inflight.next_due()

    async def send(self, wire: Wire) -> bool:
        """Send what may go now. True where something new went. Raises StoreError."""
        now = self._clock.monotonic()
        if self._held_until is not None and now < self._held_until:
            return False
        self._held_until = None
        for sent in self._inflight.overdue(now):
            if self._is_dated_better_now(sent):
                # Perhaps the cloud never had it: it goes again with the time that is known by now.
                self._inflight.withdraw(sent)
                continue
            if sent.tries >= TRIES_WHOLE and self._answered and self._gives_way(sent, now):
                continue
            if not wire.send(Up.OBSERVATIONS, sent.payload):
                return False
            self._counters.add("envelopes.resent")
            self._inflight.went(sent, now)
        went = False
        while (batch := await self._next_batch(wire)) is not None and self._publish(wire, batch):
            went = True
        return went

    def _is_dated_better_now(self, sent: Sent) -> bool:
        off_s = self._time.off_s(sent.base, in_doubt=sent.in_doubt)
        return not is_like(sent.off_s, off_s) or (sent.in_doubt and off_s is not None)

    def _gives_way(self, sent: Sent, now: float) -> bool:
        """Perhaps it is too large for a broker that acknowledges such a one, and drops it. False: it is as small as can be."""
        if len(sent.ids) > 1:
            self._cut_to(len(sent.ids) // 2)
        elif self._is_suspect(sent):
            self._set_back.add(sent.ids, now)
        else:
            return False
        self._counters.add("envelopes.unreceipted")
        _log.warning("envelope.unreceipted", size=len(sent.payload), rows=len(sent.ids))
        self._inflight.withdraw(sent)
        return True

    def _cut_to(self, rows: int) -> None:
        self._rows_max = min(self._rows_max, max(1, rows))
        self._until_larger = RECEIPTS_UNTIL_LARGER

    def _is_suspect(self, sent: Sent) -> bool:
        """Whether this one row may be what does not get through, so that others should go before it."""
        larger = len(sent.payload) > self._inflight.got_through
        return (
            len(sent.ids) == 1
            and larger
            and (self._inflight.got_through > 0 or self._rows_max == 1)
        )

    async def _next_batch(self, wire: Wire) -> Batch | None:
        skip = self._inflight.ids() | self._unsendable
        skip |= self._set_back.waiting(self._clock.monotonic())
        size = min(BATCH_BYTES_MAX, wire.packet_bytes_max)
        for live in (True, False):
            if self._inflight.room(live=live):
                batch = await self._outbox.next_batch(
                    self._rows_max, live=live, skip=skip, bytes_max=size
                )
                if batch is not None:
                    return batch
        return None

    def _publish(self, wire: Wire, batch: Batch) -> bool:
        bodies = [row.body for row in batch.rows]
        doubted = any(map(in_doubt, bodies))
        off_s = self._time.off_s(batch.base, in_doubt=doubted)
        payload = assemble(self._agent, batch.epoch, batch.first, bodies, clock_off_s=off_s)
        if len(payload) + PACKET_BYTES > wire.packet_bytes_max:
            # One row alone. It stays in the outbox and in its status until the broker's limit is raised.
            self._unsendable |= batch.ids
            self._counters.add("envelopes.oversize")
            _log.error("envelope.oversize", size=len(payload), limit=wire.packet_bytes_max)
            return True
        if not wire.send(Up.OBSERVATIONS, payload):
            return False
        if off_s is not None:
            self._counters.add("envelopes.redated")
        sent = Sent(
            envelope_hash(payload),
            batch.epoch,
            batch.ids,
            batch.live,
            payload,
            base=batch.base,
            off_s=off_s,
            in_doubt=doubted and off_s is None,
        )
        self._inflight.went(sent, self._clock.monotonic())
        self._counters.add("envelopes.sent")
        return True
