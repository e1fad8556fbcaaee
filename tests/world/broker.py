"""A broker that loses, doubles, delays and forgets; and the ends of its connections as the product uses them. No MQTT."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from edge.publish import BrokerError, Heard
from gateway.wire.receipts import Receipt, decode_answer, decode_question, decode_receipt, encode
from gateway.wire.topics import Branch, Down, Up

if TYPE_CHECKING:
    from tests.world.run import World

PACKET_BYTES_MAX = 250_000
ANSWER_S_MAX = 20.0  # an answer that took longer says nothing of the time
SENT_KEPT = 40  # envelopes that a forger has seen


class Subscriber(Protocol):
    """The ingester's side."""

    def delivered(self, mid: int, topic: str, payload: bytes) -> None:
        """A message for it."""
        ...


class Broker:
    """QoS 1 as it is in practice: what it acknowledged may be gone, come twice, or out of order."""

    def __init__(self, world: "World") -> None:
        self._world, self._rng = world, world.rng
        self.up = True
        self._subscriber: Subscriber | None = None
        self._waiting: OrderedDict[int, tuple[str, bytes]] = (
            OrderedDict()
        )  # not acknowledged by the ingester
        self._mid = 0
        self.boxes: dict[str, Connection] = {}
        self._seen: deque[tuple[Branch, bytes]] = deque(maxlen=SENT_KEPT)

    @property
    def idle(self) -> bool:
        """Whether nothing is on its way to the ingester."""
        return not self._waiting

    def subscribe(self, subscriber: Subscriber) -> None:
        """The ingester connects to its kept session: what it has not acknowledged comes again."""
        self._subscriber = subscriber
        for mid, (topic, payload) in list(self._waiting.items()):
            subscriber.delivered(mid, topic, payload)

    def unsubscribe(self) -> None:
        """It is gone; its session is kept."""
        self._subscriber = None

    def acknowledge(self, mid: int) -> None:
        """The ingester has it."""
        self._waiting.pop(mid, None)

    def from_box(self, branch: Branch, leaf: Up, payload: bytes) -> None:
        """Acknowledged to the box the moment it is here, which proves nothing."""
        if leaf is Up.OBSERVATIONS:
            self._seen.append((branch, payload))
        times = 2 if self._world.strikes("message_doubled") else 1
        for _ in range(times):
            if self._world.strikes("message_lost"):
                self._world.note("broker", f"lost {leaf.value} of {branch.agent}")
                continue
            self._world.loop.outside(self._delay_s(), self._take_in, branch.up(leaf), payload)

    def to_box(self, topic: str, payload: bytes) -> None:
        """What the ingester says to a box; a box that is away misses it."""
        *_, agent, _down, leaf = topic.split("/")
        if self._world.strikes("receipt_lost"):
            self._world.note("broker", f"lost {leaf} to {agent}")
            return
        times = 2 if self._world.strikes("receipt_doubled") else 1
        for _ in range(times):
            self._world.loop.outside(self._delay_s(), self._hand_out, agent, leaf, payload)
        if leaf == Down.RECEIPTS.value and self._world.strikes("receipt_astray"):
            self._world.loop.outside(self._delay_s(), self._mislead, agent, payload)

    def crash(self, *, forgets: bool) -> None:
        """All connections end; `forgets`: so does everything that it had acknowledged."""
        self.up = False
        if forgets:
            self._waiting.clear()
        for connection in list(self.boxes.values()):
            connection.end("the broker is gone")

    def _delay_s(self) -> float:
        slow = self._world.strikes("message_delayed")
        return self._rng.random() * (8.0 if slow else 0.05) + 0.002

    def _take_in(self, topic: str, payload: bytes) -> None:
        if not self.up:
            return  # acknowledged and lost
        self._mid += 1
        self._waiting[self._mid] = (topic, payload)
        if self._subscriber is not None:
            self._subscriber.delivered(self._mid, topic, payload)

    def _hand_out(self, agent: str, leaf: str, payload: bytes) -> None:
        connection = self.boxes.get(agent)
        if self.up and connection is not None:
            connection.heard(Down(leaf), payload)

    def _mislead(self, agent: str, payload: bytes) -> None:
        """What no correct cloud says: the receipt at another's door, and receipts for what it may never have received."""
        for other in sorted(self.boxes):
            if other != agent:
                self._hand_out(other, Down.RECEIPTS.value, payload)
        if self._seen:
            branch, sent = self._seen[self._rng.randrange(len(self._seen))]
            for forged in _forgeries(payload, branch, sent):
                self._hand_out(branch.agent, Down.RECEIPTS.value, forged)


