"""The ward's glucose meters on the air, read by the agent's own link and loop: kept memory, lost links, exact resumption."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError, BleakGATTProtocolError

from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.glucose.session import DRIVER
from drivers.sim.fleet import Act, ClockPlan, Device, glucose, millimoles, normal_values
from drivers.sim.truth import TruthFile
from drivers.sim.world.air import Air
from drivers.sim.world.ble_meter import BleMeter
from drivers.sim.world.central import open_radio
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.ward import Setting, run
from drivers.sim.world.wearer import Diary, Wearer
from edge.drive import Ended, Outcome, drive
from edge.links.ble import open_ble
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Limit
from gateway.runtime.clock import SystemClock, from_iso

PATIENCE_S = 20.0
SILENCE_S = 0.6
ZONE = ZoneInfo("Asia/Shanghai")
ADDRESS = "C8:25:E3:00:00:01"
CONTROL_POINT = "00002a52-0000-1000-8000-00805f9b34fb"
PROFILES = load_profiles()


def meter(*acts: Act, profile: str = "generic/glucose", hangs_up: bool = False,
          clock: ClockPlan | None = None) -> Device:  # fmt: skip
    return Device(
        serial="00000001", maker="Virtual Meters", model="VG-100", firmware="1.4.2", profile=profile,
        kind="glucose", place=ADDRESS, story="under test", acts=acts, hangs_up=hangs_up,
        clock=clock or ClockPlan(),
    )  # fmt: skip


def past(records: int) -> tuple[Act, ...]:
    values = islice(normal_values("glucose", "past"), records)
    return tuple(Act(-10_000.0 + 100 * turn, parts) for turn, parts in enumerate(values))


class Ward:
    """A ward that runs beside the test, and what it wrote."""

    def __init__(self, folder: Path, device: Device) -> None:
        self.folder = folder
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.end = asyncio.Event()
        setting = Setting(folder, (device,), seconds=0, zone=ZONE)
        self.running = asyncio.create_task(
            run(setting, SystemClock(), say=self.lines.put_nowait, end=self.end)
        )

    async def line(self, part: str) -> str:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if part in (line := await self.lines.get()):
                    return line

    @property
    def measured(self) -> list[dict[str, Any]]:
        lines = (self.folder / "truth.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        return [line for line in told if line["event"] == "measured"]


@asynccontextmanager
async def ward(folder: Path, device: Device) -> AsyncGenerator[Ward]:
    alive = Ward(folder, device)
    await alive.line("on the air")
    ready = json.loads((folder / "ready.json").read_text())
    try:
        async with open_radio(ready["radio"]):
            yield alive
    finally:
        alive.end.set()
        await alive.running


@dataclass
class Filed:
    """A host of the agent's loop that keeps all in memory."""

    readings: list[Reading] = field(default_factory=list[Reading])
    shown: list[datetime] = field(default_factory=list[datetime])
    facts: dict[str, str] = field(default_factory=dict[str, str])
    cursor: str | None = None

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None
    ) -> None:
        assert arrived is None or arrived > 0
        self.readings += readings
        self.cursor = self.cursor if cursor is None else cursor

    async def before_subscribing(self) -> None:
        pass

    async def show_clock(self, at: float, shown: datetime) -> None:
        assert at > 0
        self.shown.append(shown)

    async def check(self, facts: Mapping[str, str]) -> None:
        self.facts |= facts

    async def late(self, ended: Ended) -> None:
        pass


async def visit(cursor: str | None = None, profile: str = "generic/glucose") -> tuple[Filed, Ended]:
    """Scan, connect, and read as the agent does."""
    filed, bound, clock = Filed(), PROFILES[profile], SystemClock()
    now = lambda: clock.now().timestamp()  # noqa: E731 a clock in one line
    async with asyncio.timeout(PATIENCE_S):
        device = await BleakScanner.find_device_by_address(ADDRESS, timeout=PATIENCE_S)
        assert device is not None
        link = await open_ble(device, bound.channels, now)
        session = DRIVER.open(UnitInfo(bound, cursor))
        ended = await drive(session, link, filed, deadline_s=bound.deadline_s, now=now)
    return filed, ended


def as_told(line: dict[str, Any]) -> tuple[str, str, bool]:
    value = line["parts"]["value"]
    return line["raw_time"], str(value.get("value", value.get("limit"))), bool(line["marks"])


def as_heard(told: Reading) -> tuple[str, str, bool]:
    part = told.parts["value"]
    value = part.value if isinstance(part, Limit) else str(part.number)
    assert told.taken is not None
    return told.taken.isoformat(), value, "control" in told.marks


