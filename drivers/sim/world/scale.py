"""A bathroom scale on the virtual air: advertises each weighing for some seconds, and then is dark. It keeps no memory.

A real one measures impedance for some six seconds and repeats its last frame for fifteen; this one is quicker, so that
a demonstration shows more of them.
"""

import asyncio
from datetime import datetime, timedelta, tzinfo

from drivers.sim.device_clock import local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.advertiser import VirtualAdvertiser
from drivers.sim.world.air import Air
from drivers.sim.world.wearer import Diary, Record
from drivers.vendor.xiaomi_scale.sim import Frame, Pace, weigh
from gateway.model.quantity import Quantity

PACE = Pace(settling_s=1.0, impedance_s=1.0, standing_s=4.0, removed_s=2.0)
BODY_COMPOSITION = 0x181B
NAME = "MIBFS"
NEVER_SET = datetime(1970, 1, 1)  # noqa: DTZ001 a device's clock has no zone
_OHM_MIN, _OHM_RANGE = 400, 200


class Scale:
    """Lit while somebody is weighed; heard then or never."""

    memory: Memory = "aired"

    def __init__(self, device: Device, zone: tzinfo | None, air: Air, diary: Diary) -> None:
        self.dead_clock = device.clock.dead
        self._ahead = timedelta(seconds=device.clock.offset_s)
        self._zone, self._diary = zone, diary
        self._radio = VirtualAdvertiser(air, device.place, NAME, BODY_COMPOSITION)
        self._weighing: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """While it is lit for one weighing it can't begin another."""
        return self._weighing is not None and not self._weighing.done()

    def shows(self, now: datetime) -> datetime:
        """The time that a weighing gets whose person steps on at the true instant `now`: when the weight stands still."""
        if self.dead_clock:
            return NEVER_SET
        shown = local(now, self._zone) + self._ahead + timedelta(seconds=PACE.settling_s)
        return shown.replace(microsecond=0)

    async def remember(self, record: Record) -> None:
        """Be stepped on: the frames of this weighing go on the air, one after the other."""
        shown = record.act.parts["weight"]
        assert isinstance(shown, Quantity), "a scale has no limit to show"
        ohms = _OHM_MIN + int(shown.number * 100) % _OHM_RANGE
        frames = list(weigh(2, shown, record.raw_time, ohms, PACE))
        self._weighing = asyncio.create_task(self._advertise(frames))

    async def begin(self) -> None:
        """Switch the radio on; it is silent until somebody steps on."""
        await self._radio.power_on()

    async def close(self) -> None:
        """Leave the air."""
        if self._weighing is not None:
            self._weighing.cancel()
            await asyncio.wait({self._weighing})
        await self._radio.close()

    async def _advertise(self, frames: list[Frame]) -> None:
        for frame in frames:
            await self._radio.show(frame.data)
            await asyncio.sleep(frame.for_s)
        await self._radio.hush()