def _forgeries(payload: bytes, branch: Branch, sent: bytes) -> list[bytes]:
    from gateway.wire.envelope import decode_header, envelope_hash  # noqa: PLC0415

    receipt: Receipt = decode_receipt(payload)
    header = decode_header(sent)[0]
    true = msgspec.structs.replace(
        receipt, envelope=envelope_hash(sent), agent=branch.agent, epoch=header.epoch
    )
    replace = msgspec.structs.replace
    return [
        encode(replace(true, agent=f"{branch.agent}x")),
        encode(replace(true, epoch="f" * 16)),
        encode(replace(true, envelope="0" * 64)),
        encode(replace(true, duplicates=[header.first + header.count + 5])),
        b"\xff" + payload,
        payload[: len(payload) // 2],
    ]


class Connection:
    """One connection of a box, with the face of `edge.publish.Connection`."""

    def __init__(
        self, world: "World", branch: Branch, *, will: bytes, changed: Callable[[], None]
    ) -> None:
        self._world, self._branch, self._will, self._changed = world, branch, will, changed
        self._inbox: deque[Heard] = deque()
        self.ended: str | None = None
        self._asked: tuple[str, float] | None = None
        self.told_time = False  # whether the box has taken an answer that says what time it is
        self.packet_bytes_max = PACKET_BYTES_MAX

    async def open(self) -> None:
        """Connect. Raises BrokerError."""
        await asyncio.sleep(0.05)
        if not self._world.broker.up or not self._world.online(self._branch.agent):
            raise BrokerError("no route to the broker")
        before = self._world.broker.boxes.get(self._branch.agent)
        if before is not None:
            before.end("another took its name")
        self._world.broker.boxes[self._branch.agent] = self
        self._world.note(self._branch.agent, "connected")

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:  # noqa: ARG002 nothing is retained here
        """Hand a message over."""
        if self.ended is None and self._world.strikes("send_refused"):
            self.end("the connection takes nothing more")
        if self.ended is not None:
            return False
        if leaf is Up.OBSERVATIONS:
            self._world.sent(self._branch, payload, told_time=self.told_time)
        elif leaf is Up.LEDGER:
            self._asked = (decode_question(payload).nonce, self._world.loop.time())
        self._world.broker.from_box(self._branch, leaf, payload)
        return True

    def next_heard(self) -> Heard | None:
        """What came down."""
        if not self._inbox:
            return None
        heard = self._inbox.popleft()
        if heard.leaf is Down.LEDGER and self._asked is not None:
            nonce, asked_s = self._asked
            timely = self._world.loop.time() - asked_s <= ANSWER_S_MAX
            self.told_time |= timely and decode_answer(heard.payload).nonce == nonce
        return heard

    async def say_goodbye(self, status: bytes) -> None:  # noqa: ARG002 nobody reads it here
        """An orderly end."""
        self.close()

    def close(self) -> None:
        """Let go."""
        self.end("closed here")

    def heard(self, leaf: Down, payload: bytes) -> None:
        """A message for the box."""
        self._inbox.append(Heard(leaf, payload))
        self._changed()

    def end(self, why: str) -> None:
        """It is over."""
        if self.ended is None:
            self.ended = why
            boxes = self._world.broker.boxes
            if boxes.get(self._branch.agent) is self:
                del boxes[self._branch.agent]
            self._changed()