@pytest.mark.parametrize("profile", ["generic/glucose", "roche/accu-chek-guide"])
async def test_a_meter_tells_its_memory_once_and_keeps_it(tmp_path: Path, profile: str) -> None:
    acts = (*past(3), Act(-600, glucose(Limit.BELOW)), Act(-500, millimoles("5.4")),
            Act(-400, glucose(45), frozenset({"control"})))  # fmt: skip
    async with ward(tmp_path, meter(*acts, profile=profile)) as alive:
        filed, ended = await visit(profile=profile)
        measured = alive.measured
        assert await BleakScanner.find_device_by_address(ADDRESS, timeout=SILENCE_S) is None

    assert ended.outcome is Outcome.FINISHED
    assert [as_heard(told) for told in filed.readings] == [as_told(line) for line in measured]
    assert {line["memory"] for line in measured} == {"kept"}
    assert [told.sequence for told in filed.readings] == [1, 2, 3, 4, 5, 6]
    assert ["meal" in told.context for told in filed.readings] == [False, True] * 3
    assert filed.facts["serial_number"] == "00000001"
    assert filed.cursor is not None


async def test_ready_json_names_it_as_a_device_on_the_air(tmp_path: Path) -> None:
    async with ward(tmp_path, meter(*past(1))) as alive:
        (row,) = json.loads((alive.folder / "ready.json").read_text())["devices"]

    assert (row["link"], row["address"], row["kind"]) == ("ble", ADDRESS, "glucose")


async def test_a_clock_that_is_off_is_shown_beside_the_box(tmp_path: Path) -> None:
    async with ward(tmp_path, meter(*past(1), clock=ClockPlan(offset_s=1500))) as alive:
        filed, _ = await visit()
        (line,) = alive.measured

    (shown,) = filed.shown
    now = datetime.now(ZONE).replace(tzinfo=None)
    assert 1490 < (shown - now).total_seconds() < 1510
    true = from_iso(line["true_time"]).astimezone(ZONE).replace(tzinfo=None)
    assert filed.readings[0].taken is not None
    assert (filed.readings[0].taken - true).total_seconds() == 1500


async def test_a_meter_that_hangs_up_in_mid_transfer_is_resumed_exactly(tmp_path: Path) -> None:
    async with ward(tmp_path, meter(*past(8), hangs_up=True)) as alive:
        # It answers the count first: a count is too short to hang up in.
        first, broken = await visit()
        second, ended = await visit(first.cursor)
        truth = [as_told(line) for line in alive.measured]

    assert broken.outcome is Outcome.CLOSED
    told = [as_heard(reading) for reading in first.readings]
    assert told == truth[: len(told)]
    assert 0 < len(told) < 8
    assert first.cursor is None
    assert ended.outcome is Outcome.FINISHED
    assert [as_heard(reading) for reading in second.readings] == truth


@asynccontextmanager
async def alone(folder: Path, records: int) -> AsyncGenerator[BleMeter]:
    """A meter without a ward, so that the test has it in hand."""
    air, device = Air(), meter(*past(records))
    with TruthFile(folder / "truth.jsonl") as truth:
        diary = Diary(truth, SystemClock(), lambda _: None, asyncio.Event(), count(1))
        lone = BleMeter(device, ZONE, air, diary)
        await Wearer(device, lone, diary).recall(SystemClock().now())
        await lone.begin()
        try:
            async with serve_radio(air) as address, open_radio(address):
                yield lone
        finally:
            await lone.close()


async def test_a_link_that_is_lost_in_mid_transfer_costs_no_record(tmp_path: Path) -> None:
    async with alone(tmp_path, 60) as lone:
        reading = asyncio.create_task(visit())
        async with asyncio.timeout(PATIENCE_S):
            while not lone.told > 20:  # noqa: ASYNC110 the radio has no event for a record
                await asyncio.sleep(0.005)
        lone.lose_link()
        first, broken = await reading
        second, ended = await visit(first.cursor)

    assert broken.outcome is Outcome.CLOSED
    assert first.cursor is None
    assert 0 < len(first.readings) < 60
    assert ended.outcome is Outcome.FINISHED
    assert [told.sequence for told in second.readings] == list(range(1, 61))
    assert lone.reports == 1


async def test_a_second_request_is_refused_while_one_runs_and_an_abort_ends_it(
    tmp_path: Path,
) -> None:
    async with alone(tmp_path, 200), BleakClient(ADDRESS, timeout=PATIENCE_S) as client:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        with pytest.raises(BleakGATTProtocolError) as unsubscribed:
            await client.write_gatt_char(CONTROL_POINT, b"\1\1", response=True)
        await client.start_notify(CONTROL_POINT, lambda _, data: heard.put_nowait(bytes(data)))
        await client.write_gatt_char(CONTROL_POINT, b"\1\1", response=True)
        with pytest.raises(BleakGATTProtocolError) as running:
            await client.write_gatt_char(CONTROL_POINT, b"\1\1", response=True)
        await client.write_gatt_char(CONTROL_POINT, b"\3\0", response=True)
        async with asyncio.timeout(PATIENCE_S):
            answer = await heard.get()
        with pytest.raises(BleakError):
            await client.write_gatt_char(
                "00002a08-0000-1000-8000-00805f9b34fb", b"\0", response=True
            )

    assert (int(unsubscribed.value.code), int(running.value.code)) == (0xFD, 0xFE)
    assert racp.decode_answer(answer) == racp.Answer(racp.Op.ABORT, racp.Outcome.SUCCESS)
