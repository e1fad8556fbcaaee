"""A stranger's client: plain MQTT, and of ours nothing but the two published documents. A real ingester understands it."""

import hashlib
import json
import queue
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as mqtt
import pytest
import zstandard

from demo.broker import BOX
from demo.house import TENANT

DOCS = Path(__file__).resolve().parents[2] / "docs" / "wire"
ASYNC = json.loads((DOCS / "asyncapi.json").read_text())
SCHEMA = json.loads((DOCS / "schema.json").read_text())
AGENT = "stranger-1"
PATIENCE_S = 20.0

Json = dict[str, Any]


def follow(reference: str) -> Json:
    place = ASYNC
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def valid(name: str, told: Json) -> Json:
    jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"}).validate(told)
    return told


class Stranger:
    """Topics from the channels, QoS and retain from the operations, payloads by the schemas."""

    def __init__(self, port: int, password: str) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self._mqtt.username_pw_set(BOX, password)
        self._mqtt.on_message = lambda _c, _d, told: self.heard.put((told.topic, told.payload))
        granted: queue.Queue[int] = queue.Queue()
        self._mqtt.on_subscribe = lambda _c, _d, mid, *_told: granted.put(mid)
        self._mqtt.on_connect = lambda *_told: granted.put(-1)
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()
        granted.get(timeout=PATIENCE_S)
        for operation in ASYNC["operations"].values():
            if operation["action"] == "receive":
                qos = operation["bindings"]["mqtt"]["qos"]
                self._mqtt.subscribe(self.topic(operation), qos)
                granted.get(timeout=PATIENCE_S)

    @staticmethod
    def topic(operation: Json) -> str:
        address = follow(operation["channel"]["$ref"])["address"]
        return address.replace("{tenant}", TENANT).replace("{agent}", AGENT)

    def send(self, name: str, payload: bytes) -> None:
        operation = ASYNC["operations"][name]
        told = operation["bindings"]["mqtt"]
        self._mqtt.publish(self.topic(operation), payload, told["qos"], told["retain"])

    def ask(self, name: str, payload: bytes) -> Json:
        """Send, and give the reply on the channel that the operation names, by its correlation id."""
        self.send(name, payload)
        reply = follow(ASYNC["operations"][name]["reply"]["channel"]["$ref"])
        (message,) = (follow(one["$ref"]) for one in reply["messages"].values())
        topic = self.topic({"channel": ASYNC["operations"][name]["reply"]["channel"]})
        field = message["correlationId"]["location"].rpartition("/")[2]
        mine = {hashlib.sha256(payload).hexdigest()}
        if name == "askLedger":
            mine = {json.loads(payload)["nonce"]}
        while True:
            heard_on, told = self.heard.get(timeout=PATIENCE_S)
            answer = json.loads(told)
            if heard_on == topic and answer[field] in mine:
                return valid(message["title"], answer)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def reading(**changes: object) -> Json:
    """A glucose reading, after the document's own example."""
    (example,) = ASYNC["components"]["messages"]["envelope"]["examples"]
    told = json.loads(example["payload"].partition("\n")[2])["observations"][1]
    told |= {"key": f"20260314-r-{secrets.token_hex(16)}", "content": secrets.token_hex(16)}
    told["time"]["utc"] = told["accepted"] = now()
    return told | changes


def envelope(epoch: str, first: int, *observations: Json, squeeze: bool = False) -> bytes:
    body = json.dumps({"observations": observations}).encode()
    if squeeze:
        body = zstandard.ZstdCompressor().compress(body)
    header = {
        "schema": "vitalgate.envelope/1",
        "agent": AGENT,
        "epoch": epoch,
        "first": first,
        "count": len(observations),
        "encoding": "json+zstd" if squeeze else "json",
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(valid("Header", header)).encode() + b"\n" + body


def digest(numbered: dict[int, str]) -> str:
    hashes = (
        hashlib.blake2b(f"{number}:{key}".encode(), digest_size=8).digest()
        for number, key in numbered.items()
    )
    return f"{sum(int.from_bytes(one, 'big') for one in hashes) % 2**64:016x}"


@pytest.fixture
def stranger(whole) -> Iterator[Stranger]:
    whole.start_broker("iotcore")
    whole.house.write_cloud(whole.port)
    whole.start_cloud()
    client = Stranger(whole.port, whole.house.passwords().box)
    yield client
    client.close()


def test_the_stranger_imports_nothing_that_speaks_the_wire() -> None:
    told = Path(__file__).read_text()

    ours = "gateway|drivers|device_profiles|edge|cloud_ingest"
    assert not re.search(rf"^(from|import) ({ours})\b", told, re.MULTILINE)


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_a_client_that_knows_only_the_documents_is_understood_and_understands(
    whole, stranger: Stranger
) -> None:
    epoch = secrets.token_hex(8)
    one, two, three = reading(), reading(), reading()
    valid("Body", {"observations": [one, two, three]})

    first = envelope(epoch, 1, one, two)
    receipt = stranger.ask("sendEnvelope", first)
    assert (receipt["agent"], receipt["epoch"]) == (AGENT, epoch)
    assert (receipt.get("duplicates", []), receipt.get("parked", [])) == ([], [])

    # The same bytes again: the same receipt. The same measurement under another number: a duplicate.
    assert stranger.ask("sendEnvelope", first) == receipt
    again = stranger.ask("sendEnvelope", envelope(epoch, 3, two, squeeze=True))
    assert again["duplicates"] == [3]
    assert again["store"] == receipt["store"]
    assert again["commit"] > receipt["commit"]

    # One that breaks the schema is parked alone, with its number; its neighbour is stored.
    broken = reading(device="not twenty hex digits")
    with pytest.raises(jsonschema.ValidationError):
        valid("Body", {"observations": [broken]})
    mixed = stranger.ask("sendEnvelope", envelope(epoch, 4, broken, three))
    assert [parked["n"] for parked in mixed["parked"]] == [4]
    assert mixed["parked"][0]["why"]
    assert mixed.get("duplicates", []) == []

    question = json.dumps(valid("Question", {"nonce": secrets.token_hex(8)})).encode()
    answer = stranger.ask("askLedger", question)
    (held,) = answer["epochs"]
    assert (held["epoch"], held["parked"]) == (epoch, [4])
    assert [(one["first"], one["last"]) for one in held["ranges"]] == [(1, 3), (5, 5)]
    assert [one["digest"] for one in held["ranges"]] == [
        digest({1: one["key"], 2: two["key"], 3: two["key"]}),
        digest({5: three["key"]}),
    ]

    # An envelope under another's name is never receipted; the next one is.
    stranger.send(
        "sendEnvelope", envelope(epoch, 6, reading()).replace(AGENT.encode(), b"box-9999-x")
    )
    assert stranger.ask("sendEnvelope", envelope(epoch, 6, reading()))["epoch"] == epoch
    assert stranger.heard.empty()

    stored = {told["key"] for told in whole.readings()}
    assert {one["key"], two["key"], three["key"]} < stored
    assert len(stored) == 4


@pytest.mark.slow(10)
@pytest.mark.timeout(120)
def test_numbers_used_twice_are_answered_with_a_new_epoch(stranger: Stranger) -> None:
    epoch = secrets.token_hex(8)

    assert "new_epoch" not in stranger.ask("sendEnvelope", envelope(epoch, 1, reading()))
    assert stranger.ask("sendEnvelope", envelope(epoch, 1, reading()))["new_epoch"] is True

    fresh = secrets.token_hex(8)
    assert "new_epoch" not in stranger.ask("sendEnvelope", envelope(fresh, 1, reading()))
