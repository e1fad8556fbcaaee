"""Ward and agent as processes: the agent is killed in the middle of a visit, and the ward lives."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from bleak import BleakClient, BleakScanner

from drivers.sim.world.air import Air
from drivers.sim.world.central import open_radio
from drivers.sim.world.gatt import (
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.peripheral import VirtualPeripheral

BLOOD_PRESSURE = "00001810-0000-1000-8000-00805f9b34fb"
PATIENCE_S = 50.0
CUFF = DeviceDescription(
    address="F0:00:00:00:00:01",
    name="Cuff",
    services=(GattService(0x1810, (GattCharacteristic(0x2A35, frozenset({"indicate"})),)),),
    advertised=(0x1810,),
    advertising_interval_ms=20,
)


class Cuff:
    """Deletes a record on its confirmation; tells each end of a link what is left."""

    def __init__(self) -> None:
        self.records = [b"first", b"second"]
        self.link: CentralLink | None = None
        self.sending = asyncio.Lock()

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link

    async def on_subscribed(self, uuid16: int) -> None:
        assert self.link is not None
        async with self.sending:
            while self.records and await self.link.indicate(uuid16, self.records[0]):
                self.records.pop(0)

    async def on_disconnected(self, reason: int) -> None:
        async with self.sending:
            print(f"end 0x{reason:02x} left", *(r.decode() for r in self.records), flush=True)

    async def read(self, uuid16: int) -> bytes:
        raise NotImplementedError

    async def write(self, uuid16: int, data: bytes) -> None:
        raise NotImplementedError


async def ward() -> None:
    air = Air()
    device = VirtualPeripheral(air, CUFF, Cuff())
    await device.power_on()
    await device.start_advertising()
    async with serve_radio(air) as address:
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await device.close()


async def agent(address: str, *, die: bool) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(_characteristic: object, data: bytearray) -> None:
        print(bytes(data).decode(), flush=True)
        if die:
            # Inside the callback: nothing of ours has run after the record came.
            os.kill(os.getpid(), signal.SIGKILL)
        heard.put_nowait(bytes(data))

    async with open_radio(address):
        device = await BleakScanner.find_device_by_filter(
            lambda _device, _data: True, service_uuids=[BLOOD_PRESSURE], timeout=PATIENCE_S
        )
        assert device is not None
        async with BleakClient(device) as client:
            await client.start_notify("2a35", hear)
            await heard.get()


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    root = str(Path(__file__).parents[2])
    return await asyncio.create_subprocess_exec(
        sys.executable, __file__, *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def test_a_record_confirmed_by_a_killed_agent_is_gone_and_the_next_agent_reads_the_rest() -> (
    None
):
    async with asyncio.timeout(PATIENCE_S):
        ward_process = await _start("ward")
        try:
            address = await _line(ward_process)

            killed = await _start("agent", address, "die")
            heard, _ = await killed.communicate()
            assert killed.returncode == -signal.SIGKILL
            assert heard == b"first\n"
            assert await _line(ward_process) == "end 0x08 left second"

            second = await _start("agent", address)
            heard, _ = await second.communicate()
            assert second.returncode == 0
            assert heard == b"second\n"
            assert await _line(ward_process) == "end 0x13 left"
            assert ward_process.returncode is None
        finally:
            # The ward ends when nobody holds its standard input any more.
            await ward_process.communicate(b"")
    assert ward_process.returncode == 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ward"]:
            asyncio.run(ward())
        case ["agent", where]:
            asyncio.run(agent(where, die=False))
        case ["agent", where, "die"]:
            asyncio.run(agent(where, die=True))
        case unknown:
            sys.exit(f"ward, or agent HOST:PORT [die]; not {unknown}")
