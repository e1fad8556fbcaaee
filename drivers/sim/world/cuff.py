"""A cuff, thermometer or scale on the virtual air: tells its memory oldest first, and forgets what the radio confirmed.

That deletion is real, as in the cuffs of the shops: no record is kept back. It asks for pairing where its `security`
says so, is always ready for it, and advertises until its memory is empty, where a real one gives up after a minute and
waits for the next measurement.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from drivers.gatt.blood_pressure.sim import ClockFormat, CuffClock, CuffMemory
from drivers.gatt.clocks import stored
from drivers.sim.device_clock import RESET_EPOCH, local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.air import Air
from drivers.sim.world.cuff_gatt import CURRENT_TIME, DATE_TIME
from drivers.sim.world.gatt import AttRefusal, CentralLink
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.security import secured
from drivers.sim.world.telling import ways_of
from drivers.sim.world.wearer import Diary, Record

MEMORY_RECORDS_MAX = 200
"""A full cuff forgets its oldest record, told or not, as real ones do; the truth says so."""

LINGER_S = 0.5
"""So long after its last record it hangs up; A&D's takes 2.5 s."""

SUBSCRIBE_S_MAX = 30.0
"""A central that has not subscribed by then is hung up on."""

SILENT_S = 2.0
"""So long a cuff that hung up in mid-transfer is not to be heard."""

_CLOCKS: Mapping[int, ClockFormat] = {CURRENT_TIME: "current_time", DATE_TIME: "date_time"}
_READ_NOT_PERMITTED = 0x02
_WRITE_NOT_PERMITTED = 0x03
_OUT_OF_RANGE = 0xFF


class Cuff:
    """Advertises while it has records; tells them to whoever subscribes, one indication after the other."""

    memory: Memory = "deleted"

    def __init__(self, device: Device, zone: tzinfo | None, air: Air, diary: Diary) -> None:
        self.dead_clock = device.clock.dead
        self._zone = zone
        self._clock = CuffClock(timedelta(seconds=device.clock.offset_s))
        self._let_clock_die()
        self._diary = diary
        self._serial = device.serial
        self._ways = ways_of(device)
        description = secured(self._ways.description(device), device)
        self._radio = VirtualPeripheral(air, description, self, self._show)
        self._records = CuffMemory(MEMORY_RECORDS_MAX)
        self._on_air = False
        self._hangs_up = device.hangs_up
        self._link: CentralLink | None = None
        self._answered = asyncio.Event()
        self._telling = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """While it is connected it does not measure: a real one can't, and its clock may be set under its hands."""
        return self._link is not None and self._link.alive

    def shows(self, now: datetime) -> datetime:
        """What its display says at the true instant `now`."""
        return self._clock.shows(local(now, self._zone))

    def _show(self, passkey: str) -> None:
        self._diary.say(f"{self._serial} shows the passkey {passkey}")

    def _let_clock_die(self) -> None:
        if self.dead_clock:
            self._clock = CuffClock(stopped_at=RESET_EPOCH)

    async def remember(self, record: Record) -> None:
        """Store a record, and advertise."""
        octets = self._ways.frame(record.act, stored(record.raw_time))
        lost = self._records.store(record.id, octets)
        if lost is not None:
            self._diary.truth.overwritten(lost, self._diary.clock.now())
        if self._on_air and len(self._records) == 1:
            await self._radio.start_advertising()

    async def begin(self) -> None:
        """Switch the radio on."""
        await self._radio.power_on()
        await self._be_heard()

    async def close(self) -> None:
        """Leave the air."""
        await self._radio.close()

    async def on_connected(self, link: CentralLink) -> None:
        """A central came; one that only sits there is sent away."""
        self._link = link
        self._answered = answered = asyncio.Event()
        try:
            async with asyncio.timeout(SUBSCRIBE_S_MAX):
                await answered.wait()
        except TimeoutError:
            await link.hang_up()

    async def on_subscribed(self, uuid16: int) -> None:
        """The central listens: tell it."""
        self._answered.set()
        if uuid16 == self._ways.measurement and self._link is not None:
            async with self._telling:
                await self._tell(self._link)

    async def on_disconnected(self, reason: int) -> None:  # noqa: ARG002 of any reason
        """The link ended; what was not confirmed is still here."""
        self._answered.set()

    async def read(self, uuid16: int) -> bytes:
        """What its clock shows."""
        if uuid16 not in _CLOCKS:
            raise AttRefusal(_READ_NOT_PERMITTED)
        return self._clock.read(_CLOCKS[uuid16], local(self._diary.clock.now(), self._zone))

    async def write(self, uuid16: int, data: bytes) -> None:
        """Let its clock be set; a dead one takes it without a word and stands as before."""
        if uuid16 not in _CLOCKS:
            raise AttRefusal(_WRITE_NOT_PERMITTED)
        now = local(self._diary.clock.now(), self._zone)
        if self._clock.write(_CLOCKS[uuid16], data, now) is None:
            raise AttRefusal(_OUT_OF_RANGE)
        self._let_clock_die()

    async def _tell(self, link: CentralLink) -> None:
        told = 0
        while link.alive and (oldest := self._records.oldest) is not None:
            name, octets = oldest
            if self._hangs_up and told:
                await self._hang_up_on(link, name, octets)
                return
            if not await link.indicate(self._ways.measurement, octets):
                break
            self._forget(name)
            told += 1
        if not self._records:
            await self._radio.stop_advertising()
            await asyncio.sleep(LINGER_S)
        await link.hang_up()

    def _forget(self, name: str) -> None:
        # The truth's line and the deletion are one step: nothing is awaited in between.
        self._diary.truth.confirmed(name, self._diary.clock.now())
        self._records.confirmed(name)

    async def _hang_up_on(self, link: CentralLink, name: str, octets: bytes) -> None:
        """Hang up with an indication on its way: the record is kept unless the confirmation still came."""
        self._hangs_up = False
        self._on_air = False
        await self._radio.stop_advertising()
        self._diary.say(f"{self._serial} hangs up in the middle of a transfer")
        confirmed, _ = await asyncio.gather(
            link.indicate(self._ways.measurement, octets), link.hang_up()
        )
        if confirmed:
            self._forget(name)
        await asyncio.sleep(SILENT_S)
        await self._be_heard()

    async def _be_heard(self) -> None:
        self._on_air = True
        if self._records:
            await self._radio.start_advertising()
