"""The boxes' side of a real broker: sends envelopes, hears what passes by. One connection; times are the listener's business."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from demo.broker import BOX

READY_S = 10.0
WINDOW = 500  # that the broker has not acknowledged; as the demo's broker is set


class Mail:
    """A connection as the demo's box user. `hear(topic, payload)` runs on its own thread."""

    def __init__(
        self, port: int, password: Path, hear: Callable[[str, bytes], None], *filters: str
    ) -> None:
        """Connect and subscribe; ready on return."""
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="bench-boxes")
        self._client.username_pw_set(BOX, password.read_text().strip())
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_message = _passed_to(hear)
        ready = threading.Event()

        def on_subscribe(*_granted: object) -> None:
            ready.set()

        self._client.on_subscribe = on_subscribe
        self._client.on_socket_open = _send_at_once
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(one, 1) for one in filters])
        if not ready.wait(READY_S):
            raise TimeoutError(f"no subscription at 127.0.0.1:{port} within {READY_S} s")

    def send(self, topic: str, payload: bytes) -> None:
        """QoS 1; returns at once."""
        self._client.publish(topic, payload, qos=1)

    def __enter__(self) -> Self:
        """Connected already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


def _passed_to(hear: Callable[[str, bytes], None]) -> Callable[[Client, object, MQTTMessage], None]:
    return lambda _client, _data, message: hear(message.topic, bytes(message.payload))


def _send_at_once(_client: Client, _data: object, sock: object) -> None:
    """Nagle's algorithm holds small packets back for up to 40 ms: the instrument must add none of that."""
    assert isinstance(sock, socket.socket)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
