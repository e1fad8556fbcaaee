"""The box's only door to MQTT: readings out, receipts in. What a broker acknowledges proves nothing; only receipts settle.

paho runs on the event loop itself (its hooks for an external loop), not in a thread of its own: callbacks then never race with
what is being sent, and what it raises on bytes that are no MQTT surfaces here instead of ending a thread without a word. Only
connecting, which blocks, is done in a thread. Each connection has a client of its own, with no memory of the one before.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.cloud_time import CloudTime
from edge.exchange import Exchange
from edge.outbox.port import AsyncOutbox
from edge.patience import Backoff
from edge.settings import MqttSettings
from gateway.runtime import log
from gateway.runtime.clock import Clock, random_hex
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError
from gateway.wire.topics import Branch, Down, Up

CONNECT_S = 10.0  # for the broker to accept both subscriptions
MISC_S = 1.0  # between two looks at the keep-alive
BYE_S = 2.0  # for a last message when the box stops
INBOX_MAX = 1_000  # messages; what comes beyond is dropped and counted: receipts are given again
INBOUND_BYTES_MAX = 4_000_000
OUTBOUND_MAX = 100  # messages that wait for the broker's acknowledgement before sending is refused
BACKOFF_S_FIRST = 1.0
BACKOFF_S_MAX = 15.0
QOS = 1
FAILURE_FROM = 0x80
NO_SUBSCRIBER = 0x10

# What paho raises on bytes that are no MQTT: something else listens there.
_GARBAGE = (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError)
_LEAVES = (Down.RECEIPTS, Down.LEDGER)
_log = log.get("publish")


class BrokerError(Exception):
    """The broker could not be reached, refused this box, or hung up."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message from the cloud."""

    leaf: Down
    payload: bytes


class Connection:
    """One connection to the broker, from connecting to its end. All but `open` returns at once."""

    def __init__(
        self,
        settings: MqttSettings,
        branch: Branch,
        counters: Counters,
        *,
        will: bytes,
        changed: Callable[[], None],
    ) -> None:
        """`will`: what the broker says on `up/status` when this box goes. `changed`: something was heard, or it ended."""
        self._settings = settings
        self._branch = branch
        self._counters = counters
        self._changed = changed
        self._inbox: deque[Heard] = deque()
        self._leaves = {branch.down(leaf): leaf for leaf in _LEAVES}
        self._granted: asyncio.Future[None] | None = None
        self._waiting_for: set[int | None] = set()
        self._last: tuple[int, asyncio.Future[None]] | None = None
        self._sock: socket.socket | None = None
        self._misc: asyncio.TimerHandle | None = None
        self.ended: str | None = None
        self.packet_bytes_max = settings.packet_bytes_max
        self._client = self._make(will)

    async def open(self) -> None:
        """Connect and subscribe: from then on receipts are heard. Raises BrokerError, ConfigError."""
        self._granted = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.to_thread(self._connect)
                self._attach()
                await self._granted
        except TimeoutError as error:
            raise BrokerError(f"no answer within {CONNECT_S:g} s") from error
        except (OSError, *_GARBAGE) as error:
            raise BrokerError(f"{type(error).__name__}: {error}") from error

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message to the broker's connection. Where it takes nothing more, it ends, and False is told."""
        if self.ended is not None:
            return False
        info = self._client.publish(self._branch.up(leaf), payload, qos=QOS, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._counters.add("mqtt.not_sent")
            self._end(f"nothing more can be sent: {info.rc.name}")
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def next_heard(self) -> Heard | None:
        """What the cloud said, in order; None where there is nothing."""
        return self._inbox.popleft() if self._inbox else None

    async def say_goodbye(self, status: bytes) -> None:
        """A last status, then an orderly end, which keeps the last will from speaking. Never raises."""
        if self.ended is None:
            last = self._client.publish(self._branch.up(Up.STATUS), status, QOS, retain=True)
            self._last = (last.mid, asyncio.get_running_loop().create_future())
            with suppress(TimeoutError, BrokerError):
                async with asyncio.timeout(BYE_S):
                    await self._last[1]
            self._client.disconnect()
        self.close()

    def close(self) -> None:
        """Let the socket go, without a word to the broker where it was still open. Never raises."""
        if self._granted is not None:
            self._granted.cancel()
        self._end("closed here")
        if (sock := self._client.socket()) is not None:
            sock.close()

    def _make(self, will: bytes) -> Client:
        is_v5 = self._settings.protocol == "5"
        version = MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"vitalgate-edge-{self._branch.tenant}-{self._branch.agent}",
            protocol=version,
            reconnect_on_failure=False,
        )
        client.max_queued_messages_set(OUTBOUND_MAX)
        client.will_set(self._branch.up(Up.STATUS), will, qos=QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _connect(self) -> None:
        told = self._settings
        if told.username:
            self._client.username_pw_set(told.username, told.password())
        if told.ca_file:
            files = (told.ca_file, told.cert_file, told.key_file)
            ca, cert, key = (str(file) if file else None for file in files)
            self._client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)
        self._client.connect_timeout = CONNECT_S / 2
        self._client.connect(told.host, told.port, told.keepalive_s)
        if self.ended is not None and (sock := self._client.socket()) is not None:
            sock.close()  # it was given up while it was on its way

    def _attach(self) -> None:
        sock = self._client.socket()
        if self.ended is not None or not isinstance(sock, socket.socket):
            raise BrokerError(self.ended or "the broker hung up at once")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle: 40 ms a small packet
        self._sock = sock
        self._client.on_socket_close = self._on_socket_close
        self._client.on_socket_register_write = self._on_want_write
        self._client.on_socket_unregister_write = self._on_written
        loop = asyncio.get_running_loop()
        loop.add_reader(sock, self._read)
        if self._client.want_write():
            self._on_want_write()
        self._misc = loop.call_later(MISC_S, self._look_after)

    def _detach(self) -> None:
        if self._sock is not None and self._sock.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._sock)
            loop.remove_writer(self._sock)
        self._sock = None
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None

    def _on_socket_close(self, *_told: object) -> None:
        self._end("the broker hung up")

    def _on_want_write(self, *_told: object) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().add_writer(self._sock, self._write)

    def _on_written(self, *_told: object) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().remove_writer(self._sock)

    def _read(self) -> None:
        self._guarded(self._client.loop_read)
        # TLS may hold whole packets that the socket itself no longer shows.
        while self._sock is not None and getattr(self._sock, "pending", int)():
            self._guarded(self._client.loop_read)

    def _write(self) -> None:
        self._guarded(self._client.loop_write)

    def _look_after(self) -> None:
        self._guarded(self._client.loop_misc)
        if self._sock is not None:
            self._misc = asyncio.get_running_loop().call_later(MISC_S, self._look_after)

    def _guarded(self, step: Callable[[], MQTTErrorCode]) -> None:
        try:
            code = step()
        except (OSError, *_GARBAGE) as error:
            self._end(f"{type(error).__name__}: {error}")
            return
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._end(code.name)

    def _end(self, why: str) -> None:
        if self.ended is not None:
            return
        self.ended = why
        self._detach()
        for future in (self._granted, self._last[1] if self._last else None):
            if future is not None and not future.done():
                future.set_exception(BrokerError(why))
        self._changed()

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._end(f"the broker refused: {reason}")
            return
        served = getattr(properties, "MaximumPacketSize", None)
        if isinstance(served, int):
            self.packet_bytes_max = min(self.packet_bytes_max, served)
        self._waiting_for = {client.subscribe(topic, qos=QOS)[1] for topic in self._leaves}

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._end(f"the broker refused a subscription: {reasons[0]}")
            return
        self._waiting_for.discard(mid)
        if not self._waiting_for and self._granted is not None and not self._granted.done():
            self._granted.set_result(None)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        leaf = self._leaves.get(message.topic)
        if leaf is None:
            self._counters.add("mqtt.foreign_topic")
        elif len(message.payload) > INBOUND_BYTES_MAX or len(self._inbox) >= INBOX_MAX:
            self._counters.add("mqtt.inbox_refused")
        else:
            self._inbox.append(Heard(leaf, bytes(message.payload)))
            self._changed()

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._last is not None and mid == self._last[0] and not self._last[1].done():
            self._last[1].set_result(None)
        if reason.value == NO_SUBSCRIBER:
            self._counters.add("mqtt.no_subscriber")
        elif reason.value >= FAILURE_FROM:
            self._counters.add("mqtt.refused")


