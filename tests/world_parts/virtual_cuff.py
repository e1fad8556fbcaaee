"""A cuff on the virtual radio, as tests put it on the air and find it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

from bleak import BleakScanner
from bleak.backends.device import BLEDevice

from drivers.sim.world.air import Air
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral

BLOOD_PRESSURE = "00001810-0000-1000-8000-00805f9b34fb"
PATIENCE_S = 30.0
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


async def find(uuid: str = BLOOD_PRESSURE, patience_s: float = PATIENCE_S) -> BLEDevice:
    device = await BleakScanner.find_device_by_filter(
        lambda _device, _data: True, service_uuids=[uuid], timeout=patience_s
    )
    assert device is not None
    return device


async def soon(queue: asyncio.Queue[T]) -> T:
    async with asyncio.timeout(PATIENCE_S):
        return await queue.get()
