"""A heart rate strap on the virtual air: advertises while it is worn, notifies a beat each second, and remembers nothing.

One act is one person who wears it for some seconds at an even rate. Nobody listens: it is gone, as with a real one.
"""

import asyncio
from datetime import datetime, tzinfo

from drivers.gatt.heart_rate.codec import RATE, Measurement, encode_measurement
from drivers.gatt.heart_rate.sim import OFF_BODY
from drivers.sim.device_clock import local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.air import Air
from drivers.sim.world.cuff_gatt import device_information
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.wearer import Diary, Record
from gateway.model.quantity import Quantity

HEART_RATE, MEASUREMENT, LOCATION = 0x180D, 0x2A37, 0x2A38
CHEST = b"\x01"
WORN_S = 5
OFF_S = 2
PATIENCE_S = 15.0
"""So long it is worn before anybody listens; then it is taken off unheard."""

_NOT_PERMITTED = 0x02


def described(device: Device) -> DeviceDescription:
    """Name, services and advertisement."""
    measuring = (
        GattCharacteristic(MEASUREMENT, frozenset({"notify"})),
        GattCharacteristic(LOCATION, frozenset({"read"}), CHEST),
    )
    return DeviceDescription(
        address=device.place,
        name=f"{device.maker} {device.model} {device.serial}",
        services=(device_information(device), GattService(HEART_RATE, measuring)),
        advertised=(HEART_RATE,),
    )


class Strap:
    """Worn for one act after the other. `told` counts the samples that a central was sent."""

    memory: Memory = "aired"
    dead_clock = False

    def __init__(self, device: Device, zone: tzinfo | None, air: Air, diary: Diary) -> None:
        self._zone = zone
        self._diary = diary
        self._radio = VirtualPeripheral(air, described(device), self)
        self._wearing: asyncio.Task[None] | None = None
        self._link: CentralLink | None = None
        self._heard = asyncio.Event()
        self.told = 0

    @property
    def busy(self) -> bool:
        """While one person wears it, no other can."""
        return self._wearing is not None and not self._wearing.done()

    def shows(self, now: datetime) -> datetime:
        """It has no clock: the local time, whole seconds, as the truth's name of what it tells then."""
        return local(now, self._zone).replace(microsecond=0)

    async def remember(self, record: Record) -> None:
        """Be put on."""
        rate = record.act.parts[RATE]
        assert isinstance(rate, Quantity), "a strap has no limit to show"
        self._wearing = asyncio.create_task(self._wear(int(rate.number)))

    async def begin(self) -> None:
        """Switch the radio on; it is silent until it is worn."""
        await self._radio.power_on()

    async def close(self) -> None:
        """Leave the air."""
        if self._wearing is not None:
            self._wearing.cancel()
            await asyncio.wait({self._wearing})
        await self._radio.close()

    async def on_connected(self, link: CentralLink) -> None:
        """It notifies once it is subscribed to."""
        self._link = link

    async def on_subscribed(self, uuid16: int) -> None:
        """Somebody listens."""
        if uuid16 == MEASUREMENT:
            self._heard.set()

    async def on_disconnected(self, reason: int) -> None:  # noqa: ARG002 of any reason
        """Nobody listens any more."""
        self._heard.clear()
        self._link = None

    async def read(self, uuid16: int) -> bytes:  # noqa: ARG002 all that can be read stands in the table
        """Nothing that is asked for."""
        raise AttRefusal(_NOT_PERMITTED)

    async def write(self, uuid16: int, data: bytes) -> None:  # noqa: ARG002 nothing can be written
        """Nothing that is taken."""
        raise AttRefusal(_NOT_PERMITTED)

    async def _wear(self, rate: int) -> None:
        await self._radio.start_advertising()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._heard.wait()
        except TimeoutError:
            return
        finally:
            await self._radio.stop_advertising()
        worn = encode_measurement(Measurement(rate, contact=True))
        for frame in (*(worn,) * WORN_S, *(OFF_BODY,) * OFF_S):
            link = self._link
            if link is None or not await link.notify(MEASUREMENT, frame):
                return
            self.told += 1
            await asyncio.sleep(1.0)
        if self._link is not None:
            await self._link.hang_up()
