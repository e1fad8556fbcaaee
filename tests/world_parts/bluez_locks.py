"""A cuff that wants a bond, on the stand-in for BlueZ, and the person who pairs it: what tests of pairing share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bleak import BleakClient

from drivers.sim.world.peripheral import VirtualPeripheral
from edge.pairing import Person, Step
from gateway.contract.profile import BleChannel
from tests.world_parts.bluez_hands import (
    BLOOD_PRESSURE,
    FEATURE,
    Bluez,
    Cuff,
    bluez,
    described,
    found,
)

ADDRESS = "F0:00:00:00:00:01"
DEVICE = "/org/bluez/hci0/dev_F0_00_00_00_00_01"
CHANNELS = {"feature": BleChannel(BLOOD_PRESSURE, "00002a49-0000-1000-8000-00805f9b34fb")}
PASSKEY = 123_456


@asynccontextmanager
async def locked_cuff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, passkey: int | None = None
) -> AsyncIterator[tuple[Bluez, VirtualPeripheral]]:
    async with bluez(tmp_path, monkeypatch) as world:
        device = await world.put(described(secure=True, passkey=passkey), Cuff([]))
        yield world, device


def person(passkey: int | None = None, steps: list[Step] | None = None) -> Person:
    async def give() -> int | None:
        return passkey

    return Person(give, (steps if steps is not None else []).append)


async def read_feature() -> bytes:
    async with BleakClient(await found()) as client:
        return bytes(await client.read_gatt_char(FEATURE))
