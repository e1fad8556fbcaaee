"""A home with one of A&D's cuffs, and a box that visits it by the product's own driver: its clock and the true one are moved by hand."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from device_profiles.loader import load_profiles
from drivers.gatt.blood_pressure.session import DRIVER
from drivers.gatt.blood_pressure.sim import CuffClock, frame
from drivers.gatt.clocks import stored
from edge.binding import Binding
from edge.clock_history import ClockMemory, decode
from edge.cloud_time import CloudTime
from edge.enrol import Standing
from edge.filing import Box
from edge.links.memory import MemoryLink
from edge.outbox.port import AsyncOutbox
from edge.quarantine import Quarantine
from edge.scan import Visited
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.contract.session import Link, Read, Received, Refused, Subscribe, Write
from gateway.model.observation import Observation
from gateway.model.quantity import Quantity
from gateway.runtime.clock import ManualClock, from_iso, iso
from gateway.runtime.counters import Counters
from gateway.wire.box_clock import righted

TRUE = datetime(2026, 3, 14, 7, 5, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
ZONE_S = 8 * 3600.0
PLACE = "C0:11:22:33:44:55"
PROFILE = replace(load_profiles()["aandd/ua-651ble"], quiet_s=0.02, settle_s=0.0)

BINDING = Binding(PLACE, "ble", PROFILE, DRIVER, third_party=False, every_s=60)


@dataclass
class Cuff:
    """A&D's: local time, set by whoever connects; tells and forgets what it has, then stays or hangs up."""

    true: ManualClock
    clock: CuffClock = field(default_factory=lambda: CuffClock(timedelta(minutes=-20)))
    records: list[bytes] = field(default_factory=list[bytes])
    hangs_up: bool = False
    link: MemoryLink | None = None

    @property
    def local(self) -> datetime:
        return self.true.now().astimezone(ZONE).replace(tzinfo=None)

    @property
    def ahead_s(self) -> float:
        return (self.clock.shows(self.local) - self.local).total_seconds()

    def measure(self) -> datetime:
        """Gives the true time of what it stores."""
        parts = {"systolic": Quantity(Decimal(182), "mmHg")}
        self.records.append(frame(parts, stored(self.clock.shows(self.local))))
        return self.true.now()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Read("serial_number"):
                yield Received(0.0, "serial_number", b"5181100001")
            case Read("date_time"):
                yield Received(0.0, "date_time", self.clock.read("date_time", self.local))
            case Write("date_time", data):
                self.clock.write("date_time", data, self.local)
            case Subscribe("measurement"):
                told, self.records = self.records, []
                yield from (Received(0.0, "measurement", one) for one in told)
                if self.hangs_up and self.link is not None:
                    asyncio.get_running_loop().call_soon(self.link.hang_up)
            case _:
                yield Refused(0.0, command, 0x0A)


class Home:
    """One box, and the cuff that it is enrolled for."""

    def __init__(self, folder: Path, outbox: AsyncOutbox, clock: ManualClock) -> None:
        self.true, self.clock, self.outbox = ManualClock(TRUE), clock, outbox
        self.cuff = Cuff(self.true)
        counters = Counters()
        self.cloud = CloudTime(clock, counters)
        self.box = Box(
            agent="box-1",
            data_dir=folder,
            tenant_key=b"k" * 32,
            zone=ZONE,
            clock=clock,
            outbox=outbox,
            windows=Windows(),
            counters=counters,
            quarantine=Quarantine.open(folder),
            unread=UnreadFrames(folder),
            wake=lambda: None,
            cloud_time=self.cloud,
        )

    @property
    def standing(self) -> Standing:
        return Standing(DRIVER.id, PLACE, lasting=True)

    @property
    def unit(self) -> Unit:
        return Unit(self.box, BINDING)

    def pass_s(self, seconds: float) -> None:
        self.true.advance(seconds)
        self.clock.advance(seconds)

    def hear_cloud(self) -> None:
        assert self.cloud.hear(iso(self.true.now()), self.clock.monotonic())

    def boot_behind(self, seconds: float) -> None:
        """The power was cut, and no clock ran on a battery."""
        self.clock.reboot()
        self.clock.step(-seconds)
        self.box = replace(self.box, cloud_time=CloudTime(self.clock, self.box.counters))

    async def visit(
        self, unit: Unit | None = None, meanwhile: Callable[[], None] = lambda: None
    ) -> Visited:
        """`unit`: that of the visits before, where what it remembers counts. `meanwhile`: what happens as the link is opened."""

        async def open_link(now: Callable[[], float]) -> Link:
            meanwhile()
            self.cuff.link = MemoryLink(self.cuff, now)
            return self.cuff.link

        return await (unit or self.unit).visit(open_link, self.standing)

    async def memory(self) -> ClockMemory:
        enrolled = await self.outbox.enrolled(PLACE)
        assert enrolled is not None
        return decode(await self.outbox.clock_memory(enrolled.device))

    async def told(self, off_s: float) -> list[datetime]:
        """When the cloud takes the readings to have been measured."""
        return [from_iso(righted(one, off_s).time.utc) for one in await self.waiting()]

    async def waiting(self) -> list[Observation]:
        """What the box would send next."""
        batch = await self.outbox.next_batch(100, live=False, skip=frozenset(), bytes_max=10**6)
        rows = batch.rows if batch else ()
        return [msgspec.json.decode(row.body, type=Observation) for row in rows]
