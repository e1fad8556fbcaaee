"""What the tests over org.bluez share: a ward of one, its records, and a bus that plain bleak takes for the system's."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bleak import BleakScanner
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.device import BLEDevice

from drivers.sim.world.air import Air
from drivers.sim.world.bluez.serve import serve_bluez
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral

NEEDS_DBUS = pytest.mark.skipif(
    shutil.which("dbus-daemon") is None,
    reason="dbus-daemon IS NOT INSTALLED: NOTHING OVER BLUEZ WAS TESTED (Debian: apt-get install dbus)",
)
PATIENCE_S = 50.0
BLOOD_PRESSURE = "00001810-0000-1000-8000-00805f9b34fb"
MEASUREMENT, FEATURE = "2a35", "2a49"


@dataclass
class Cuff:
    """Tells a record after the other and deletes what was confirmed; `gate` lets the next one go."""

    records: list[bytes]
    ends: asyncio.Queue[int] = field(default_factory=asyncio.Queue[int])
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1_000))
    deleted: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue[bytes])
    link: CentralLink | None = None
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link

    async def on_subscribed(self, uuid16: int) -> None:
        link = self.link
        assert link is not None
        async with self.telling:
            while self.records and link.alive:
                await self.gate.acquire()
                if not await link.indicate(uuid16, self.records[0]):
                    return
                self.deleted.put_nowait(self.records.pop(0))

    async def on_disconnected(self, reason: int) -> None:
        self.gate.release()
        self.ends.put_nowait(reason)

    async def read(self, uuid16: int) -> bytes:  # noqa: ARG002
        raise AttRefusal(0x02)

    async def write(self, uuid16: int, data: bytes) -> None:  # noqa: ARG002
        raise AttRefusal(0x03)


def described(
    number: int = 1, *, secure: bool = False, passkey: int | None = None
) -> DeviceDescription:
    measuring = GattService(
        0x1810,
        (
            GattCharacteristic(0x2A35, frozenset({"indicate"})),
            GattCharacteristic(0x2A49, frozenset({"read"}), b"\x04\x00"),
        ),
    )
    return DeviceDescription(
        address=f"F0:00:00:00:00:{number:02X}",
        name=f"Cuff {number}",
        services=(measuring,),
        advertised=(0x1810,),
        secure=secure,
        passkey=passkey,
        advertising_interval_ms=20,
    )


@dataclass
class Bluez:
    """The open facade: its air, its bus."""

    air: Air
    address: str
    _devices: list[VirtualPeripheral] = field(default_factory=list[VirtualPeripheral])

    async def put(self, description: DeviceDescription, cuff: Cuff) -> VirtualPeripheral:
        """A device on the air, advertising."""
        device = VirtualPeripheral(self.air, description, cuff)
        self._devices.append(device)
        await device.power_on()
        await device.start_advertising()
        return device

    async def close(self) -> None:
        for device in self._devices:
            await device.close()


@asynccontextmanager
async def bluez(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bluez]:
    """Serve org.bluez; bleak in this process takes its bus for the system's."""
    air = Air()
    async with serve_bluez(air, folder / "bluez") as address:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        opened = Bluez(air, address)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield opened
        finally:
            await opened.close()
            await part_from_bleak()


async def part_from_bleak() -> None:
    """Bleak keeps its bus for as long as the loop lives, and tells of its end in a log line only."""
    manager = await get_global_bluez_manager()
    bus = manager._bus
    assert bus is not None
    bus.disconnect()
    if manager._bus_watcher_task is not None:
        await asyncio.wait({manager._bus_watcher_task})


async def found(address: str = "F0:00:00:00:00:01") -> BLEDevice:
    device = await BleakScanner.find_device_by_address(address, timeout=PATIENCE_S)
    assert device is not None
    return device
