"""Unmodified bleak on the virtual radio: the ward and the agent in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import pytest
from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError

from drivers.sim.world.air import Air
from drivers.sim.world.central import open_radio
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.peripheral import VirtualPeripheral

BLOOD_PRESSURE = "00001810-0000-1000-8000-00805f9b34fb"
PATIENCE_S = 5.0
T = TypeVar("T")
CUFF = DeviceDescription(
    address="F0:00:00:00:00:01",
    name="Cuff 7",
    services=(
        GattService(
            0x1810,
            (
                GattCharacteristic(0x2A35, frozenset({"indicate"})),
                GattCharacteristic(0x2A49, frozenset({"read"})),
            ),
        ),
        GattService(0x1805, (GattCharacteristic(0x2A2B, frozenset({"read", "write"})),)),
        GattService(0x180A, (GattCharacteristic(0x2A29, frozenset({"read"}), b"ACME"),)),
        GattService(0x180F, (GattCharacteristic(0x2A19, frozenset({"read", "notify"})),)),
    ),
    advertised=(0x1810,),
    manufacturer_data={0x0102: b"\x07\x08"},
    advertising_interval_ms=20,
)


class Cuff:
    """A peer that deletes a record when its indication is confirmed."""

    def __init__(self, *records: bytes) -> None:
        self.records = list(records)
        self.reads: dict[int, bytes] = {0x2A49: b"\x0f\x00", 0x2A19: b"\x64"}
        self.written: list[tuple[int, bytes]] = []
        self.ends: asyncio.Queue[int] = asyncio.Queue()
        self.links: asyncio.Queue[CentralLink] = asyncio.Queue()
        self.subscriptions: asyncio.Queue[int] = asyncio.Queue()
        self.outcomes: asyncio.Queue[bool] = asyncio.Queue()
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = asyncio.Event()
        self.link: CentralLink | None = None

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link
        self.links.put_nowait(link)

    async def on_subscribed(self, uuid16: int) -> None:
        self.subscriptions.put_nowait(uuid16)
        assert self.link is not None
        while uuid16 == 0x2A35 and self.records:
            confirmed = await self.link.indicate(uuid16, self.records[0])
            self.outcomes.put_nowait(confirmed)
            if not confirmed:
                return
            self.records.pop(0)

    async def on_disconnected(self, reason: int) -> None:
        self.ends.put_nowait(reason)

    async def read(self, uuid16: int) -> bytes:
        self.asked.set()
        await self.answering.wait()
        if uuid16 not in self.reads:
            raise AttRefusal(0x81)
        return self.reads[uuid16]

    async def write(self, uuid16: int, data: bytes) -> None:
        if len(data) != 10:
            raise AttRefusal(0x80)
        self.written.append((uuid16, data))


@asynccontextmanager
async def on_air(
    air: Air, peer: Cuff, description: DeviceDescription = CUFF
) -> AsyncGenerator[VirtualPeripheral]:
    device = VirtualPeripheral(air, description, peer)
    await device.power_on()
    await device.start_advertising()
    try:
        yield device
    finally:
        await device.close()


@pytest.fixture
async def air() -> Air:
    return Air()


@pytest.fixture
async def address(air: Air) -> AsyncIterator[str]:
    async with serve_radio(air) as address:
        yield address


async def find(uuid: str = BLOOD_PRESSURE, patience_s: float = PATIENCE_S) -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, _data: True, service_uuids=[uuid], timeout=patience_s
    )
    assert device is not None
    return device


async def soon(queue: asyncio.Queue[T]) -> T:
    async with asyncio.timeout(PATIENCE_S):
        return await queue.get()


async def test_a_visit_reads_what_the_cuff_holds_and_the_cuff_forgets_it(
    air: Air, address: str
) -> None:
    peer = Cuff(b"first", b"second")
    async with on_air(air, peer), open_radio(address):
        began_s = time.perf_counter()
        device = await find()
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with BleakClient(device) as client:
            await client.start_notify("2a35", lambda _, data: heard.put_nowait(bytes(data)))
            records = [await soon(heard), await soon(heard)]
            took_s = time.perf_counter() - began_s
            assert [await soon(peer.outcomes), await soon(peer.outcomes)] == [True, True]
        print(f"scan, connect, subscribe, two indications: {took_s * 1000:.0f} ms")
        assert await soon(peer.ends) == 0x13
    assert records == [b"first", b"second"]
    assert peer.records == []
    assert device.name == "Cuff 7"


async def test_an_advertisement_is_read_whole(air: Air, address: str) -> None:
    async with on_air(air, Cuff()), open_radio(address):
        found = await BleakScanner.discover(timeout=0.1, return_adv=True)
    device, data = found["F0:00:00:00:00:01"]
    assert device.address == "F0:00:00:00:00:01"
    assert data.service_uuids == [BLOOD_PRESSURE]
    assert data.manufacturer_data == {0x0102: b"\x07\x08"}
    assert data.local_name == "Cuff 7"
    assert data.rssi == -60


async def test_a_short_service_uuid_finds_nothing_as_with_bluez(air: Air, address: str) -> None:
    async with on_air(air, Cuff()), open_radio(address):
        found = await BleakScanner.discover(timeout=0.1, service_uuids=["1810"])
    assert found == []


async def test_passive_scanning_needs_patterns_and_gets_no_name(air: Air, address: str) -> None:
    async with on_air(air, Cuff()), open_radio(address):
        with pytest.raises(BleakError, match="or_patterns"):
            BleakScanner(scanning_mode="passive")
        scanner = BleakScanner(
            scanning_mode="passive", bluez={"or_patterns": [(0, 0x03, b"\x10\x18")]}
        )
        async with (
            scanner,
            asyncio.timeout(PATIENCE_S),
        ):
            _, data = await anext(scanner.advertisement_data())
    assert (data.local_name, data.service_uuids) == (None, [BLOOD_PRESSURE])


@pytest.mark.parametrize("public", [False, True])
async def test_reads_writes_and_refusals_pass(air: Air, address: str, *, public: bool) -> None:
    peer = Cuff()
    description = replace(CUFF, public=public, address="C0:11:22:33:44:55")
    async with (
        on_air(air, peer, description),
        open_radio(address),
        BleakClient(await find()) as client,
    ):
        assert await client.read_gatt_char("2a49") == b"\x0f\x00"
        assert await client.read_gatt_char("2a29") == b"ACME"
        await client.write_gatt_char("2a2b", b"0123456789", response=True)
        with pytest.raises(BleakGATTProtocolError) as refused_write:
            await client.write_gatt_char("2a2b", b"short", response=True)
        with pytest.raises(BleakGATTProtocolError) as refused_read:
            await client.read_gatt_char("2a2b")
    assert (int(refused_write.value.code), int(refused_read.value.code)) == (0x80, 0x81)
    assert peer.written == [(0x2A2B, b"0123456789")]


async def test_a_notification_goes_to_a_subscriber_only(air: Air, address: str) -> None:
    peer = Cuff()
    async with on_air(air, peer) as cuff, open_radio(address):
        assert not await cuff.notify(0x2A19, b"\x01")
        async with BleakClient(await find()) as client:
            assert not await cuff.notify(0x2A19, b"\x02")
            heard: asyncio.Queue[bytes] = asyncio.Queue()
            await client.start_notify("2a19", lambda _, data: heard.put_nowait(bytes(data)))
            assert await cuff.notify(0x2A19, b"\x03")
            assert await soon(heard) == b"\x03"
            with pytest.raises(BleakError, match="already started"):
                await client.start_notify("2a19", lambda _, _data: None)
            await client.stop_notify("2a19")
            assert not await cuff.notify(0x2A19, b"\x04")


async def test_what_is_confirmed_while_a_client_unsubscribes_is_heard(
    air: Air, address: str
) -> None:
    heard: list[bytes] = []
    confirmed: list[bytes] = []

    async def indicate(cuff: VirtualPeripheral, value: bytes) -> None:
        if await cuff.indicate(0x2A35, value):
            confirmed.append(value)

    async with (
        on_air(air, Cuff()) as cuff,
        open_radio(address),
        BleakClient(await find()) as client,
    ):
        for turns in range(30):
            await client.start_notify("2a35", lambda _, data: heard.append(bytes(data)))
            indicating = asyncio.create_task(indicate(cuff, bytes([turns])))
            for _ in range(turns):
                await asyncio.sleep(0)
            await client.stop_notify("2a35")
            await indicating

    assert heard == confirmed != []


async def test_an_indication_without_a_subscription_is_no_confirmation(
    air: Air, address: str
) -> None:
    async with on_air(air, Cuff()) as cuff, open_radio(address):
        assert not await cuff.indicate(0x2A35, b"nobody")
        async with BleakClient(await find()):
            assert not await cuff.indicate(0x2A35, b"not subscribed")


async def test_a_value_that_the_mtu_would_cut_is_refused(air: Air, address: str) -> None:
    peer = Cuff()
    async with (
        on_air(air, peer) as cuff,
        open_radio(address),
        BleakClient(await find()) as client,
    ):
        await client.start_notify("2a35", lambda _, _data: None)
        with pytest.raises(ValueError, match="600 bytes"):
            await cuff.indicate(0x2A35, bytes(600))


async def test_a_link_that_dies_before_the_confirmation_keeps_the_record(
    air: Air, address: str
) -> None:
    peer = Cuff()
    async with on_air(air, peer) as cuff, open_radio(address):
        lost = asyncio.Event()
        client = BleakClient(await find(), disconnected_callback=lambda _: lost.set())
        await client.connect()
        await client.start_notify("2a35", lambda _, _data: None)
        assert await soon(peer.subscriptions) == 0x2A35
        indicating = asyncio.create_task(cuff.indicate(0x2A35, b"record"))
        await asyncio.sleep(0)
        cuff.lose_link()
        async with asyncio.timeout(PATIENCE_S):
            assert not await indicating
            await lost.wait()
        assert await soon(peer.ends) == 0x08
        assert not client.is_connected


async def test_a_confirmation_that_came_just_before_the_end_counts(air: Air, address: str) -> None:
    peer = Cuff()
    async with on_air(air, peer) as cuff, open_radio(address):
        client = BleakClient(await find())
        await client.connect()
        # The link dies in the same turn of the loop in which the confirmation arrives.
        server = cuff._device.gatt_server
        arrive = server.on_att_handle_value_confirmation

        def confirmed_and_gone(*arguments: object) -> None:
            arrive(*arguments)
            cuff.lose_link()

        setattr(server, "on_att_handle_value_confirmation", confirmed_and_gone)  # noqa: B010
        await client.start_notify("2a35", lambda _, _data: None)
        async with asyncio.timeout(PATIENCE_S):
            assert await cuff.indicate(0x2A35, b"record")
        assert await soon(peer.ends) == 0x08


async def test_a_read_in_flight_fails_when_the_link_dies(air: Air, address: str) -> None:
    peer = Cuff()
    async with on_air(air, peer) as cuff, open_radio(address):
        client = BleakClient(await find())
        await client.connect()
        peer.answering.clear()
        reading = asyncio.create_task(client.read_gatt_char("2a49"))
        async with asyncio.timeout(PATIENCE_S):
            await peer.asked.wait()
            cuff.lose_link()
            with pytest.raises(BleakError, match="disconnected"):
                await reading
        with pytest.raises(BleakError, match="Service Discovery has not been performed"):
            await client.read_gatt_char("2a49")
        peer.answering.set()


async def test_a_cancelled_read_is_cancelled_and_not_a_lost_link(air: Air, address: str) -> None:
    peer = Cuff()
    async with on_air(air, peer), open_radio(address), BleakClient(await find()) as client:
        peer.answering.clear()
        reading = asyncio.create_task(client.read_gatt_char("2a49"))
        async with asyncio.timeout(PATIENCE_S):
            await peer.asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert client.is_connected
        peer.answering.set()


async def test_the_device_hangs_up_and_can_be_visited_again(air: Air, address: str) -> None:
    peer = Cuff()
    async with on_air(air, peer) as cuff, open_radio(address):
        device = await find()
        gone = asyncio.Event()
        client = BleakClient(device, disconnected_callback=lambda _: gone.set())
        await client.connect()
        await cuff.hang_up()
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
        assert await soon(peer.ends) == 0x16
        async with BleakClient(device) as again:
            assert await again.read_gatt_char("2a29") == b"ACME"


async def test_a_device_out_of_range_times_out_and_is_found_when_it_returns(
    air: Air, address: str
) -> None:
    async with on_air(air, Cuff()) as cuff, open_radio(address):
        device = await find()
        cuff.set_in_range(False)
        with pytest.raises(TimeoutError):
            await BleakClient(device, timeout=0.1).connect()
        with pytest.raises(BleakDeviceNotFoundError):
            await BleakClient("F0:00:00:00:00:99", timeout=0.1).connect()
        cuff.set_in_range(True)
        async with BleakClient(device) as client:
            assert client.is_connected


async def test_an_absent_device_does_not_keep_the_radio_from_another(
    air: Air, address: str
) -> None:
    other = replace(CUFF, address="F0:00:00:00:00:02", advertised=(0x1808,))
    async with on_air(air, Cuff()) as absent, on_air(air, Cuff(), other), open_radio(address):
        device, present = await find(), await find("00001808-0000-1000-8000-00805f9b34fb")
        absent.set_in_range(False)
        with pytest.raises(TimeoutError):
            await BleakClient(device, timeout=0.1).connect()
        async with BleakClient(present, timeout=PATIENCE_S) as client:
            assert client.is_connected


async def test_a_device_told_to_stop_is_silent_until_told_to_start(air: Air, address: str) -> None:
    async with on_air(air, Cuff()) as cuff, open_radio(address):
        client = BleakClient(await find())
        await client.connect()
        await cuff.stop_advertising()
        await client.disconnect()
        assert await BleakScanner.discover(timeout=0.1) == []
        await cuff.start_advertising()
        await find()


async def test_two_devices_are_visited_at_once(air: Air, address: str) -> None:
    other = replace(CUFF, address="F0:00:00:00:00:02", advertised=(0x1808,))
    async with on_air(air, Cuff()), on_air(air, Cuff(), other), open_radio(address):
        one, two = await find(), await find("00001808-0000-1000-8000-00805f9b34fb")
        first, second = BleakClient(one), BleakClient(two)
        await asyncio.gather(first.connect(), second.connect())
        values = await asyncio.gather(first.read_gatt_char("2a29"), second.read_gatt_char("2a29"))
        await asyncio.gather(first.disconnect(), second.disconnect())
    assert values == [b"ACME", b"ACME"]


async def test_leaving_the_air_tells_the_peer_and_leaves_no_task(air: Air, address: str) -> None:
    peer = Cuff()
    async with open_radio(address):
        async with on_air(air, peer) as cuff:
            client = BleakClient(await find())
            await client.connect()
            await soon(peer.links)
        assert peer.ends.get_nowait() == 0x08
        assert cuff._tasks == set()
        await client.disconnect()
