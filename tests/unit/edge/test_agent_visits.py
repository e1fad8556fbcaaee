"""A visit from link to outbox: enrolment, the wrong device, another meter on a port, full outboxes, late frames."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge import filing
from edge.binding import Binding
from edge.enrol import Standing
from edge.filing import Box, is_live
from edge.links.memory import MemoryLink
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import OutboxLimits
from edge.quarantine import Quarantine
from edge.scan import Visited
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.contract.authoring import Flow, FlowDriver, listen, wait
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.session import (
    Flush,
    Link,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    ReportFacts,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme
from gateway.model.observation import Moment, Source, TimeMethod
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import LinkError

PROFILE = Profile(
    id="acme/cuff",
    maker="acme",
    model="cuff",
    kind="blood_pressure",
    driver="acme.cuff",
    support="test",
    link="ble",
    identity=IdentityRule(Scheme.ARRIVAL),
    deletes_on_confirm=True,
    quiet_s=0.05,
    deadline_s=5.0,
)
LASTING = Standing("acme.cuff", "C0:11:22:33:44:55", lasting=True)
ON_PORT = Standing("acme.cuff")


def decode(_channel: str, data: bytes) -> Iterator[Reading]:
    for octet in data:
        if octet == 0xFF:
            raise PeerError("octet 255 breaks the protocol")
        yield Reading("blood_pressure", {"systolic": Quantity(Decimal(octet), "mmHg")}, pushed=True)


def visit(unit: UnitInfo, _opened: Opened) -> Flow:
    yield Read("serial_number")
    event = yield from wait()
    if isinstance(event, Received):
        yield ReportFacts({"serial_number": event.data.decode()})
    if unit.cursor is not None:
        yield ReportFacts({"cursor_was": unit.cursor})
    yield from listen(decode, ("measurement",), unit.profile.quiet_s)
    yield Flush("read-all")


DRIVER = FlowDriver("acme.cuff", visit)


@dataclass
class Cuff:
    """States a serial number and pushes records when subscribed to."""

    serial: str | None
    records: tuple[int, ...] = ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Read() if self.serial is not None:
                return [Received(0.0, command.channel, self.serial.encode())]
            case Read():
                return [Refused(0.0, command, 0x0A)]
            case Subscribe():
                records, self.records = self.records, ()
                return [Received(0.0, command.channel, bytes([record])) for record in records]
            case Write():
                return []


@dataclass
class House:
    """A box, and one place in it."""

    box: Box
    binding: Binding
    woken: list[None]

    def __post_init__(self) -> None:
        self.unit = Unit(self.box, self.binding)

    async def visit(self, peer: Cuff, standing: Standing = LASTING) -> Visited:
        async def open_link(now: Callable[[], float]) -> Link:
            return MemoryLink(peer, now)

        return await self.unit.visit(open_link, standing)

    async def held(self) -> dict[str, int]:
        status = await self.box.outbox.status()
        return {
            state.facts.get("serial_number", state.device): state.readings
            for state in status.devices
        }


def house_of(tmp_path: Path, outbox: AsyncOutbox, **changes: object) -> House:
    woken: list[None] = []
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
        wake=lambda: woken.append(None),
    )
    binding = Binding("C0:11:22:33:44:55", "ble", PROFILE, DRIVER, third_party=False, every_s=60)
    return House(box, replace(binding, **changes), woken)  # type: ignore[arg-type]


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[AsyncOutbox]:
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", SystemClock())
    yield outbox
    await outbox.close()


@pytest.fixture
def house(tmp_path: Path, outbox: AsyncOutbox) -> House:
    return house_of(tmp_path, outbox)


@pytest.fixture
def port(tmp_path: Path, outbox: AsyncOutbox) -> House:
    kept = replace(PROFILE, deletes_on_confirm=False, link="serial")
    return house_of(tmp_path, outbox, place="/dev/ttyUSB0", link="serial", profile=kept)


async def test_the_first_visit_enrols_and_files_under_what_the_device_states(house: House) -> None:
    visited = await house.visit(Cuff("A-77", (120, 130)))
    assert visited == Visited(well=True, readings=2)
    assert await house.held() == {"A-77": 2}
    assert len(house.woken) == 2
    assert house.unit.trouble is None
    assert house.box.windows.figures().count == 2
    enrolled = await house.box.outbox.enrolled("C0:11:22:33:44:55")
    assert enrolled is not None
    assert enrolled.facts == {"serial_number": "A-77"}


async def test_the_next_visit_goes_on_from_the_cursor(house: House) -> None:
    await house.visit(Cuff("A-77"))
    await house.visit(Cuff("A-77"))
    enrolled = await house.box.outbox.enrolled("C0:11:22:33:44:55")
    assert enrolled is not None
    assert enrolled.facts["cursor_was"] == "read-all"


async def test_another_device_at_an_enrolled_address_is_trouble_and_nothing_of_it_is_filed(
    house: House,
) -> None:
    await house.visit(Cuff("A-77", (120,)))
    stranger = Cuff("B-1", (200,))
    visited = await house.visit(stranger)
    assert not visited.well
    assert await house.held() == {"A-77": 1}
    assert stranger.records == (200,)  # it was not even subscribed to, so it still has its reading
    assert "serial number 'B-1'; enrolled here is 'A-77'" in str(house.unit.trouble)
    states = (await house.box.outbox.status()).devices
    assert "B-1" in str(states[0].trouble)
    assert (await house.visit(Cuff("A-77", (121,)))).well
    assert await house.held() == {"A-77": 2}
    assert house.unit.trouble is None


async def test_a_device_that_nothing_names_is_not_subscribed_to(house: House) -> None:
    cuff = Cuff("000000", (120,))
    visited = await house.visit(cuff, replace(LASTING, lasting=False))
    assert not visited.well
    assert cuff.records == (120,)
    assert "nothing names it" in str(house.unit.trouble)


async def test_a_device_without_a_serial_number_goes_by_its_lasting_address(house: House) -> None:
    await house.visit(Cuff(None, (120,)))
    enrolled = await house.box.outbox.enrolled("C0:11:22:33:44:55")
    assert enrolled is not None
    assert await house.held() == {enrolled.device: 1}


async def test_another_meter_on_a_port_is_read_under_its_own_id_from_its_own_beginning(
    port: House,
) -> None:
    assert (await port.visit(Cuff("A-65", (100,)), ON_PORT)).well
    changed = await port.visit(Cuff("B-66", (101,)), ON_PORT)
    assert changed.again
    assert await port.held() == {"A-65": 1, "B-66": 0}
    assert await port.visit(Cuff("B-66", (101,)), ON_PORT) == Visited(well=True, readings=1)
    assert await port.held() == {"A-65": 1, "B-66": 1}
    back = await port.visit(Cuff("A-65", (102,)), ON_PORT)
    assert back.again
    assert (await port.visit(Cuff("A-65", (102,)), ON_PORT)).well
    assert await port.held() == {"A-65": 2, "B-66": 1}
    enrolled = await port.box.outbox.enrolled("/dev/ttyUSB0")
    assert enrolled is not None
    assert enrolled.facts["cursor_was"] == "read-all"


async def test_a_meter_that_is_another_each_time_is_not_read_in_a_hot_loop(port: House) -> None:
    await port.visit(Cuff("A-65"), ON_PORT)
    assert (await port.visit(Cuff("B-66"), ON_PORT)).again
    visited = await port.visit(Cuff("C-67"), ON_PORT)
    assert not visited.again
    assert not visited.well


async def test_a_full_outbox_leaves_the_reading_on_the_cuff(tmp_path: Path) -> None:
    limits = OutboxLimits(rows_max=1)
    outbox = await AsyncOutbox.open(tmp_path / "small.sqlite", "box-1", SystemClock(), limits)
    try:
        house = house_of(tmp_path, outbox)
        await house.visit(Cuff("A-77", (120,)))
        cuff = Cuff("A-77", (130,))
        visited = await house.visit(cuff)
        assert not visited.well
        assert cuff.records == (130,)
        assert "100.0% full" in str(house.unit.trouble)
    finally:
        await outbox.close()


async def test_an_outbox_that_refuses_for_a_moment_costs_no_reading(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "ROOM_USED_MAX", 2.0)
    monkeypatch.setattr(filing, "ACCEPT_PAUSE_S", 0.01)
    outbox = house.box.outbox
    await house.visit(Cuff("A-77", (119,)))
    wrapped = outbox._outbox
    limits, wrapped._limits = wrapped._limits, OutboxLimits(rows_max=1)
    visiting = asyncio.create_task(house.visit(Cuff("A-77", (120,))))
    async with asyncio.timeout(30):
        while not house.box.counters.snapshot().get("outbox.refused"):  # noqa: ASYNC110 a counter has no event
            await asyncio.sleep(0.005)
    wrapped._limits = limits
    assert (await visiting).readings == 1


async def test_a_place_that_cannot_be_reached_says_why(house: House) -> None:
    async def open_link(now: Callable[[], float]) -> Link:
        raise LinkError(f"connect: no answer at {now() > 0}")

    visited = await house.unit.visit(open_link, LASTING)
    assert not visited.well
    assert house.unit.trouble == "connect: no answer at True"


async def test_a_frame_that_nobody_can_read_is_kept_as_it_came_and_those_behind_it_are_read(
    tmp_path: Path, house: House
) -> None:
    await house.visit(Cuff("A-77", (120, 0xFF, 130)))
    assert await house.held() == {"A-77": 2}
    kept = (tmp_path / "unread.jsonl").read_text()
    assert '"hex": "ff"' in kept
    assert kept.count("\n") == 1


async def test_behind_a_frame_at_which_a_driver_breaks_off_those_that_came_are_read(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    def abrupt(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Subscribe("measurement")
        while True:
            if isinstance(event := (yield from wait()), Received):
                yield from map(Report, decode(event.channel, event.data))
                yield Flush()

    house = house_of(tmp_path, outbox, driver=FlowDriver("acme.cuff", abrupt))
    await house.visit(Cuff("A-77", (120, 0xFF, 130)))
    (readings,) = (await house.held()).values()
    assert readings == 2
    kept = (tmp_path / "unread.jsonl").read_text()
    assert '"hex": "ff"' in kept
    assert kept.count("\n") == 1
    assert house.box.counters.snapshot()["frames.salvaged"] == 1


async def test_a_driver_that_raises_twice_is_unserved(tmp_path: Path, outbox: AsyncOutbox) -> None:
    def broken(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Report(Reading("blood_pressure", {}))
        raise ZeroDivisionError

    house = house_of(tmp_path, outbox, driver=FlowDriver("acme.cuff", broken))
    for _ in range(2):
        assert not (await house.visit(Cuff("A-77", (120,)))).well
    cuff = Cuff("A-77", (120,))
    await house.visit(cuff)
    assert "unserved: driver acme.cuff raised ZeroDivisionError" in str(house.unit.trouble)
    assert cuff.records == (120,)


@pytest.mark.parametrize(
    ("age_h", "known", "source", "live"),
    [
        (0, True, Source.PUSHED, True),
        (1.9, True, Source.MEMORY, True),
        (2.1, True, Source.PUSHED, False),
        (9, False, Source.PUSHED, True),
        (0, False, Source.MEMORY, False),
    ],
)
def test_what_is_live_goes_before_the_backlog(
    age_h: float, source: Source, *, known: bool, live: bool
) -> None:
    now = datetime(2026, 3, 14, 12, tzinfo=UTC)
    taken = datetime.fromtimestamp(now.timestamp() - age_h * 3600, UTC).isoformat()
    moment = Moment(utc=taken, method=TimeMethod.CORRECTED, known=known)
    assert is_live(moment, source, now) is live


def test_the_facts_of_a_visit_are_a_mapping_of_text() -> None:
    facts: Mapping[str, str] = ReportFacts({"serial_number": "x"}).facts
    assert facts["serial_number"] == "x"


async def test_a_driver_that_tells_a_number_as_text_costs_its_own_visit_alone(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    def broken(_unit: UnitInfo, _opened: Opened) -> Flow:
        yield Report(Reading("blood_pressure", {"systolic": "120 mmHg"}))  # type: ignore[dict-item]
        yield Flush()

    house = house_of(tmp_path, outbox, driver=FlowDriver("acme.cuff", broken))
    for _ in range(2):
        assert not (await house.visit(Cuff("A-77", (120,)))).well
    await house.visit(Cuff("A-77", (120,)))
    assert "unserved: driver acme.cuff raised TypeError" in str(house.unit.trouble)


async def test_a_device_that_nothing_names_is_not_said_to_be_another_than_the_enrolled_one(
    port: House,
) -> None:
    visited = await port.visit(Cuff(None, (120,)), ON_PORT)
    assert not visited.well
    assert await port.held() == {}
    assert port.unit.trouble == (
        "not filed, since it isn't known whose it is: "
        "it states neither serial number nor System ID, on a cable: nothing names it"
    )
