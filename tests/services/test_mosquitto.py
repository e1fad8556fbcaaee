"""A real Mosquitto with our configuration: who may touch what, and the intake on it when it is killed."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from cloud_ingest.intake import BrokerSettings, Intake
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.store import Records
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters
from gateway.wire.envelope import SCHEMA
from gateway.wire.receipts import decode_receipt
from gateway.wire.topics import Branch, Down, Up

pytestmark = pytest.mark.services

PATIENCE_S = 20
QUIET_S = 0.5  # how long nothing must come where nothing may come


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class Someone:
    """A client of the broker: what it hears, and what it is refused (MQTT 5 tells)."""

    def __init__(self, port: int, user: str, password: str, filters: Sequence[str] = ()) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.refused = ""
        self.came_in = threading.Event()
        self._ready = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"test-{user}-{id(self)}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        if user:
            self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _c, _d, m: self.heard.append((m.topic, m.payload))
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._filters = filters
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._ready.wait(PATIENCE_S)

    def say(self, topic: str, payload: bytes) -> str:
        """The broker's answer to a message."""
        told: list[str] = []
        self._client.on_publish = lambda _c, _d, _m, reason, _p: told.append(str(reason))
        self._client.publish(topic, payload, qos=1)
        wait_until(lambda: told)
        return told[0]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, client: Client, _data: object, _flags: object, reason, _p: object
    ) -> None:
        if reason.is_failure:
            self.refused = str(reason)
            self._ready.set()
        elif self._filters:
            client.subscribe([(one, 1) for one in self._filters])
        else:
            self._ready.set()


class Scene:
    """The broker with two boxes and the ingester, and whoever comes."""

    def __init__(self, folder: Path, start_service) -> None:
        self.folder = folder
        self._start_service = start_service
        self.service = None
        self.port = 0
        self.start()
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        arguments = ["--dir", str(self.folder / "broker"), "--agent", "box-1", "--agent", "box-2"]
        if self.port:
            arguments += ["--port", str(self.port)]
        self.service = self._start_service("mosquitto.py", arguments)
        self.port = self.service.ready["port"]

    def password(self, user: str) -> str:
        return Path(self.service.ready["users"][user]).read_text().strip()

    def someone(self, user: str, *filters: str) -> Someone:
        made = Someone(self.port, user, self.password(user), filters)
        self._ends.append(made.close)
        return made

    def intake(self, protocol="3.1.1") -> tuple[Intake, Records, Counters]:
        clock, counters = SystemClock(), Counters()
        records = Records.open(
            self.folder / "records.sqlite", "demo", clock, default_thresholds(), sole_ingester=True
        )
        settings = BrokerSettings(
            tenant="demo",
            host="127.0.0.1",
            port=self.port,
            client_id="ingest",
            protocol=protocol,
            username="ingester",
            password=self.password("ingester"),
        )
        made = Intake(
            settings,
            records,
            clock,
            counters,
            tell=lambda _: None,
            stored=lambda: None,
            failed=lambda bug: pytest.fail(repr(bug)),
        )
        made.start()
        self._ends += [records.close, made.stop]
        wait_until(lambda: made.state().connected and not made.state().trouble)
        return made, records, counters

    def close(self) -> None:
        for end in reversed(self._ends):
            end()


@pytest.fixture
def scene(tmp_path: Path, start_service) -> Iterator[Scene]:
    made = Scene(tmp_path, start_service)
    yield made
    made.close()


ONE, TWO = Branch("demo", "box-1"), Branch("demo", "box-2")


def test_nobody_comes_in_without_a_name_or_with_a_wrong_password(scene: Scene) -> None:
    for user, password in (("", ""), ("box-1", "guess"), ("stranger", "guess")):
        someone = Someone(scene.port, user, password)
        assert someone.refused == "Not authorized", user
        someone.close()


def test_a_box_speaks_on_its_own_branch_and_is_heard_by_the_ingester(scene: Scene) -> None:
    ingester = scene.someone("ingester", "vitalgate/v1/demo/+/up/#")
    box = scene.someone("box-1")
    assert box.say(ONE.up(Up.OBSERVATIONS), b"mine") == "Success"
    wait_until(lambda: ingester.heard == [(ONE.up(Up.OBSERVATIONS), b"mine")])


@pytest.mark.parametrize(
    "topic",
    [
        TWO.up(Up.OBSERVATIONS),
        TWO.up(Up.STATUS),
        TWO.down(Down.RECEIPTS),
        ONE.down(Down.RECEIPTS),
        Branch("another", "box-1").up(Up.OBSERVATIONS),
        "vitalgate/v1/demo/box-1",
        "anything",
    ],
)
def test_a_box_that_speaks_on_anothers_branch_is_refused(scene: Scene, topic: str) -> None:
    ingester = scene.someone("ingester", "vitalgate/v1/demo/+/up/#")
    other = scene.someone("box-2", TWO.down(Down.RECEIPTS))
    box = scene.someone("box-1")
    assert box.say(topic, b"forged") == "Not authorized"
    assert box.say(ONE.up(Up.OBSERVATIONS), b"mine") == "Success"
    wait_until(lambda: ingester.heard)
    assert ingester.heard == [(ONE.up(Up.OBSERVATIONS), b"mine")]
    assert other.heard == []


def test_a_box_hears_its_own_branch_alone(scene: Scene) -> None:
    box = scene.someone("box-1", "#", TWO.down(Down.RECEIPTS), ONE.down(Down.RECEIPTS))
    ingester = scene.someone("ingester")
    two = scene.someone("box-2")
    two.say(TWO.up(Up.OBSERVATIONS), b"a reading of another")
    ingester.say(TWO.down(Down.RECEIPTS), b"another's receipt")
    ingester.say(ONE.down(Down.RECEIPTS), b"a receipt")
    wait_until(lambda: box.heard)
    time.sleep(QUIET_S)
    assert {payload for _, payload in box.heard} == {b"a receipt"}


def test_the_secrets_are_their_owners_alone(scene: Scene) -> None:
    for file in (scene.folder / "broker").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_the_intake_files_and_answers(scene: Scene, protocol: str) -> None:
    scene.intake(protocol)
    box = scene.someone("box-1", ONE.down(Down.RECEIPTS))
    box.say(ONE.up(Up.OBSERVATIONS), poisoned(1))
    wait_until(lambda: box.heard)
    assert [at.n for at in decode_receipt(box.heard[0][1]).parked] == [1]


def test_the_intake_comes_back_to_a_broker_that_was_killed(scene: Scene) -> None:
    intake, _, counters = scene.intake()
    os.kill(scene.service.ready["pid"], signal.SIGKILL)
    wait_until(lambda: not intake.state().connected)
    scene.service.process.wait(PATIENCE_S)
    scene.start()
    wait_until(lambda: intake.state().connected and not intake.state().trouble)
    box = scene.someone("box-1", ONE.down(Down.RECEIPTS))
    for n in range(1, 200):
        box.say(ONE.up(Up.OBSERVATIONS), poisoned(n))
    wait_until(lambda: len(box.heard) == 199)
    wait_until(lambda: counters.snapshot()["intake.acks"] == 199)


def poisoned(n: int) -> bytes:
    """An envelope whose sender and number can be read, and nothing else: it is receipted as parked."""
    body = b"poison"
    header = {
        "schema": SCHEMA,
        "agent": "box-1",
        "epoch": "00000000000000e1",
        "first": n,
        "count": 1,
        "encoding": "json",
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(header).encode() + b"\n" + body
