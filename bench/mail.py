"""A connection to a real broker that sends envelopes and hears what passes by. Times are the listener's business."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

READY_S = 10.0
WINDOW = 500  # that the broker has not acknowledged; as the demo's broker is set


class Mail:
    """A connection as one of the demo broker's users. `hear(topic, payload)` runs on a thread of its own."""

    def __init__(
        self,
        port: int,
        user: str,
        password: Path,
        hear: Callable[[str, bytes], None],
        *filters: str,
    ) -> None:
        """Connect and subscribe; ready on return. Raises ConnectionError where the broker does not grant it."""
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{user}")
        self._client.username_pw_set(user, password.read_text().strip())
        self._client.max_inflight_messages_set(WINDOW)
        self._client.on_message = _passed_to(hear)
        ready = threading.Event()

        refused: list[str] = []

        def on_subscribe(
            _client: Client, _data: object, _mid: int, told: list[ReasonCode], _more: object
        ) -> None:
            refused.extend(str(one) for one in told if one.is_failure)
            ready.set()

        self._client.on_subscribe = on_subscribe
        self._client.on_socket_open = send_at_once
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([(one, 1) for one in filters])
        if not ready.wait(READY_S):
            raise ConnectionError(f"no subscription at 127.0.0.1:{port} within {READY_S} s")
        if refused:
            raise ConnectionError(f"{user} may not hear {filters}: {refused}")

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


def send_at_once(_client: Client, _data: object, sock: object) -> None:
    """For `on_socket_open`: Nagle's algorithm holds small packets back for up to 40 ms, which neither side of a comparison may add."""
    assert isinstance(sock, socket.socket)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
