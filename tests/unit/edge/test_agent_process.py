"""The agent as a process: reads a virtual cuff and a meter's port, says how it stands, dies and comes back, ends cleanly."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from demo.processes import free_port
from drivers.gatt.blood_pressure.codec import Measurement, encode_measurement
from drivers.sim.world.air import Air
from drivers.sim.world.gatt import CentralLink, DeviceDescription, GattCharacteristic, GattService
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.peripheral import VirtualPeripheral

ADDRESS = "C0:00:00:00:00:01"
PATIENCE_S = 75.0
CUFF = DeviceDescription(
    address=ADDRESS,
    name="Cuff",
    services=(
        GattService(0x1810, (GattCharacteristic(0x2A35, frozenset({"indicate"})),)),
        GattService(0x180A, (GattCharacteristic(0x2A25, frozenset({"read"}), b"VC-77"),)),
    ),
    advertised=(0x1810,),
    advertising_interval_ms=20,
)


class Cuff:
    """Deletes a record when its indication is confirmed, and hangs up when it has told all."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.link: CentralLink | None = None

    def measure(self, systolic: int) -> None:
        told = Measurement("mmHg", Decimal(systolic), Decimal(80), Decimal(93))
        self.records.append(encode_measurement(told))

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link

    async def on_subscribed(self, uuid16: int) -> None:
        assert self.link is not None
        while self.records:
            if not await self.link.indicate(uuid16, self.records[0]):
                return
            self.records.pop(0)
        await self.link.hang_up()

    async def on_disconnected(self, reason: int) -> None:
        assert reason

    async def read(self, uuid16: int) -> bytes:
        raise AssertionError(uuid16)

    async def write(self, uuid16: int, data: bytes) -> None:
        raise AssertionError((uuid16, data))


class Home:
    """A box's settings file and its processes."""

    def __init__(self, file: Path, stack: AsyncExitStack) -> None:
        self.file, self._stack = file, stack

    async def start(self) -> asyncio.subprocess.Process:
        process = await self._vitalgate("run")
        self._stack.push_async_callback(end, process)
        return process

    async def status(self) -> dict[str, Any]:
        process = await self._vitalgate("status", "--json")
        told, _ = await process.communicate()
        return json.loads(told) if process.returncode == 0 else {}

    async def until(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The status, once it is as wanted."""
        told: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not told or not wanted(told):
                    told = await self.status()
        except TimeoutError:
            raise AssertionError(f"the last status was {told}") from None
        return told

    async def _vitalgate(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from gateway.cli import main; main()", "edge", *arguments),
            *("--settings", str(self.file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.communicate()


@pytest.fixture
async def cuff() -> Cuff:
    return Cuff()


@pytest.fixture
async def home(tmp_path: Path, cuff: Cuff) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        air = Air()
        radio = await stack.enter_async_context(serve_radio(air))
        device = VirtualPeripheral(air, CUFF, cuff)
        await device.power_on()
        stack.push_async_callback(device.close)
        await device.start_advertising()
        file = tmp_path / "box.toml"
        file.write_text(
            f'agent = "box-1"\ntenant = "demo"\ndata_dir = "data"\nzone = "UTC"\n'
            f"[mqtt]\nport = {free_port()}\n"
            f'[radio]\nname = "hci-tcp"\naddress = "{radio}"\n'
            f'[[device]]\nprofile = "generic/blood-pressure"\naddress = "{ADDRESS}"\n'
            f'[[device]]\nprofile = "lifescan/onetouch-ultra2"\nport = "{tmp_path}/absent"\n'
        )
        yield Home(file, stack)


@pytest.mark.slow(15)
@pytest.mark.timeout(240)
async def test_an_agent_reads_says_what_is_wrong_survives_a_kill_and_ends_cleanly(
    home: Home, cuff: Cuff
) -> None:
    cuff.measure(120)
    agent = await home.start()
    told = await home.until(
        lambda told: (
            told["issued"] == 1
            and told["devices"][0]["last_heard"]
            and told["devices"][1]["trouble"]
            and told["window_ms"]["count"]
        )
    )
    assert not told["connected"]
    assert told["pending"] == 1
    cuff_line, meter_line = told["devices"]
    assert (cuff_line["serial"], cuff_line["readings"]) == ("VC-77", 1)
    assert "absent" in meter_line["trouble"]
    assert any("broker at 127.0.0.1" in sentence for sentence in told["words"])
    assert told["window_ms"]["count"] >= 1

    second = await home.start()
    assert await second.wait() == 75
    assert second.stderr is not None
    assert "open" in (await second.stderr.read()).decode()

    agent.kill()
    await agent.wait()
    cuff.measure(130)
    again = await home.start()
    told = await home.until(lambda told: told["issued"] == 2)
    again.send_signal(signal.SIGTERM)
    assert await again.wait() == 0
    told = await home.status()
    assert not told["running"]
    assert told["pending"] == 2
    assert cuff.records == []
    key = home.file.parent / "data" / "tenant.key"
    assert os.stat(key).st_mode & 0o777 == 0o600  # noqa: PTH116 the mode is the point
