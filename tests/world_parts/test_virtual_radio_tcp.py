"""The cut at HCI over TCP: what the ward's side does with hosts that stall, babble or crowd."""

from __future__ import annotations

import asyncio
import contextlib

from bumble import hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host

from drivers.sim.world.air import Air, AirController
from drivers.sim.world.hci_tcp import HOST_BACKLOG_BYTES_MAX, _AdapterPort, serve_radio

PATIENCE_S = 30.0
RESET = bytes.fromhex("01030c00")
RESET_DONE = bytes.fromhex("040e0401030c00")


class StalledTransport(asyncio.Transport):
    """A socket whose other end reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.held = b""
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.held += bytes(data)

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_host_that_stalls_loses_reports_but_nothing_else() -> None:
    air = Air()
    port = _AdapterPort(air, set(), 1)
    stalled = StalledTransport()
    port.connection_made(stalled)
    report = bytes.fromhex("043e0d0201000001000000 00f000c4")
    port.on_packet(report)
    port.pause_writing()
    port.on_packet(report)
    port.data_received(RESET)
    await turns()
    assert stalled.held == report + RESET_DONE
    port.resume_writing()
    port.on_packet(report)
    assert stalled.held == report + RESET_DONE + report
    port.connection_lost(None)


async def test_a_host_that_stalls_too_long_is_given_up() -> None:
    air = Air()
    port = _AdapterPort(air, set(), 1)
    stalled = StalledTransport()
    port.connection_made(stalled)
    acl = bytes(HOST_BACKLOG_BYTES_MAX // 2)
    port.on_packet(acl)
    port.on_packet(acl)
    assert not stalled.aborted
    port.on_packet(b"\x04")
    assert stalled.aborted
    port.connection_lost(None)
    assert air.controllers == set()


async def test_a_client_that_speaks_no_hci_is_hung_up_on_and_the_ward_lives() -> None:
    async with serve_radio(Air()) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(RESET)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(len(RESET_DONE)) == RESET_DONE
        writer.close()


async def test_each_client_has_an_address_of_its_own_and_gives_it_back() -> None:
    air = Air()

    async def address_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(bytes.fromhex("01091000"))
        async with asyncio.timeout(PATIENCE_S):
            return (await reader.readexactly(13))[:6:-1].hex()

    async with serve_radio(air) as address:
        host, port = address.split(":")
        first = await asyncio.open_connection(host, int(port))
        second = await asyncio.open_connection(host, int(port))
        assert await address_of(*first) == "c0ffee000001"
        assert await address_of(*second) == "c0ffee000002"
        first[1].close()
        async with asyncio.timeout(PATIENCE_S):
            while len(air.controllers) > 1:  # noqa: ASYNC110 - the air has no event for it
                await asyncio.sleep(0.001)
        third = await asyncio.open_connection(host, int(port))
        assert await address_of(*third) == "c0ffee000001"
        second[1].close()
        third[1].close()


async def test_the_links_of_a_client_that_leaves_end_by_timeout() -> None:
    air = Air()
    controller = AirController("cuff", air)
    config = DeviceConfiguration(
        name="cuff", address=hci.Address("F0:00:00:00:00:01"), advertising_interval_min=20
    )
    cuff = Device(config=config, host=Host(controller, controller))
    await cuff.power_on()
    links: asyncio.Queue[object] = asyncio.Queue()
    ends: asyncio.Queue[int] = asyncio.Queue()

    def on_connection(link: object) -> None:
        links.put_nowait(link)
        next(iter(cuff.connections.values())).on("disconnection", ends.put_nowait)

    cuff.on(Device.EVENT_CONNECTION, on_connection)
    async with serve_radio(air) as address:
        host, port = address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        create = hci.HCI_LE_Create_Connection_Command(
            le_scan_interval=16, le_scan_window=16, initiator_filter_policy=0,
            peer_address_type=1, peer_address=hci.Address("F0:00:00:00:00:01"),
            own_address_type=0, connection_interval_min=6, connection_interval_max=6,
            max_latency=0, supervision_timeout=100, min_ce_length=0, max_ce_length=0,
        )  # fmt: skip
        writer.write(bytes(create))
        await cuff.start_advertising()
        async with asyncio.timeout(PATIENCE_S):
            await links.get()
            writer.transport.abort()
            assert await ends.get() == hci.HCI_CONNECTION_TIMEOUT_ERROR
    assert air.controllers == {controller}
