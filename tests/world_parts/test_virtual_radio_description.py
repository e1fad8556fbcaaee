"""Which descriptions of a device the virtual radio refuses, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.sim.world.air import Air
from drivers.sim.world.gatt import CentralLink, DeviceDescription, GattCharacteristic, GattService
from drivers.sim.world.peripheral import VirtualPeripheral

CUFF = DeviceDescription(
    address="F0:00:00:00:00:01",
    name="Cuff 7",
    services=(GattService(0x1810, (GattCharacteristic(0x2A35, frozenset({"indicate"})),)),),
    advertised=(0x1810,),
)


class Cuff:
    """A peer that is never asked."""

    async def on_connected(self, link: CentralLink) -> None:
        raise NotImplementedError

    async def on_subscribed(self, uuid16: int) -> None:
        raise NotImplementedError

    async def on_disconnected(self, reason: int) -> None:
        raise NotImplementedError

    async def read(self, uuid16: int) -> bytes:
        raise NotImplementedError

    async def write(self, uuid16: int, data: bytes) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(CUFF, name="A name much too long for a packet"), "scan response takes 35"),
        (replace(CUFF, address="10:00:00:00:00:01"), "must begin with C to F"),
        (replace(CUFF, services=CUFF.services * 2), "occurs twice"),
        (replace(CUFF, passkey=0), "passkey 0"),
        (replace(CUFF, passkey=1_000_000), "passkey 1000000"),
    ],
)
async def test_a_device_that_no_radio_could_carry_is_refused(
    wrong: DeviceDescription, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        VirtualPeripheral(Air(), wrong, Cuff())


async def test_an_address_is_on_the_air_once() -> None:
    air = Air()
    first = VirtualPeripheral(air, CUFF, Cuff())
    await first.power_on()
    with pytest.raises(ValueError, match="on this air already"):
        VirtualPeripheral(air, CUFF, Cuff())
    await first.close()
    VirtualPeripheral(air, CUFF, Cuff())
