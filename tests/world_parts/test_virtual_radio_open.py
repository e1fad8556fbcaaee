"""Opening the virtual radio, losing it, and pairing over it: ward and agent in one process."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import bleak
import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.client import get_platform_client_backend_type
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDBusError, BleakError

from drivers.sim.world.air import Air
from drivers.sim.world.central import open_radio
from drivers.sim.world.gatt import CentralLink, DeviceDescription, GattCharacteristic, GattService
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.peripheral import VirtualPeripheral

PATIENCE_S = 30.0
CUFF = DeviceDescription(
    address="F0:00:00:00:00:01",
    name="Cuff 7",
    services=(
        GattService(
            0x1810,
            (
                GattCharacteristic(0x2A35, frozenset({"indicate"})),
                GattCharacteristic(0x2A49, frozenset({"read"}), b"\x0f\x00"),
            ),
        ),
        GattService(0x180A, (GattCharacteristic(0x2A29, frozenset({"read"}), b"ACME"),)),
    ),
    advertised=(0x1810,),
    advertising_interval_ms=20,
)


class Cuff:
    """A peer that indicates one record to each subscriber."""

    def __init__(self) -> None:
        self.link: CentralLink | None = None

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link

    async def on_subscribed(self, uuid16: int) -> None:
        assert self.link is not None
        await self.link.indicate(uuid16, b"record")

    async def on_disconnected(self, reason: int) -> None:
        assert reason != 0
        self.link = None

    async def read(self, uuid16: int) -> bytes:
        raise NotImplementedError

    async def write(self, uuid16: int, data: bytes) -> None:
        raise NotImplementedError


@asynccontextmanager
async def on_air(
    air: Air, description: DeviceDescription = CUFF
) -> AsyncGenerator[VirtualPeripheral]:
    device = VirtualPeripheral(air, description, Cuff())
    await device.power_on()
    await device.start_advertising()
    try:
        yield device
    finally:
        await device.close()


async def find() -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, _data: True, timeout=PATIENCE_S
    )
    assert device is not None
    return device


async def test_the_wards_death_is_a_bleak_error_and_a_new_radio_can_be_opened(air: Air) -> None:
    async with on_air(air):
        ward = serve_radio(air)
        address = await ward.__aenter__()
        async with open_radio(address):
            device = await find()
            lost = asyncio.Event()
            client = BleakClient(device, disconnected_callback=lambda _: lost.set())
            await client.connect()
            await ward.__aexit__(None, None, None)
            async with asyncio.timeout(PATIENCE_S):
                await lost.wait()
            assert not client.is_connected
            for call in (
                BleakScanner().start,
                BleakClient(device).connect,
                lambda: client.read_gatt_char("2a49"),
            ):
                with pytest.raises(BleakError):
                    await call()
            await client.disconnect()
        async with (
            serve_radio(air) as again,
            open_radio(again),
            BleakClient(await find()) as client,
        ):
            assert await client.read_gatt_char("2a29") == b"ACME"


async def test_the_wards_death_ends_a_connect_and_a_scan_that_wait(air: Air) -> None:
    async with on_air(air) as cuff:
        ward = serve_radio(air)
        address = await ward.__aenter__()
        async with open_radio(address):
            device = await find()
            cuff.set_in_range(False)
            scanner = BleakScanner()
            await scanner.start()
            connecting = asyncio.create_task(BleakClient(device, timeout=PATIENCE_S).connect())
            await asyncio.sleep(0.05)
            await ward.__aexit__(None, None, None)
            with pytest.raises(BleakError, match="is gone"):
                await connecting
            with pytest.raises(BleakError, match="is gone"):
                await scanner.stop()


async def test_a_radio_that_is_not_there_is_named() -> None:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError, match=f"radio at 127.0.0.1:{port} can't be reached"):
        async with open_radio(f"127.0.0.1:{port}"):
            pass
    with pytest.raises(ValueError, match="HOST:PORT, not 'hci0'"):
        async with open_radio("hci0"):
            pass


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.6\r\n"])
async def test_what_is_no_radio_is_named(greeting: bytes) -> None:
    def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BleakError, match=f"127.0.0.1:{port}.*no virtual radio"):
            async with open_radio(f"127.0.0.1:{port}"):
                pass


async def test_bleak_has_its_platform_back_afterwards_and_no_name_is_forgotten(
    address: str,
) -> None:
    def holders() -> set[object]:
        names = ("get_platform_scanner_backend_type", "get_platform_client_backend_type")
        modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "bleak"]
        return {getattr(m, n) for m in modules for n in names if hasattr(m, n)}

    stock = holders()
    async with open_radio(address):
        assert holders().isdisjoint(stock)
        assert BleakScanner().backend_id == f"the virtual radio at {address}"
        with pytest.raises(BleakError, match="has a virtual radio open already"):
            async with open_radio(address):
                pass
    assert holders() == stock
    assert bleak.get_platform_client_backend_type is get_platform_client_backend_type


async def test_a_protected_device_is_paired_on_the_first_read(air: Air, address: str) -> None:
    async with on_air(air, replace(CUFF, secure=True)), open_radio(address):
        device = await find()
        async with BleakClient(device) as client:
            assert await client.read_gatt_char("2a29") == b"ACME"
            assert await client.read_gatt_char("2a49") == b"\x0f\x00"
        async with BleakClient(device) as bonded:
            heard: asyncio.Queue[bytes] = asyncio.Queue()
            await bonded.start_notify("2a35", lambda _, data: heard.put_nowait(bytes(data)))
            assert await asyncio.wait_for(heard.get(), PATIENCE_S) == b"record"


async def test_a_passkey_that_is_right_pairs(air: Air, address: str) -> None:
    description = replace(CUFF, secure=True, passkey=123456)
    async with on_air(air, description) as cuff:

        async def look() -> int:
            async with asyncio.timeout(PATIENCE_S):
                while not cuff.displayed:  # noqa: ASYNC110 - a person looks, too
                    await asyncio.sleep(0.005)
            return int(cuff.displayed[-1])

        async with (
            open_radio(address, ask_passkey=look),
            BleakClient(await find()) as client,
        ):
            assert await client.read_gatt_char("2a49") == b"\x0f\x00"
        assert cuff.displayed == ["123456"]


@pytest.mark.parametrize("answer", [None, 654321])
async def test_a_passkey_that_is_wrong_or_missing_pairs_not(
    air: Air, address: str, answer: int | None
) -> None:
    async def guess() -> int | None:
        return answer

    async with (
        on_air(air, replace(CUFF, secure=True, passkey=123456)),
        open_radio(address, ask_passkey=guess),
    ):
        device = await find()
        for protected in (
            lambda client: client.read_gatt_char("2a49"),
            lambda client: client.start_notify("2a35", lambda _, _data: None),
        ):
            client = BleakClient(device)
            await client.connect()
            with pytest.raises(BleakError):
                await protected(client)
            await client.disconnect()


async def test_a_passkey_device_refuses_just_works(air: Air, address: str) -> None:
    description = replace(CUFF, secure=True, passkey=123456)
    async with on_air(air, description), open_radio(address):
        gone = asyncio.Event()
        client = BleakClient(await find(), disconnected_callback=lambda _: gone.set())
        await client.connect()
        # The stacks agree on Just Works; then the device hangs up, as a real one does.
        with contextlib.suppress(BleakError):
            await client.pair()
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
        again = BleakClient(await find())
        with pytest.raises(BleakError):
            await again.connect()


async def test_a_bond_that_the_device_has_lost_fails_as_on_bluez_until_unpaired(
    air: Air, address: str
) -> None:
    async with on_air(air, replace(CUFF, secure=True)) as cuff, open_radio(address):
        device = await find()
        async with BleakClient(device) as client:
            await client.pair()
        await cuff.forget_bonds()
        with pytest.raises(BleakDBusError, match="br-connection-canceled"):
            await BleakClient(device).connect()
        await BleakClient(device).unpair()
        async with BleakClient(device) as client:
            assert await client.read_gatt_char("2a49") == b"\x0f\x00"


async def test_a_kept_bond_needs_no_pairing_when_the_agent_comes_back(
    air: Air, address: str, tmp_path: Path
) -> None:
    bonds = tmp_path / "bonds.json"
    asked: list[str] = []

    async with on_air(air, replace(CUFF, secure=True, passkey=123456)) as cuff:

        async def look() -> int:
            asked.append("passkey")
            return 123456

        for _ in range(2):
            async with (
                open_radio(address, ask_passkey=look, bonds=bonds),
                BleakClient(await find()) as client,
            ):
                assert await client.read_gatt_char("2a49") == b"\x0f\x00"
        assert (asked, len(cuff.displayed)) == (["passkey"], 1)
