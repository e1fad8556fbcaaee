"""`python -m tests.bluez_vm.play vhci|stand-in FOLDER PATIENCE short|all`: the questions, then the stories; answers and times go to FOLDER.

With `vhci` this runs inside the Bluetooth machine, whose bluetoothd serves the system's bus; with `stand-in` anywhere.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
from bumble import hci
from bumble.transport import open_transport
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.air import Air, AirController
from drivers.sim.world.bluez.serve import ADAPTER_ADDRESS, serve_bluez
from tests.bluez_vm import scenario
from tests.bluez_vm.bonds import Bonds
from tests.bluez_vm.discovery import begun_at_once
from tests.bluez_vm.house import house
from tests.bluez_vm.questions import Questions

POWER_S_MAX = 60.0
KEPT_BY_BLUEZ = Path("/var/lib/bluetooth") / ADAPTER_ADDRESS


async def main(where: str, folder: Path, patience_s: float, *, at_length: bool) -> None:
    """Play it all on one air."""
    air = Air()
    began_s = time.monotonic()
    async with _stand_in(air, folder) if where == "stand-in" else _vhci(air):
        print(f"[{time.monotonic() - began_s:6.1f}] BlueZ is there", flush=True)
        asked_s = time.monotonic()
        found = {
            "discovery, begun at one moment": await begun_at_once(),
            **await Questions(air).all(),
        }
        (folder / "answers.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        took = {"until BlueZ was there": asked_s - began_s, "questions": time.monotonic() - asked_s}
        bonds = None if where == "stand-in" else Bonds(KEPT_BY_BLUEZ)
        async with house(air, folder, patience_s, bonds) as there:
            took |= await scenario.act(there, at_length=at_length)
        (folder / "times.json").write_bytes(msgspec.json.encode(took))


@contextlib.asynccontextmanager
async def _stand_in(air: Air, folder: Path) -> AsyncGenerator[None]:
    async with serve_bluez(air, folder / "bluez") as address:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = address
        yield


@contextlib.asynccontextmanager
async def _vhci(air: Air) -> AsyncGenerator[None]:
    """A radio for this machine's kernel, whose other end is on our air; up when bluetoothd has powered it."""
    async with await open_transport("vhci") as transport:
        address = hci.Address(ADAPTER_ADDRESS, hci.Address.PUBLIC_DEVICE_ADDRESS)
        controller = AirController("vhci", air, public_address=address)
        controller.set_packet_sink(transport.sink)
        transport.source.set_packet_sink(controller)
        bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
        async with asyncio.timeout(POWER_S_MAX):
            while not await _powered(bus):  # noqa: ASYNC110 another process is looked at
                await asyncio.sleep(0.2)
        bus.disconnect()
        yield


async def _powered(bus: MessageBus) -> bool:
    answer = await bus.call(
        Message(
            destination="org.bluez", path="/org/bluez/hci0", member="Get", signature="ss",
            interface="org.freedesktop.DBus.Properties", body=["org.bluez.Adapter1", "Powered"],
        )
    )  # fmt: skip
    return answer.message_type is MessageType.METHOD_RETURN and bool(answer.body[0].value)


if __name__ == "__main__":
    _, where, folder, patience, stories = sys.argv
    asyncio.run(main(where, Path(folder), float(patience), at_length=stories == "all"))
