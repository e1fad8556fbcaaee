"""An intake on a real broker for tests: boxes that send, records behind a gate, intakes that come and go."""

import threading
import time
from collections.abc import Callable, Sequence

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from cloud_ingest.intake import BrokerSettings, Intake
from cloud_ingest.live import News
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery, Verdict
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError
from gateway.wire.envelope import envelope_hash
from gateway.wire.receipts import Answer, Question, Receipt, decode_answer, decode_receipt
from gateway.wire.status import Status
from gateway.wire.topics import Branch, Down, Up

PATIENCE_S = 15
BRANCH = Branch("demo", "box-1")


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


class Box:
    """The box's side of the broker: sends envelopes, collects what it is told."""

    def __init__(self, port: int, agent: str = "box-1") -> None:
        self.branch = Branch("demo", agent)
        self.receipts: list[Receipt] = []
        self.answers: list[Answer] = []
        self._ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=agent)
        self._client.username_pw_set("box", "boxes")
        self._client.on_message = self._hear
        self._client.on_connect = lambda c, *_: c.subscribe(
            [(self.branch.down(Down.RECEIPTS), 1), (self.branch.down(Down.LEDGER), 1)]
        )
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(PATIENCE_S)

    def say(self, payload: bytes, leaf: Up = Up.OBSERVATIONS, topic: str = "") -> str:
        """Waits for the broker's acknowledgement, so that the message is in its queue. A status is retained."""
        told = self._client.publish(
            topic or self.branch.up(leaf), payload, qos=1, retain=leaf is Up.STATUS
        )
        told.wait_for_publish(PATIENCE_S)
        return envelope_hash(payload)

    def receipted(self) -> list[str]:
        return [receipt.envelope for receipt in self.receipts]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _client: Client, _data: object, message) -> None:
        assert not message.retain
        if message.topic == self.branch.down(Down.RECEIPTS):
            self.receipts.append(decode_receipt(message.payload))
        else:
            self.answers.append(decode_answer(message.payload))


class Gate:
    """The real records behind a door that can be shut (the store hangs) or locked (the store is away)."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.away = False
        self.bug: Exception | None = None
        self.batches: list[int] = []

    def ingest(self, deliveries: Sequence[Delivery]) -> list[Verdict]:
        self.entered.set()
        assert self.open.wait(PATIENCE_S)
        if self.away:
            raise StoreError("records: the disk is full", retry=True)
        if self.bug:
            raise self.bug
        self.batches.append(len(deliveries))
        return self._records.ingest(deliveries)

    def answer(self, agent: str, question: Question) -> Answer:
        return self._records.answer(agent, question)

    def note_status(self, agent: str, status: Status, payload: bytes) -> News:
        return self._records.note_status(agent, status, payload)

    def keep_status(self, agent: str, status: Status, payload: bytes) -> News:
        return self._records.keep_status(agent, status, payload)


class Scene:
    """A broker, records behind a gate, and intakes that come and go under one client id."""

    def __init__(self, kit, broker) -> None:
        self.kit = kit
        self.broker = broker
        self.gate = Gate(kit.records)
        self.counters = Counters()
        self.news: list[News] = []
        self.bugs: list[BaseException] = []
        self.settings = BrokerSettings(
            tenant="demo",
            host="127.0.0.1",
            port=broker.port,
            client_id="ingest",
            username="ingester",
            password=broker.password,
        )
        self._ends: list[Callable[[], None]] = []

    def intake(self, settings: BrokerSettings | None = None, *, connected: bool = True) -> Intake:
        made = Intake(
            settings or self.settings,
            self.gate,
            self.kit.clock,
            self.counters,
            tell=self.news.append,
            stored=lambda: None,
            failed=self.bugs.append,
        )
        made.start()
        self._ends.append(made.stop)
        if connected:
            wait_until(lambda: made.state().connected and not made.state().trouble)
        return made

    def box(self, agent: str = "box-1") -> Box:
        made = Box(self.broker.port, agent)
        self._ends.append(made.close)
        return made

    def count(self, name: str) -> int:
        return self.counters.snapshot().get(name, 0)

    def close(self) -> None:
        self.gate.open.set()
        for end in self._ends:
            end()
