"""A device's clock over several visits, from link to outbox: what is kept before it is set, and what a visit proved."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from edge.binding import Binding
from edge.clock_history import NOTHING, ClockMemory, decode, encode
from edge.enrol import Standing
from edge.filing import Box
from edge.links.memory import MemoryLink
from edge.outbox import damage
from edge.outbox.port import AsyncOutbox
from edge.outbox.store import Outbox
from edge.quarantine import Quarantine
from edge.scan import Visited
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.contract.authoring import Flow, FlowDriver, listen, wait
from gateway.contract.profile import ClockRule, IdentityRule, Profile
from gateway.contract.session import (
    Finish,
    Link,
    Opened,
    Read,
    Reading,
    Received,
    Refused,
    ReportClock,
    ReportFacts,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme
from gateway.model.observation import Observation
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock, from_iso
from gateway.runtime.counters import Counters
from gateway.runtime.errors import LinkError

PLACE = "C0:11:22:33:44:55"
DEVICE = "d1" * 10
LASTING = Standing("acme.cuff", PLACE, lasting=True)
PROFILE = Profile(
    id="acme/cuff",
    maker="acme",
    model="cuff",
    kind="blood_pressure",
    driver="acme.cuff",
    support="test",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK, (datetime(2010, 1, 1),), 366 * 86_400),
    clock=ClockRule(settable=True),
    deletes_on_confirm=True,
    quiet_s=1.0,
    deadline_s=5.0,
)


def decode_frame(_channel: str, data: bytes) -> Iterator[Reading]:
    taken = datetime.fromisoformat(data.decode())
    yield Reading(
        "blood_pressure", {"systolic": Quantity(Decimal(120), "mmHg")}, taken, pushed=True
    )


def visit(unit: UnitInfo, _opened: Opened) -> Flow:
    yield ReportFacts({"serial_number": "A-77"})
    yield Read("date_time")
    event = yield from wait()
    if isinstance(event, Received):
        yield ReportClock(datetime.fromisoformat(event.data.decode()))
        if unit.profile.clock.settable:
            yield Write("date_time", b"set")
    yield from listen(decode_frame, ("measurement",), unit.profile.quiet_s)


DRIVER = FlowDriver("acme.cuff", visit)


@dataclass
class Cuff:
    """Its clock is `ahead` of UTC. Tells all, then stays, or hangs up after `lingers_s`; or hangs up when told to do `dies_at`."""

    ahead: timedelta = timedelta()
    records: list[datetime] = field(default_factory=list)
    lingers_s: float | None = None
    dies_at: type | None = None
    seen_at_write: list[ClockMemory] = field(default_factory=list)
    look: Callable[[], ClockMemory] = lambda: NOTHING
    link: MemoryLink | None = None

    def measure(self, ago: timedelta) -> datetime:
        """Gives the true time of what it stores."""
        true = datetime.now(UTC) - ago
        self.records.append((true + self.ahead).replace(tzinfo=None, microsecond=0))
        return true

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        assert self.link is not None
        if self.dies_at is not None and isinstance(command, self.dies_at):
            self.link.hang_up()
            return []
        match command:
            case Read():
                shown = (datetime.now(UTC) + self.ahead).replace(tzinfo=None, microsecond=0)
                return [Received(0.0, command.channel, shown.isoformat().encode())]
            case Write():
                self.seen_at_write.append(self.look())
                self.ahead = timedelta()
                return []
            case Subscribe():
                told, self.records = self.records, []
                if self.lingers_s is not None:
                    asyncio.get_running_loop().call_later(self.lingers_s, self.link.hang_up)
                return [Received(0.0, command.channel, at.isoformat().encode()) for at in told]


@dataclass
class House:
    """A box with one cuff enrolled."""

    box: Box
    path: Path
    profile: Profile = PROFILE

    async def visit(self, cuff: Cuff) -> Visited:
        async def open_link(now: Callable[[], float]) -> Link:
            cuff.link = MemoryLink(cuff, now)
            return cuff.link

        cuff.look = self.on_disk
        binding = Binding(PLACE, "ble", self.profile, DRIVER, third_party=False, every_s=60)
        return await Unit(self.box, binding).visit(open_link, LASTING)

    def on_disk(self) -> ClockMemory:
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            found = db.execute("SELECT memory FROM clocks").fetchone()
        db.close()
        return decode(found[0] if found else None)

    async def told(self) -> list[Observation]:
        batch = await self.box.outbox.next_batch(100, live=False, skip=frozenset(), bytes_max=10**6)
        rows = batch.rows if batch else ()
        return [msgspec.json.decode(row.body, type=Observation) for row in rows]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    path = tmp_path / "outbox.sqlite"
    outbox = await AsyncOutbox.open(path, "box-1", SystemClock())
    box = Box(
        agent="box-1",
        data_dir=tmp_path,
        tenant_key=b"k" * 32,
        zone=ZoneInfo("UTC"),
        clock=SystemClock(),
        outbox=outbox,
        windows=Windows(),
        counters=Counters(),
        quarantine=Quarantine.open(tmp_path),
        unread=UnreadFrames(tmp_path),
        wake=lambda: None,
    )
    yield House(box, path)
    await outbox.close()


def covers(observation: Observation, true: datetime) -> bool:
    time = observation.time
    utc = from_iso(time.utc)
    early = time.early_s is None or utc - timedelta(seconds=time.early_s) <= true
    return early and true <= utc + timedelta(seconds=time.late_s)


async def test_what_the_clock_showed_is_on_disk_before_it_is_set(house: House) -> None:
    cuff = Cuff(timedelta(minutes=-20))
    await house.visit(cuff)

    (memory,) = cuff.seen_at_write
    ran, to_be = memory.stretches
    assert ran.ahead_s == pytest.approx(-1_200, abs=3)
    assert (to_be.ahead_s, to_be.written) == (0.0, True)


async def test_a_visit_that_dies_after_setting_the_clock_misdates_nothing_of_the_next(
    house: House,
) -> None:
    cuff = Cuff(timedelta(minutes=-20), dies_at=Subscribe)
    true = cuff.measure(timedelta(hours=3))
    assert not (await house.visit(cuff)).well
    cuff.dies_at = None
    assert (await house.visit(cuff)).readings == 1

    (told,) = await house.told()
    assert covers(told, true)
    assert abs(from_iso(told.time.utc) - true) < timedelta(seconds=3)


async def test_a_visit_that_finished_proves_that_nothing_older_is_to_come(house: House) -> None:
    began = datetime.now(UTC).timestamp()
    await house.visit(Cuff())

    memory = house.on_disk()
    assert memory.emptied_s == pytest.approx(began, abs=0.9)
    assert memory.hang_up is None
    assert memory.wrote


async def test_a_visit_that_died_proves_nothing(house: House) -> None:
    await house.visit(Cuff(dies_at=Subscribe))
    await house.visit(Cuff(dies_at=Write))

    memory = house.on_disk()
    assert (memory.emptied_s, memory.hang_up, memory.wrote) == (None, None, False)


class Torn(MemoryLink):
    """Loses its device with the first thing that is written."""

    async def perform(self, command: Subscribe | Write | Read) -> None:
        if isinstance(command, Write):
            raise LinkError("the cable was pulled")
        await super().perform(command)


def erasing_visit(_unit: UnitInfo, _opened: Opened) -> Flow:
    yield ReportFacts({"serial_number": "A-77"})
    yield ReportClock(datetime.now(UTC).replace(tzinfo=None))
    yield Write("line", b"ERASE")


def leaving_visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from erasing_visit(unit, opened)
    yield Finish(told_all=False)


@pytest.mark.parametrize(
    ("link", "talk", "emptied"),
    [
        (MemoryLink, erasing_visit, True),
        pytest.param(Torn, erasing_visit, False, id="its last command was lost"),
        pytest.param(MemoryLink, leaving_visit, False, id="left while it told"),
    ],
)
async def test_a_visit_that_went_well_does_not_always_prove_that_all_was_told(
    house: House,
    link: type[MemoryLink],
    talk: Callable[[UnitInfo, Opened], Flow],
    *,
    emptied: bool,
) -> None:
    async def open_link(now: Callable[[], float]) -> Link:
        meter.link = link(meter, now)
        return meter.link

    meter = Cuff()
    driver = FlowDriver("acme.cuff", talk)
    binding = Binding(PLACE, "ble", house.profile, driver, third_party=False, every_s=60)
    assert (await Unit(house.box, binding).visit(open_link, LASTING)).well

    assert (house.on_disk().emptied_s is not None) is emptied


async def test_a_cuff_that_hung_up_a_while_after_its_last_record_has_probably_told_all(
    house: House,
) -> None:
    cuff = Cuff(lingers_s=0.5)
    cuff.measure(timedelta(minutes=1))
    assert (await house.visit(cuff)).well

    memory = house.on_disk()
    assert memory.emptied_s is None
    assert memory.hang_up is not None
    assert memory.hang_up.ended_s - memory.hang_up.began_s == pytest.approx(0.5, abs=0.4)


async def test_a_cuff_that_hung_up_right_after_a_record_was_cut_off(house: House) -> None:
    cuff = Cuff(lingers_s=0.0)
    cuff.measure(timedelta(minutes=1))
    assert (await house.visit(cuff)).well

    assert house.on_disk().hang_up is None


async def test_a_dead_clocks_reading_is_bounded_by_the_visit_before(house: House) -> None:
    cuff = Cuff(datetime(2010, 1, 1, tzinfo=UTC) - datetime.now(UTC))
    house.profile = replace(PROFILE, clock=ClockRule())
    first = cuff.measure(timedelta())
    await house.visit(cuff)
    second = cuff.measure(timedelta())
    await house.visit(cuff)

    told = await house.told()
    assert [(one.time.known, one.time.early_s is None) for one in told] == [
        (False, True),
        (False, False),
    ]
    assert covers(told[0], first)
    assert covers(told[1], second)


def test_an_outbox_from_before_clocks_were_kept_is_brought_up(tmp_path: Path) -> None:
    path = of_version_1(tmp_path)
    outbox = Outbox.open(path, "box-1", SystemClock())

    assert outbox.clock_memory(DEVICE) is None
    assert outbox.enrolled(PLACE) is not None
    outbox.remember_clock(DEVICE, encode(NOTHING))
    outbox.remember_clock(DEVICE, "newer")
    assert outbox.clock_memory(DEVICE) == "newer"
    outbox.close()


def of_version_1(folder: Path) -> Path:
    path = folder / "outbox.sqlite"
    outbox = Outbox.open(path, "box-1", SystemClock())
    outbox.enrol(PLACE, DEVICE, "any/cuff", {"serial_number": "S"})
    outbox.close()
    db = sqlite3.connect(path)
    db.executescript(
        "DROP TABLE clocks; DROP INDEX rows_pending; DROP INDEX rows_live;"
        "ALTER TABLE rows DROP COLUMN boot; ALTER TABLE rows DROP COLUMN anchor;"
        "CREATE INDEX rows_pending ON rows (id, epoch, n, bytes, accepted) WHERE state = 0;"
        "CREATE INDEX rows_live ON rows (id, epoch, n, bytes, accepted) WHERE state = 0 AND live = 1;"
        "PRAGMA user_version = 1;"
    )
    db.close()
    return path


def test_a_damaged_outbox_from_before_clocks_were_kept_keeps_its_enrolments(
    tmp_path: Path,
) -> None:
    path = of_version_1(tmp_path)
    damage.recover(path, SystemClock().now(), "tried", epoch="e" * 16)
    outbox = Outbox.open(path, "box-1", SystemClock())

    assert outbox.enrolled(PLACE) is not None
    outbox.close()


def test_a_damaged_outbox_that_lost_nothing_keeps_its_clocks(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox.open(path, "box-1", SystemClock())
    outbox.remember_clock(DEVICE, "what it was")
    outbox.close()
    damage.recover(path, SystemClock().now(), "tried", epoch="e" * 16)
    again = Outbox.open(path, "box-1", SystemClock())

    assert again.clock_memory(DEVICE) == "what it was"
    again.close()


def test_one_that_lost_rows_forgets_its_clocks_as_it_forgets_its_cursors(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox.open(path, "box-1", SystemClock())
    outbox.remember_clock(DEVICE, "what it was")
    outbox.close()
    db = sqlite3.connect(path)
    db.execute("UPDATE epochs SET issued = 3")
    db.commit()
    db.close()
    recovery = damage.recover(path, SystemClock().now(), "tried", epoch="e" * 16)
    again = Outbox.open(path, "box-1", SystemClock())

    assert recovery.lost
    assert again.clock_memory(DEVICE) is None
    again.close()
