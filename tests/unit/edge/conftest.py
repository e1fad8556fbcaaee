"""Builders for the agent's tests, a real broker, and a small cloud that answers as it is told. No test here."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from demo.processes import free_port
from edge.links.arrival import Arrivals
from gateway.model.identity import ledger_digest
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import SystemClock
from gateway.wire.envelope import Envelope, decode_envelope
from gateway.wire.receipts import (
    Answer,
    Held,
    HeldEpoch,
    Parked,
    Receipt,
    decode_question,
    encode,
)
from gateway.wire.status import Status, decode_status
from gateway.wire.topics import Branch, Down, Up, uplink
from tests.unit.edge.wrong_clock_world import World

BRANCH = Branch("demo", "box-1")
PATIENCE_S = 30.0
DEVICE = "d1" * 10

RUMQTTD = """\
id = 0
[router]
id = 0
max_connections = 50
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "127.0.0.1:{v4}"
next_connection_delay_ms = 1
    [v4.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 400000
    max_inflight_count = 200
    dynamic_filters = true
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{v5}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 400000
    max_inflight_count = 200
    dynamic_filters = true
"""


def build_observation(
    number: int,
    *,
    value: str = "120",
    device: str = DEVICE,
    scheme: str = "c",
    context: dict[str, str] | None = None,
) -> Observation:
    return Observation(
        key=f"20260301-{scheme}-{number:032x}",
        device=device,
        kind="blood_pressure",
        parts={"systolic": Part(unit="mm[Hg]", value=value)},
        time=Moment(utc="2026-03-01T08:00:00.000Z", method=TimeMethod.ASSUMED),
        content=f"{int(value):032x}",
        source=Source.MEMORY,
        accepted="2026-03-01T08:00:00.000Z",
        driver="gatt.blood_pressure",
        profile="generic/blood-pressure",
        transport="ble",
        context=context or {},
    )


@pytest.fixture
def observation() -> Callable[..., Observation]:
    return build_observation


@pytest.fixture
def now() -> Callable[[], float]:
    """The agent's own clock of arrivals."""
    return Arrivals(SystemClock()).now


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class RealBroker:
    """rumqttd in a process of its own, in memory; `kill` is kill -9."""

    folder: Path
    v4: int = field(default_factory=free_port)
    v5: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        config = self.folder / "rumqttd.toml"
        config.write_text(RUMQTTD.format(v4=self.v4, v5=self.v5))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iotcore", "--log-level", "ERROR", "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE_S
        for port in (self.v4, self.v5):
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert self.process.poll() is None, "the broker ended at once"
                assert time.monotonic() < end, "the broker doesn't listen"
                time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RealBroker]:
    real = RealBroker(tmp_path)
    real.start()
    yield real
    if real.process is not None:
        real.kill()


class StandIn:
    """The cloud's side of the wire and no more: it keeps (epoch, n) -> key, and gives receipts unless told otherwise."""

    def __init__(self, port: int) -> None:
        self.held: dict[tuple[str, int], str] = {}
        self.keys: set[str] = set()
        self.envelopes: list[Envelope] = []
        self.statuses: list[Status] = []
        self.questions = 0
        self.commit = 0
        self.store = "store-1"
        self.receipts_of: Callable[[StandIn, Envelope, int], list[bytes]] = give_receipt
        self.answer_of: Callable[[StandIn, str], bytes | None] = tell_ledger
        self.changed = threading.Condition()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="cloud")
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self._listens = threading.Event()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._listens.wait(PATIENCE_S)

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def say(self, leaf: Down, payload: bytes) -> None:
        self.client.publish(BRANCH.down(leaf), payload, qos=1)

    async def until(self, what: "Callable[[StandIn], bool]", within_s: float = PATIENCE_S) -> None:
        """Waits for the cloud to have seen something."""

        def wait() -> bool:
            with self.changed:
                return self.changed.wait_for(lambda: what(self), within_s)

        assert await asyncio.to_thread(wait), f"the cloud holds {len(self.held)} numbers"

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe([(uplink(BRANCH.tenant, leaf), 1) for leaf in Up])

    def _on_subscribe(self, *_: object) -> None:
        self._listens.set()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        with self.changed:
            if message.topic == BRANCH.up(Up.OBSERVATIONS):
                self._take(decode_envelope(message.payload))
            elif message.topic == BRANCH.up(Up.LEDGER):
                self.questions += 1
                answer = self.answer_of(self, decode_question(message.payload).nonce)
                if answer is not None:
                    self.say(Down.LEDGER, answer)
            elif message.topic == BRANCH.up(Up.STATUS):
                self.statuses.append(decode_status(message.payload))
            self.changed.notify_all()

    def _take(self, envelope: Envelope) -> None:
        times = 1 + sum(1 for seen in self.envelopes if seen.sha256 == envelope.sha256)
        self.envelopes.append(envelope)
        for receipt in self.receipts_of(self, envelope, times):
            self.say(Down.RECEIPTS, receipt)

    def keep(self, envelope: Envelope) -> None:
        self.commit += 1
        for number, one in zip(envelope.header.numbers, envelope.observations, strict=True):
            assert isinstance(one, Observation), one
            self.held.setdefault((envelope.header.epoch, number), one.key)
            self.keys.add(one.key)

    def receipt(self, of: Envelope, **changes: object) -> bytes:
        told: dict[str, object] = {
            "envelope": of.sha256,
            "agent": BRANCH.agent,
            "epoch": of.header.epoch,
            "store": self.store,
            "commit": self.commit,
        }
        return encode(Receipt(**{**told, **changes}))  # type: ignore[arg-type]


def give_receipt(cloud: StandIn, envelope: Envelope, _times: int) -> list[bytes]:
    cloud.keep(envelope)
    return [cloud.receipt(envelope)]


def tell_ledger(cloud: StandIn, nonce: str) -> bytes:
    epochs = sorted({epoch for epoch, _ in cloud.held})
    told = [
        HeldEpoch(
            epoch=epoch,
            ranges=[
                Held(n, n, f"{ledger_digest([(n, key)]):016x}")
                for (other, n), key in sorted(cloud.held.items())
                if other == epoch
            ],
        )
        for epoch in epochs
    ]
    return encode(
        Answer(nonce=nonce, agent=BRANCH.agent, store=cloud.store, commit=cloud.commit, epochs=told)
    )


@pytest.fixture
def cloud(broker: RealBroker) -> Iterator[StandIn]:
    standing = StandIn(broker.v4)
    yield standing
    standing.end()


@pytest.fixture
def parked() -> type[Parked]:
    return Parked


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.outbox.close()
    made.records.close()
