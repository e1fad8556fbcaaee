"""A pulse oximeter on the virtual air: keeps its spot checks, and tells of them when its control point is asked.

It advertises from a measurement until a central has had a whole report. What its control point answers is the pure peer's business.
"""

import asyncio
from datetime import datetime, timedelta, tzinfo

from drivers.gatt import racp
from drivers.gatt.blood_pressure.sim import CuffClock
from drivers.gatt.clocks import stored
from drivers.gatt.pulse_oximeter.sim import STORING, OximeterMemory, answers, spot_check
from drivers.sim.device_clock import local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.air import Air
from drivers.sim.world.cuff_gatt import CURRENT_TIME, CURRENT_TIME_SERVICE, device_information
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.wearer import Diary, Record

PULSE_OXIMETER, SPOT_CHECK, FEATURES, CONTROL_POINT = 0x1822, 0x2A5E, 0x2A60, 0x2A52
MEMORY_RECORDS_MAX = 500
PACE_S = 0.01
"""From one record to the next."""

IDLE_S_MAX = 3.0
"""A central that asks nothing for so long is hung up on."""

_NOT_PERMITTED = 0x02
_UNSUBSCRIBED = max(racp.UNSUBSCRIBED_CODES)
_IN_PROGRESS = max(racp.IN_PROGRESS_CODES)
_LINK_ENDED = b""


def described(device: Device) -> DeviceDescription:
    """Name, services and advertisement."""
    return DeviceDescription(
        address=device.place,
        name=f"{device.model} {device.serial[-4:]}",
        services=(
            device_information(device),
            GattService(
                PULSE_OXIMETER,
                (
                    GattCharacteristic(SPOT_CHECK, frozenset({"indicate"})),
                    GattCharacteristic(FEATURES, frozenset({"read"}), STORING),
                    GattCharacteristic(CONTROL_POINT, frozenset({"write", "indicate"})),
                ),
            ),
            GattService(
                CURRENT_TIME_SERVICE, (GattCharacteristic(CURRENT_TIME, frozenset({"read"})),)
            ),
        ),
        advertised=(PULSE_OXIMETER,),
    )


class Oximeter:
    """Answers one request after the other. `reports` counts those that a central had whole."""

    memory: Memory = "kept"
    dead_clock = False

    def __init__(self, device: Device, zone: tzinfo | None, air: Air, diary: Diary) -> None:
        assert not device.clock.dead, "the fleet has no oximeter with a dead clock"
        self._zone, self._diary = zone, diary
        self._clock = CuffClock(timedelta(seconds=device.clock.offset_s))
        self._radio = VirtualPeripheral(air, described(device), self)
        self._records = OximeterMemory(MEMORY_RECORDS_MAX)
        self._on_air = self._news = False
        self._link: CentralLink | None = None
        self._requests: asyncio.Queue[bytes] = asyncio.Queue(1)
        self.reports = 0

    @property
    def busy(self) -> bool:
        """While it is connected it does not measure."""
        return self._link is not None and self._link.alive

    def shows(self, now: datetime) -> datetime:
        """What its display says at the true instant `now`."""
        return self._clock.shows(local(now, self._zone))

    async def remember(self, record: Record) -> None:
        """Store a spot check, and advertise."""
        assert len(self._records) < MEMORY_RECORDS_MAX, "no ward measures for so long"
        act = record.act
        frame = spot_check(act.parts, stored(record.raw_time), marks=act.marks, stored=True)
        self._records.store(frame)
        self._news = True
        if self._on_air:
            await self._radio.start_advertising()

    async def begin(self) -> None:
        """Switch the radio on."""
        await self._radio.power_on()
        self._on_air = True
        if self._news:
            await self._radio.start_advertising()

    async def close(self) -> None:
        """Leave the air."""
        await self._radio.close()

    async def on_connected(self, link: CentralLink) -> None:
        """Answer what the central asks; one that only sits there is sent away."""
        self._link = link
        self._requests = requests = asyncio.Queue[bytes](1)
        while link.alive:
            try:
                async with asyncio.timeout(IDLE_S_MAX):
                    asked = await requests.get()
            except TimeoutError:
                await link.hang_up()
                return
            if asked != _LINK_ENDED:
                await self._answer(link, asked)

    async def on_subscribed(self, uuid16: int) -> None:
        """It waits until it is asked."""

    async def on_disconnected(self, reason: int) -> None:  # noqa: ARG002 of any reason
        """The link ended; the memory is as it was."""
        if self._requests.empty():
            self._requests.put_nowait(_LINK_ENDED)

    async def read(self, uuid16: int) -> bytes:
        """What its clock shows."""
        if uuid16 != CURRENT_TIME:
            raise AttRefusal(_NOT_PERMITTED)
        return self._clock.read("current_time", local(self._diary.clock.now(), self._zone))

    async def write(self, uuid16: int, data: bytes) -> None:
        """Take a request; one at a time."""
        if uuid16 != CONTROL_POINT:
            raise AttRefusal(_NOT_PERMITTED)
        if self._link is None or not self._link.subscribed(CONTROL_POINT):
            raise AttRefusal(_UNSUBSCRIBED)
        if self._requests.full():
            raise AttRefusal(_IN_PROGRESS)
        self._requests.put_nowait(data)

    async def _answer(self, link: CentralLink, asked: bytes) -> None:
        for channel, octets in answers(self._records, asked):
            uuid16 = CONTROL_POINT if channel == racp.CHANNEL else SPOT_CHECK
            if not link.alive or not await link.indicate(uuid16, octets):
                return
            await asyncio.sleep(PACE_S)
        if asked[0] == racp.Op.REPORT:
            self.reports += 1
            self._news = False
            await self._radio.stop_advertising()
