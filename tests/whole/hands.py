"""What a stranger with a plain MQTT client can send: envelopes and observations made by hand, with none of the product's code."""

import hashlib
import json
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import paho.mqtt.client as mqtt

from demo.broker import BOX
from demo.house import AGENT, TENANT, House

DEVICE = "d" * 20
EPOCH = "0" * 16
PATIENCE_S = 15.0

Json = dict[str, Any]


def moment(ago_s: float = 0.0) -> str:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def pressure(
    systolic: str = "120", diastolic: str = "80", ago_s: float = 0.0, **more: object
) -> Json:
    """A blood pressure as a box would tell it; `more` overrides its fields."""
    told: Json = {
        "key": f"20260314-c-{secrets.token_hex(16)}",
        "device": DEVICE,
        "kind": "blood_pressure",
        "parts": {
            "systolic": {"unit": "mm[Hg]", "value": systolic},
            "diastolic": {"unit": "mm[Hg]", "value": diastolic},
        },
        "time": {"utc": moment(ago_s), "method": "corrected", "early_s": 1.0, "late_s": 1.0},
        "content": secrets.token_hex(16),
        "source": "pushed",
        "accepted": moment(),
        "driver": "gatt.blood_pressure",
        "profile": "generic/blood-pressure",
        "transport": "ble",
    }
    return told | more


def dated(**time_: object) -> Json:
    """A blood pressure whose time has these fields."""
    one = pressure()
    one["time"].update(time_)
    return one


def body(*observations: object) -> bytes:
    return json.dumps({"observations": list(observations)}).encode()


def envelope(inside: bytes, first: object = 1, count: object = 1, **header: object) -> bytes:
    """The bytes of an envelope around a body; `header` overrides its fields."""
    told = {
        "schema": "vitalgate.envelope/1",
        "agent": AGENT,
        "epoch": EPOCH,
        "first": first,
        "count": count,
        "encoding": "json",
        "sha256": hashlib.sha256(inside).hexdigest(),
    }
    return json.dumps(told | header).encode() + b"\n" + inside


class Client:
    """A plain client on the broker, that hears what is sent to every box."""

    def __init__(self, house: House, port: int, hear: str = "down/#") -> None:
        self.heard: list[tuple[str, bytes]] = []
        ready = threading.Event()
        self._mqtt = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=f"stranger-{secrets.token_hex(4)}"
        )
        self._mqtt.username_pw_set(BOX, house.passwords().box)
        self._mqtt.on_message = lambda _client, _data, told: self.heard.append(
            (told.topic, bytes(told.payload))
        )
        self._mqtt.on_connect = lambda client, *_told: client.subscribe(
            f"vitalgate/v1/{TENANT}/+/{hear}", 1
        )
        self._mqtt.on_subscribe = lambda *_told: ready.set()
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()
        assert ready.wait(PATIENCE_S)

    def send(self, payload: bytes, leaf: str = "up/observations", agent: str = AGENT) -> None:
        self.send_to(f"vitalgate/v1/{TENANT}/{agent}/{leaf}", payload)

    def send_to(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        sent = self._mqtt.publish(topic, payload, 1, retain)
        sent.wait_for_publish(PATIENCE_S)
        assert sent.is_published()

    def receipts(self, payload: bytes) -> list[Json]:
        """Every receipt so far for these very bytes."""
        name = hashlib.sha256(payload).hexdigest()
        told = [json.loads(said) for topic, said in list(self.heard) if "receipts" in topic]
        return [one for one in told if one["envelope"] == name]

    def receipt(self, payload: bytes, which: int = 1) -> Json:
        """The receipt for these bytes, when it comes; `which`: the so-manieth."""
        end = time.monotonic() + PATIENCE_S
        while len(found := self.receipts(payload)) < which:
            assert time.monotonic() < end, f"no receipt for {payload[:300]!r}"
            time.sleep(0.02)
        return found[which - 1]

    def deliver(self, payload: bytes, agent: str = AGENT) -> Json:
        """Send, and give the receipt."""
        which = len(self.receipts(payload)) + 1
        self.send(payload, agent=agent)
        return self.receipt(payload, which)

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()


def running_cloud(whole, seed_readings: int = 1) -> Client:
    """Broker and ingester; `seed_readings` numbers are taken by good readings."""
    whole.start_broker("iotcore")
    whole.house.write_cloud(whole.port)
    whole.start_cloud()
    client = Client(whole.house, whole.port)
    if seed_readings:
        good = envelope(body(*(pressure() for _ in range(seed_readings))), count=seed_readings)
        assert client.deliver(good).get("parked", []) == []
    return client


def still_works(whole, client: Client, number: int = 900_000) -> None:
    """A good reading is stored and shown, by the process that was there from the start."""
    assert whole.process("cloud").poll() is None, whole.logs()
    good = pressure()
    given = client.deliver(envelope(body(good), first=number))
    assert given.get("parked", []) == given.get("duplicates", []) == []
    whole.until(
        "the good reading",
        lambda: any(one["key"] == good["key"] and one["series"] for one in whole.readings()),
        20,
    )
    assert "Traceback" not in whole.logs()
