"""One device's clock during one visit: recalls what earlier visits saw of it, keeps what this one sees. Judges no reading."""

import dataclasses
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from edge.clock_history import (
    NOTHING,
    ClockMemory,
    ClockPair,
    HangUp,
    decode,
    emptied,
    encode,
    is_behind,
    met,
)
from edge.cloud_time import CloudTime
from edge.outbox.port import AsyncOutbox
from edge.timekeeping import Arrival, moment_of, remembered
from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.model.observation import Moment
from gateway.runtime.clock import Clock, TimeBase

# A cuff sends its records within a tenth of a second of each other and hangs up half a second or more after the last; one
# that is gone sooner was cut off in the middle.
LINGER_S_MIN = 0.3


class VisitClock:
    """Nameless until `meet`, since a device may show its clock before it says who it is.

    All its moments are by the box's clock as it stood when the visit began, carried on by the one that never goes back
    (edge/links/arrival.py): what the device shows is beside that, and a step in mid-visit is the next visit's to allow for.
    `profile`: the device's as the visit may use it. `box_off_s`: what the box's clock lacks to the cloud's, where that has said it.
    """

    def __init__(
        self,
        outbox: AsyncOutbox,
        clock: Clock,
        profile: Profile,
        zone: ZoneInfo,
        *,
        base: TimeBase,
        cloud: CloudTime | None,
    ) -> None:
        """Of a visit that begins now, on this `base`, to a device of this profile, whose clock runs in `zone`."""
        self._outbox, self._clock, self._base = outbox, clock, base
        self.profile, self._zone = profile, zone
        self._told = cloud is not None and cloud.told
        self.box_off_s = (cloud.now_off_s() or 0.0) if cloud is not None else 0.0
        self._device: str | None = None
        self._before = NOTHING
        self._box_in_doubt = False
        self._pair: ClockPair | None = None

    async def doubt(self, enrolled: str | None) -> None:
        """Of a box whose clock is known to be wrong, nobody knows by how much, no device's clock may be set. Raises StoreError.

        `enrolled`: what is expected at the place. Its clock is left as it is, which costs nothing: it is read beside the box's.
        """
        if enrolled is None or not self.profile.clock.settable:
            return
        _, doubted = await self._recall(enrolled)
        if doubted:
            self.profile = dataclasses.replace(
                self.profile, clock=dataclasses.replace(self.profile.clock, settable=False)
            )

    async def meet(self, device: str) -> None:
        """This is whose clock it is. Raises StoreError."""
        if self._device is not None:
            return
        self._before, self._box_in_doubt = await self._recall(device)
        self._device = device
        if self._pair is not None:
            await self._keep(self._now())

    async def show(self, at: float, shown: datetime) -> None:
        """It showed this at `at` (box's POSIX seconds). Durable on return, if the device is known. Raises StoreError."""
        self._pair = ClockPair(at, shown)
        if self._device is not None:
            await self._keep(self._now())

    def moment(self, reading: Reading, heard_at: datetime) -> Moment:
        """When a reading was taken that arrived at `heard_at` (aware)."""
        arrival = Arrival(heard_at, self._zone, self._box_in_doubt, self.box_off_s)
        return moment_of(reading, self.profile, arrival, self._pair, self._before)

    async def told_all(self, began_at: float) -> None:
        """The device has told all that it held when the visit began. Raises StoreError."""
        await self._keep(emptied(self._now(), began_at))

    async def hung_up(self, began_at: float, told_at: float, ended_at: float) -> None:
        """The device ended the visit some time after its last frame: it may have told all. Raises StoreError."""
        if ended_at - told_at < LINGER_S_MIN:
            return
        hang_up = HangUp(began_at, ended_at)
        await self._keep(replace(self._now(), hang_up=hang_up))

    def zone_offset_s(self) -> int:
        """Device's local time = UTC + this, now."""
        true = self._clock.now() + timedelta(seconds=self.box_off_s)
        offset = true.astimezone(self._zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    async def _recall(self, device: str) -> tuple[ClockMemory, bool]:
        memory = decode(await self._outbox.clock_memory(device))
        stepped_s = self._clock.base().anchor_s - self._base.anchor_s
        box_s = self._clock.now().timestamp() - stepped_s
        here, back = met(memory, box_s, self._base)
        if self._told:
            # The cloud's word counts for more than what the box once showed: that may have been a future that never came.
            return replace(here, latest_s=box_s + self.box_off_s), False
        return here, back or is_behind(here)

    def _now(self) -> ClockMemory:
        if self._pair is None:
            return self._before
        return remembered(self._before, self._pair, self.profile, self._zone, self.box_off_s)

    async def _keep(self, memory: ClockMemory) -> None:
        assert self._device is not None  # only then there is anything to keep
        await self._outbox.remember_clock(self._device, encode(memory))
