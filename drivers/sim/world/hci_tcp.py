"""The cut between ward and agent: HCI packets (H4) over TCP, as a USB radio is cut from its host.

The ward's side owns the controller, so that an agent may die in the middle of a visit and the
air lives on; the agent's side owns a host only. May know neither devices nor bleak.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from bumble import hci
from bumble.core import InvalidPacketError
from bumble.transport.common import PacketParser, TransportSink

from drivers.sim.world.air import Air, AirController

ADAPTERS_MAX = 64
HOST_BACKLOG_BYTES_MAX = 1 << 20
"""What the ward keeps for a host that does not read, before it gives the host up."""

FAREWELL_S_MAX = 2.0

_ADAPTER_ADDRESS = "C0:FF:EE:00:00:{:02X}"
_LE_META_EVENT = bytes((hci.HCI_EVENT_PACKET, hci.HCI_LE_META_EVENT))
_REPORT_SUBEVENT = 0x02

logger = logging.getLogger(__name__)


class _AdapterPort(asyncio.Protocol):
    """The ward's end of one connection: a controller that lives as long as the connection."""

    def __init__(self, air: Air, ports: set[_AdapterPort], number: int) -> None:
        self.number = number
        self._air = air
        self._ports = ports
        self._transport: asyncio.Transport | None = None
        self._choked = False
        self._controller: AirController | None = None
        self._parser = PacketParser()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address = hci.Address(
            _ADAPTER_ADDRESS.format(self.number), hci.Address.PUBLIC_DEVICE_ADDRESS
        )
        self._controller = AirController(
            f"adapter {self.number}", self._air, public_address=address
        )
        self._controller.set_packet_sink(self)
        self._parser.set_packet_sink(self._controller)

    def data_received(self, data: bytes) -> None:
        # Not a StreamReader: it forgets what it holds when a killed agent's socket is reset, and
        # with it the confirmation that the agent had sent.
        try:
            self._parser.feed_data(data)
        except InvalidPacketError as fault:
            logger.warning("adapter %d hears no HCI (%s); hanging up", self.number, fault)
            self.abort()

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False

    def on_packet(self, packet: bytes) -> None:
        """Send what the controller tells its host; part of bumble's sink protocol."""
        if self._transport is None or self._transport.is_closing():
            return
        # A real controller too drops advertising reports that its host does not fetch.
        if self._choked and packet[:2] == _LE_META_EVENT and packet[3] == _REPORT_SUBEVENT:
            return
        self._transport.write(packet)
        backlog = self._transport.get_write_buffer_size()
        if backlog > HOST_BACKLOG_BYTES_MAX:
            logger.warning(
                "adapter %d: its host left %d bytes unread, the limit is %d; hanging up",
                self.number, backlog, HOST_BACKLOG_BYTES_MAX,
            )  # fmt: skip
            self.abort()

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        logger.debug("adapter %d is unplugged: %s", self.number, exc or "closed")
        self._ports.discard(self)
        if self._controller is not None:
            self._air.remove_controller(self._controller)
            self._controller = None


@asynccontextmanager
async def serve_radio(air: Air, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Give every client that connects a controller of its own on `air`; yields "HOST:PORT".

    When a client's connection ends, its links end with reason 0x08 and its controller is gone.
    The lowest free adapter number is given out, so an agent that comes back has its old address.
    """
    ports: set[_AdapterPort] = set()

    def plug_in() -> asyncio.Protocol:
        taken = {port.number for port in ports}
        free = next((n for n in range(1, ADAPTERS_MAX + 1) if n not in taken), None)
        if free is None:
            logger.warning("an agent was turned away: all %d adapters are taken", ADAPTERS_MAX)
            return _Refusal()
        adapter = _AdapterPort(air, ports, free)
        ports.add(adapter)
        return adapter

    server = await asyncio.get_running_loop().create_server(plug_in, host, port)
    try:
        bound_host, bound_port = server.sockets[0].getsockname()[:2]
        yield f"{bound_host}:{bound_port}"
    finally:
        server.close()
        for adapter in list(ports):
            adapter.abort()
        await server.wait_closed()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class HostPipe(asyncio.Protocol):
    """The agent's end: bumble's packet source and packet sink in one."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self.terminated: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_lost = on_lost
        self._parser = PacketParser()
        self._transport: asyncio.Transport | None = None

    def set_packet_sink(self, sink: TransportSink) -> None:
        """Say who gets the packets; part of bumble's source protocol."""
        self._parser.set_packet_sink(sink)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write; called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand packets on; called by asyncio."""
        try:
            self._parser.feed_data(data)
        except InvalidPacketError as fault:
            logger.warning("what answers is no virtual radio: %s", fault)
            self.close()

    def on_packet(self, packet: bytes) -> None:
        """Send a packet to the controller; raises ConnectionError when the radio is gone."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection to the virtual radio is gone")
        self._transport.write(packet)

    def close(self) -> None:
        """Cut the connection; the ward drops the links of this agent's controller."""
        if self._transport is not None:
            self._transport.abort()

    async def leave(self) -> None:
        """Close, and wait until the ward has taken this agent's adapter off the air.

        Whoever comes next then gets the same adapter address, and with it keeps its bonds.
        """
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()
            await asyncio.wait({self.terminated}, timeout=FAREWELL_S_MAX)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the radio is gone; called by asyncio."""
        logger.debug("the virtual radio is gone: %s", exc or "closed")
        if not self.terminated.done():
            self.terminated.set_result(None)
        self._on_lost()


async def connect_radio(host: str, port: int, on_lost: Callable[[], None]) -> HostPipe:
    """Connect to a ward. Raises OSError; calls `on_lost` once when the connection ends."""
    loop = asyncio.get_running_loop()
    _, pipe = await loop.create_connection(lambda: HostPipe(on_lost), host, port)
    return pipe
