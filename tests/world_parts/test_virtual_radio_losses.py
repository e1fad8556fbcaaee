"""Unmodified bleak on the virtual radio: links that die, devices that hang up, walk off or fall silent, reads that are cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakDeviceNotFoundError, BleakError

from drivers.sim.world.air import Air
from drivers.sim.world.central import open_radio
from drivers.sim.world.gatt import CentralLink
from tests.world_parts.virtual_cuff import CUFF, PATIENCE_S, Cuff, find, on_air, soon


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


class Shy(Cuff):
    """Hangs up as soon as somebody connects."""

    async def on_connected(self, link: CentralLink) -> None:
        await super().on_connected(link)
        await link.hang_up()


async def test_a_device_that_hangs_up_at_once_is_an_error_and_no_wait(
    air: Air, address: str
) -> None:
    peer = Shy()
    async with on_air(air, peer), open_radio(address):
        device = await find()
        for _ in range(5):
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(BleakError):
                    await BleakClient(device).connect()
                await peer.ends.get()
