"""A glucose meter on the virtual air: keeps its memory, and tells of it what its control point is asked for.

It advertises from a measurement until a central has had a whole report, where a real one gives up after some minutes.
Pairing is not asked for. What its control point answers is the pure peer's business.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

from drivers.gatt import racp
from drivers.gatt.blood_pressure.sim import ClockFormat, CuffClock
from drivers.gatt.clocks import stored
from drivers.gatt.glucose.context import Context
from drivers.gatt.glucose.sim import MeterMemory, answers, measured
from drivers.gatt.glucose.transfer import CONTEXT as CONTEXT_CHANNEL
from drivers.gatt.glucose.transfer import MEASUREMENT as MEASUREMENT_CHANNEL
from drivers.sim.device_clock import local
from drivers.sim.fleet import Device
from drivers.sim.truth import Memory
from drivers.sim.world.air import Air
from drivers.sim.world.ble_meter_gatt import CONTEXT, CONTROL_POINT, MEASUREMENT, described
from drivers.sim.world.cuff_gatt import CURRENT_TIME, DATE_TIME
from drivers.sim.world.gatt import AttRefusal, CentralLink
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.security import secured
from drivers.sim.world.wearer import Diary, Record

MEMORY_RECORDS_MAX = 720
"""A full meter forgets its oldest record; the truth says so."""

IDLE_S_MAX = 30.0
"""A central that asks nothing for so long is hung up on."""

PACE_S = 0.01
"""From one record to the next; real meters take 20 to 60 ms."""

SILENT_S = 2.0
"""So long a meter that hung up in mid-transfer is not to be heard."""

REQUESTS_MAX = 2

_CLOCKS: Mapping[int, ClockFormat] = {CURRENT_TIME: "current_time", DATE_TIME: "date_time"}
_NOTIFIED: Mapping[str, int] = {MEASUREMENT_CHANNEL: MEASUREMENT, CONTEXT_CHANNEL: CONTEXT}
_READ_NOT_PERMITTED = 0x02
_WRITE_NOT_PERMITTED = 0x03
_IN_PROGRESS = max(racp.IN_PROGRESS_CODES)
_UNSUBSCRIBED = max(racp.UNSUBSCRIBED_CODES)
_LINK_ENDED = b""
_MEALS = 5


class BleMeter:
    """Answers one request after the other. `told` counts the values it sent, `reports` the reports that a central had whole."""

    memory: Memory = "kept"
    dead_clock = False

    def __init__(self, device: Device, zone: tzinfo | None, air: Air, diary: Diary) -> None:
        assert not device.clock.dead, "the fleet has no meter with a dead clock"
        self._zone = zone
        self._clock = CuffClock(timedelta(seconds=device.clock.offset_s))
        self._diary = diary
        self._serial = device.serial
        description = secured(described(device), device)
        self._radio = VirtualPeripheral(
            air,
            description,
            self,
            lambda passkey: diary.say(f"{device.serial} shows the passkey {passkey}"),
        )
        self._records = MeterMemory(MEMORY_RECORDS_MAX)
        self._hangs_up = device.hangs_up
        self._on_air = False
        self._news = False
        self._link: CentralLink | None = None
        self._requests: asyncio.Queue[bytes] = asyncio.Queue(REQUESTS_MAX)
        self._answering = self._aborted = False
        self.told = self.reports = 0

    @property
    def busy(self) -> bool:
        """While it is connected it does not measure, as a real one does not."""
        return self._link is not None and self._link.alive

    def shows(self, now: datetime) -> datetime:
        """What its display says at the true instant `now`."""
        return self._clock.shows(local(now, self._zone))

    async def remember(self, record: Record) -> None:
        """Store a record, every second one with a meal, and advertise."""
        act = record.act
        told = measured(act.parts, stored(record.raw_time), offset_min=0, marks=act.marks)
        turn = len(self._records)
        context = Context(0, meal=1 + turn % _MEALS) if turn % 2 else None
        _, lost = self._records.store(record.id, told, context)
        if lost is not None:
            self._diary.truth.overwritten(lost, self._diary.clock.now())
        self._news = True
        if self._on_air:
            await self._radio.start_advertising()

    async def begin(self) -> None:
        """Switch the radio on."""
        await self._radio.power_on()
        await self._be_heard()

    async def close(self) -> None:
        """Leave the air."""
        await self._radio.close()

    def lose_link(self) -> None:
        """Let the link die now, as by a closed door."""
        self._radio.lose_link()

    async def on_connected(self, link: CentralLink) -> None:
        """Answer what the central asks; one that only sits there is sent away."""
        self._link = link
        self._requests = requests = asyncio.Queue[bytes](REQUESTS_MAX)
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
        if uuid16 not in _CLOCKS:
            raise AttRefusal(_READ_NOT_PERMITTED)
        return self._clock.read(_CLOCKS[uuid16], local(self._diary.clock.now(), self._zone))

    async def write(self, uuid16: int, data: bytes) -> None:
        """Take a request; one at a time, but for an abort."""
        if uuid16 != CONTROL_POINT:
            raise AttRefusal(_WRITE_NOT_PERMITTED)
        if self._link is None or not self._link.subscribed(CONTROL_POINT):
            raise AttRefusal(_UNSUBSCRIBED)
        aborts = data == racp.encode_request(racp.ABORT)
        if self._requests.full() or (self._answering and not aborts):
            raise AttRefusal(_IN_PROGRESS)
        self._aborted = aborts
        self._requests.put_nowait(data)

    async def _answer(self, link: CentralLink, asked: bytes) -> None:
        self._answering, self._aborted = True, False
        try:
            frames = list(answers(self._records, asked))
            if self._hangs_up and len(frames) > 2:  # noqa: PLR2004 a half of it is less than all
                await self._hang_up_on(link, frames)
            elif await self._told(link, frames) and asked[0] == racp.Op.REPORT:
                await self._had_all()
        finally:
            self._answering = False

    async def _told(self, link: CentralLink, frames: list[tuple[str, bytes]]) -> bool:
        """Whether the central had it to the end. Nothing follows an abort but the answer to that."""
        for channel, octets in frames:
            if self._aborted or not link.alive:
                return False
            if channel == racp.CHANNEL:
                return await link.indicate(CONTROL_POINT, octets)
            if await link.notify(_NOTIFIED[channel], octets):
                self.told += 1
            await asyncio.sleep(PACE_S)
        return False

    async def _had_all(self) -> None:
        self.reports += 1
        self._news = False
        await self._radio.stop_advertising()

    async def _hang_up_on(self, link: CentralLink, frames: list[tuple[str, bytes]]) -> None:
        self._hangs_up = self._on_air = False
        await self._radio.stop_advertising()
        self._diary.say(f"{self._serial} hangs up in the middle of a transfer")
        await self._told(link, frames[: len(frames) // 2])
        await link.hang_up()
        await asyncio.sleep(SILENT_S)
        await self._be_heard()

    async def _be_heard(self) -> None:
        self._on_air = True
        if self._news:
            await self._radio.start_advertising()