class Publisher:
    """Brings what waits in the outbox to the cloud, and settles it by receipts, until it is cancelled."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        settings: MqttSettings,
        branch: Branch,
        clock: Clock,
        counters: Counters,
        *,
        version: str = "",
    ) -> None:
        """Nothing happens before `run`. `version`: the program's, for its status."""
        self._settings = settings
        self._branch = branch
        self._counters = counters
        rng = Random(random_hex(64))  # noqa: S311 jitter is no secret
        self._backoff = Backoff(BACKOFF_S_FIRST, BACKOFF_S_MAX, rng)
        self._exchange = Exchange(outbox, branch.agent, clock, counters, rng=rng, version=version)
        self._something = asyncio.Event()
        self.connected = False

    @property
    def cloud_time(self) -> CloudTime:
        """What the cloud's answers said of the time."""
        return self._exchange.time

    @property
    def clock_off_s(self) -> float | None:
        """How far the box's clock is off the cloud's; None while they agree, or where the cloud has not said."""
        return self._exchange.time.now_off_s()

    def wake(self) -> None:
        """Say that the outbox has something new: it leaves at once."""
        self._something.set()

    async def run(self) -> None:
        """Connect, publish, and connect again, for ever. Raises ConfigError, and StoreError where trying again is no use."""
        while True:
            connection = Connection(
                self._settings,
                self._branch,
                self._counters,
                will=self._exchange.will(),
                changed=self.wake,
            )
            try:
                await connection.open()
                await self._serve(connection)
            except BrokerError as fault:
                self._counters.add("mqtt.lost" if self.connected else "mqtt.unreachable")
                _log.warning("broker.away", why=str(fault))
            except StoreError as fault:
                if not fault.retry:
                    raise
                self._counters.add("outbox.errors")
                _log.error("outbox.failed", why=str(fault))
            finally:
                await self._leave(connection)
            await asyncio.sleep(self._backoff.next_s())

    async def _serve(self, connection: Connection) -> None:
        self.connected = True
        self._counters.add("mqtt.connected")
        await self._exchange.connected()
        while connection.ended is None:
            self._something.clear()
            await self._hear(connection)
            await self._exchange.send(connection)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._exchange.pause_s()):
                    await self._something.wait()
        raise BrokerError(connection.ended)

    async def _leave(self, connection: Connection) -> None:
        try:
            if self.connected:
                self.connected = False
                await connection.say_goodbye(self._exchange.will())
        finally:
            connection.close()
            self._exchange.lost()

    async def _hear(self, connection: Connection) -> None:
        while (heard := connection.next_heard()) is not None:
            if await self._exchange.hear(heard):
                self._backoff.reset()
