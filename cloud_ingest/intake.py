"""The MQTT door of the ingester: deliveries in, receipts out. A message is acknowledged after the records hold it.

The client's callback only queues. Acknowledgements go in the order of receipt, and only over the connection that the
message came over: one from before a reconnect would name another message there. Nothing here opens a store.
"""

import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_ingest.batching import Arrival, Inbox, readings_in
from cloud_ingest.filing import Filing, Register, StoppingError
from cloud_ingest.live import News
from cloud_ingest.stores.records.types import Delivery
from gateway.runtime import log
from gateway.runtime.clock import Clock
from gateway.runtime.counters import Counters
from gateway.wire.topics import Up, uplink

LEAVES = (Up.OBSERVATIONS, Up.LEDGER, Up.STATUS)
WINDOW = 1_000  # deliveries without acknowledgement that we ask the broker for (MQTT 5; before, the broker alone decides)
LETTERS_MAX = 10_000  # receipts that wait for the broker; above that they are left out, and the boxes send again
# What brokers take: a larger one would end the connection, over which all boxes are answered, and go again on the next.
LETTER_BYTES_MAX, LETTER_BYTES_MIN = 250_000, 20_000
PACKET_BYTES = 300  # what MQTT adds to a payload: topic and header
NEVER_EXPIRES = 0xFFFF_FFFF
TURN_S = 0.5
PAUSE_S_FIRST = 0.2
PAUSE_S_MAX = 15.0
BYE_S_MAX = 2.0
# Connections running that the broker took and ended at once: then it is what waits to be sent that it ends them for.
SHORT_MAX, SHORT_S = 3, 5.0
# What the client raises on bytes that are no MQTT: something else listens there.
GARBAGE = (struct.error, ValueError, IndexError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and who we are there. `client_id` must be the same after each start."""

    tenant: str
    host: str
    port: int
    client_id: str
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    keepalive_s: int = 30
    username: str = ""
    password: str = ""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        """Without the password."""
        return f"BrokerSettings({self.client_id} at {self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class IntakeState:
    """How the intake stands. `trouble` is empty while it is well."""

    connected: bool
    waiting: int
    trouble: str


class Intake:
    """One session with the broker: a thread that receives, and one that files."""

    def __init__(
        self,
        broker: BrokerSettings,
        register: Register,
        clock: Clock,
        counters: Counters,
        *,
        tell: Callable[[News], None],
        stored: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """`failed` hears of a bug that ended one of the threads: the process must not go on without it."""
        self._broker = broker
        self._clock = clock
        self._counters = counters
        self._failed = failed
        self._log = log.get("intake")
        self._stopping = threading.Event()
        self._inbox = Inbox()
        self._filing = Filing(
            register, self, counters, tell=tell, stored=stored, stopping=self._stopping
        )
        # Guards `_connection` and `_connected` against an acknowledgement between its check and its sending.
        self._line = threading.Lock()
        self._connection = 0
        self._connected = False
        self._letter_bytes_max = LETTER_BYTES_MAX
        self._trouble = "not connected yet"
        self._explained = False  # whether this connection's trouble has been put in words
        self._client = self._make_client()
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            for name, work in (("intake-receive", self._receive), ("intake-file", self._file))
        ]

    def start(self) -> None:
        """Connect, and go on connecting."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads. What was not filed stays with the broker."""
        self._stopping.set()
        self._inbox.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def state(self) -> IntakeState:
        """How it stands."""
        return IntakeState(self._connected, len(self._inbox), self._filing.trouble or self._trouble)

    def send(self, topic: str, payload: bytes) -> None:
        """To a box, QoS 1, never retained. Left out, and counted, where too many wait for the broker, or it takes none so large."""
        if len(payload) + PACKET_BYTES > self._letter_bytes_max:
            self._counters.add("intake.letters_too_large")
            self._log.error("letter.too_large", topic=topic, size=len(payload))
            return
        info = self._client.publish(topic, payload, qos=1, retain=False)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self._counters.add("intake.letters_left_out")

    def _make_client(self) -> Client:
        broker = self._broker
        modern = broker.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if modern else False,
            protocol=MQTTProtocolVersion.MQTTv5 if modern else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        if broker.ca_file is not None:
            client.tls_set(broker.ca_file, broker.cert_file, broker.key_file)
        client.max_queued_messages_set(LETTERS_MAX)
        # Without this, a message that another thread sends would be written by that thread, beside the one that receives.
        client.on_socket_register_write = _leave_to_the_loop
        client.on_socket_open = _at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        properties = None
        if modern:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = NEVER_EXPIRES
            properties.ReceiveMaximum = WINDOW
        client.connect_async(
            broker.host,
            broker.port,
            broker.keepalive_s,
            clean_start=False if modern else 3,
            properties=properties,
        )
        return client

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as bug:
            self._failed(bug)
            raise

    def _receive(self) -> None:
        pause_s, short = PAUSE_S_FIRST, 0
        while not self._stopping.is_set():
            begun = self._clock.monotonic()
            if self._stay_connected():
                pause_s = PAUSE_S_FIRST
                lasted = self._clock.monotonic() - begun >= SHORT_S
                short = 0 if lasted else short + 1
                if lasted:
                    self._letter_bytes_max = LETTER_BYTES_MAX
            if short >= SHORT_MAX:
                self._drop_letters()
                short = 0
            # Jitter, so that ingesters that lost one broker do not all come back at once.
            self._stopping.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 no secret
            pause_s = min(pause_s * 2, PAUSE_S_MAX)

    def _drop_letters(self) -> None:
        """A client remembers what it has to send, and sends it first on each connection. Boxes ask again for what is dropped.

        So does the broker, with what is not acknowledged yet: from now on a letter is half as large at most.
        """
        self._letter_bytes_max = max(LETTER_BYTES_MIN, self._letter_bytes_max // 2)
        self._counters.add("intake.letters_dropped")
        self._log.error("letters.dropped", larger_than=self._letter_bytes_max)
        with self._line:
            self._client = self._make_client()

    def _stay_connected(self) -> bool:
        """One connection from its beginning to its end; whether the broker took it."""
        self._hang_up()
        with self._line:
            self._connection += 1
        was_connected = self._explained = False
        try:
            self._client.reconnect()
            while self._turn():
                was_connected = was_connected or self._connected
        except OSError as fault:
            self._note(f"broker {self._broker.host}:{self._broker.port}: {fault}")
        except GARBAGE as fault:
            self._note(
                f"what answers at {self._broker.host}:{self._broker.port} is no MQTT broker: {fault}"
            )
        else:
            if not self._explained and not self._stopping.is_set():
                ended = (
                    "ended"
                    if was_connected
                    else "ended before it took us (a wrong password, or no broker)"
                )
                self._note(f"the connection to {self._broker.host}:{self._broker.port} {ended}")
        finally:
            # Why it is away is known before it counts as away.
            self._hang_up()
        return was_connected

    def _turn(self) -> bool:
        """Receive and send once; whether the connection lives."""
        client = self._client
        if self._stopping.is_set():
            self._say_goodbye()
            return False
        if self._inbox.full:
            # The broker holds what is not read. If that lasts, it ends the connection and delivers everything again.
            self._inbox.wait_for_room(TURN_S / 10)
            rc = client.loop_write() if client.want_write() else client.loop_misc()
        else:
            rc = client.loop(TURN_S)
        return rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _say_goodbye(self) -> None:
        """Acknowledgements and receipts of what is filed go out first: what they miss would come again."""
        end = self._clock.monotonic() + BYE_S_MAX
        self._threads[1].join(BYE_S_MAX)
        while self._client.want_write() and self._clock.monotonic() < end:
            if self._client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        self._client.disconnect()
        self._client.loop_write()

    def _hang_up(self) -> None:
        with self._line:
            self._connected = False

    def _file(self) -> None:
        while batch := self._inbox.take():
            try:
                self._filing.file(batch)
            except StoppingError:
                return
            for arrival in batch:
                self._acknowledge(arrival)

    def _acknowledge(self, arrival: Arrival) -> None:
        if arrival.qos == 0:
            return
        with self._line:
            if self._connected and arrival.connection == self._connection:
                self._client.ack(arrival.mid, arrival.qos)
                self._counters.add("intake.acks")
            else:
                self._counters.add("intake.acks_void")

    def _on_connect(
        self,
        client: Client,
        _data: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._note(
                f"broker {self._broker.host}:{self._broker.port} refuses us: {reason} "
                "(check mqtt.username, mqtt.password_file and the broker's ACL)"
            )
            return
        served = getattr(properties, "MaximumPacketSize", LETTER_BYTES_MAX)
        self._letter_bytes_max = min(self._letter_bytes_max, served)
        with self._line:
            self._connected = True
        self._counters.add("intake.connections")
        self._log.info("broker.connected", session_kept=flags.session_present)
        client.subscribe([(uplink(self._broker.tenant, leaf), 1) for leaf in LEAVES])

    def _on_subscribe(
        self,
        client: Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._note(f"the broker refuses the subscription: {refused[0]} (check its ACL)")
            client.disconnect()
        else:
            self._note("")

    def _on_disconnect(
        self,
        _client: Client,
        _data: object,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # Before the client can send anything over a next connection: an acknowledgement that waits is void from here on.
        self._hang_up()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as fault:
            topic = repr(fault.object)
        delivery = Delivery(topic, bytes(message.payload), self._clock.now())
        self._inbox.put(
            Arrival(
                delivery,
                message.mid,
                message.qos,
                self._connection,
                readings_in(delivery.payload),
                message.retain,
            )
        )

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._log.warning("broker.away", why=trouble)
        self._trouble = trouble
        self._explained = bool(trouble)


def _leave_to_the_loop(_client: Client, _data: object, _socket: object) -> None:
    """The receiving thread is woken by the client itself."""


def _at_once(_client: Client, _data: object, sock: object) -> None:
    """A receipt is a small packet: Nagle's algorithm would hold it for the other side's acknowledgement, 40 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
