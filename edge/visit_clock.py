"""One device's clock during one visit: recalls what earlier visits saw of it, keeps what this one sees. Judges no reading."""

from datetime import UTC, datetime
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
    met,
)
from edge.outbox.port import AsyncOutbox
from edge.timekeeping import Arrival, moment_of, remembered
from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.model.observation import Moment
from gateway.runtime.clock import Clock

# A cuff sends its records within a tenth of a second of each other and hangs up half a second or more after the last; one
# that is gone sooner was cut off in the middle.
LINGER_S_MIN = 0.3


class VisitClock:
    """Nameless until `meet`, since a device may show its clock before it says who it is."""

    def __init__(self, outbox: AsyncOutbox, clock: Clock, profile: Profile, zone: ZoneInfo) -> None:
        """Of a visit to a device of this profile, whose clock runs in `zone`."""
        self._outbox, self._clock = outbox, clock
        self._profile, self._zone = profile, zone
        self._device: str | None = None
        self._before = NOTHING
        self._box_in_doubt = False
        self._pair: ClockPair | None = None

    async def meet(self, device: str) -> None:
        """This is whose clock it is. Raises StoreError."""
        if self._device is not None:
            return
        memory = decode(await self._outbox.clock_memory(device))
        box_s = self._clock.now().timestamp()
        self._before, self._box_in_doubt = met(memory, box_s, self._clock.base())
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
        arrival = Arrival(heard_at, self._zone, self._box_in_doubt)
        return moment_of(reading, self._profile, arrival, self._pair, self._before)

    async def told_all(self, began: datetime) -> None:
        """The device has told all that it held when the visit began. Raises StoreError."""
        await self._keep(emptied(self._now(), began.astimezone(UTC).timestamp()))

    async def hung_up(self, began: datetime, told_at: float, ended_at: float) -> None:
        """The device ended the visit some time after its last frame: it may have told all. Raises StoreError."""
        if ended_at - told_at < LINGER_S_MIN:
            return
        hang_up = HangUp(began.astimezone(UTC).timestamp(), ended_at)
        await self._keep(replace(self._now(), hang_up=hang_up))

    def _now(self) -> ClockMemory:
        if self._pair is None:
            return self._before
        return remembered(self._before, self._pair, self._profile, self._zone)

    async def _keep(self, memory: ClockMemory) -> None:
        assert self._device is not None  # only then there is anything to keep
        await self._outbox.remember_clock(self._device, encode(memory))
