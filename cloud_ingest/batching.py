"""What the broker delivered and the store has not taken yet: bounded, in order, taken in micro-batches. No MQTT, no store.

A batch is whatever waits when the store is free: one delivery when it is idle, up to the limits under load. Nothing waits
for a batch to fill.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cloud_ingest.stores.records.types import Delivery
from gateway.wire.envelope import EnvelopeError, decode_header

# In a batch. The more there are, the more of them share a page that the commit writes: of 1,000, 2,000 and 3,000 with a million
# keys stored, each writes 1.2, 1.0 and 0.8 pages and takes 61, 56 and 51 µs of CPU. What 3,000 change (10 MB) fits the writer's
# cache; while there is a backlog, the records are locked for 0.15 s at a time.
READINGS_MAX = 3_000
DELIVERIES_MAX = 1_000
BATCH_BYTES_MAX = 8_000_000
# Above these the client stops reading from the broker, which holds the rest: an inflight window of 1,000 fits.
WAITING_MAX = 2_000
WAITING_BYTES_MAX = 64_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery, and what its acknowledgement needs: packet id, QoS, and the connection that it came over.

    `retained`: the broker kept it, and tells it since we subscribed; nobody said it just now.
    """

    delivery: Delivery
    mid: int
    qos: int
    connection: int
    readings: int = 1
    retained: bool = False


def readings_in(payload: bytes) -> int:
    """How many readings an envelope says that it holds; 1 for what is none."""
    try:
        return decode_header(payload)[0].count
    except EnvelopeError:
        return 1


class Inbox:
    """A queue between one thread that receives and one that files. It never drops: who asks `full` stops reading."""

    def __init__(self) -> None:
        """Empty and open."""
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, arrival: Arrival) -> None:
        """Keep what was delivered, also above the bound: it is here already."""
        with self._changed:
            self._waiting.append(arrival)
            self._bytes += len(arrival.delivery.payload)
            self._changed.notify_all()

    @property
    def full(self) -> bool:
        """Whether nothing more is to be read from the broker."""
        return len(self._waiting) >= WAITING_MAX or self._bytes >= WAITING_BYTES_MAX

    def __len__(self) -> int:
        """How many deliveries wait."""
        return len(self._waiting)

    def wait_for_room(self, patience_s: float) -> None:
        """Return when there is room, or after `patience_s`."""
        with self._changed:
            self._changed.wait_for(lambda: not self.full or self._closed, patience_s)

    def take(self) -> Sequence[Arrival]:
        """Wait for something, then take what is there, in order, up to the limits. Empty once the inbox is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch: list[Arrival] = []
            readings = size = 0
            while self._waiting and not self._closed and len(batch) < DELIVERIES_MAX:
                first = self._waiting[0]
                readings += first.readings
                size += len(first.delivery.payload)
                if batch and (readings > READINGS_MAX or size > BATCH_BYTES_MAX):
                    break
                batch.append(self._waiting.popleft())
                self._bytes -= len(first.delivery.payload)
            self._changed.notify_all()
            return batch

    def close(self) -> None:
        """Let everybody go. What waits is not filed: it has no acknowledgement, so the broker delivers it again."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
