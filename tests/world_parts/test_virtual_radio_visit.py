"""Unmodified bleak on the virtual radio: what is advertised, read, written, notified and confirmed. The ward and the agent in one process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError, BleakGATTProtocolError

from drivers.sim.world.air import DEFAULT_RSSI_DBM, FADE_DB, Air
from drivers.sim.world.central import open_radio
from drivers.sim.world.peripheral import VirtualPeripheral
from tests.world_parts.virtual_cuff import (
    BLOOD_PRESSURE,
    CUFF,
    PATIENCE_S,
    Cuff,
    find,
    on_air,
    soon,
)


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
    async with (
        on_air(air, Cuff()),
        open_radio(address),
        BleakScanner() as scanner,
        asyncio.timeout(PATIENCE_S),
    ):
        device, data = await anext(scanner.advertisement_data())
    assert device.address == "F0:00:00:00:00:01"
    assert data.service_uuids == [BLOOD_PRESSURE]
    assert data.manufacturer_data == {0x0102: b"\x07\x08"}
    assert data.local_name == "Cuff 7"
    assert data.rssi in (DEFAULT_RSSI_DBM, DEFAULT_RSSI_DBM - FADE_DB)


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
