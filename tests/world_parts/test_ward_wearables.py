"""The ward's oximeters and straps on the air, read by the agent's own link and loop: spot checks kept, acts as summaries."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bleak import BleakScanner

from device_profiles.loader import load_profiles
from drivers.sim.fleet import Act, Device, heart_rate, saturation
from drivers.sim.scenarios import Orders, Scenario, plan
from drivers.sim.world.central import open_radio
from drivers.sim.world.ward import Setting, run
from edge.drive import Ended, Outcome, drive
from edge.links.ble import open_ble
from gateway.contract.session import Reading, UnitInfo
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found

PATIENCE_S = 30.0
ZONE = ZoneInfo("Asia/Shanghai")
PROFILES = load_profiles()
ORDERS = Orders(seed=7, every_s=5.0, cuffs=0, meters=0, oximeters=1, straps=1)
OXIMETER, STRAP = plan(Scenario.DEMO, ORDERS)[-2:]


@dataclass
class Ward:
    """A ward that runs beside the test, and what it wrote."""

    folder: Path
    lines: asyncio.Queue[str]

    async def line(self, part: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while part not in await self.lines.get():
                pass

    @property
    def measured(self) -> list[dict[str, Any]]:
        lines = (self.folder / "truth.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        return [line for line in told if line["event"] == "measured"]


@asynccontextmanager
async def ward(folder: Path, device: Device, seconds: float = 0) -> AsyncGenerator[Ward]:
    lines, end = asyncio.Queue[str](), asyncio.Event()
    setting = Setting(folder, (device,), seconds=seconds, zone=ZONE)
    running = asyncio.create_task(run(setting, SystemClock(), say=lines.put_nowait, end=end))
    alive = Ward(folder, lines)
    await alive.line("on the air")
    ready = json.loads((folder / "ready.json").read_text())
    assert ready["devices"][0]["link"] == "ble"
    try:
        async with open_radio(ready["radio"]):
            yield alive
    finally:
        end.set()
        await running


@dataclass
class Filed:
    """A host of the agent's loop that keeps all in memory."""

    readings: list[Reading] = field(default_factory=list[Reading])
    clocks: list[datetime] = field(default_factory=list[datetime])
    facts: dict[str, str] = field(default_factory=dict[str, str])
    cursor: str | None = None

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None  # noqa: ARG002
    ) -> None:  # fmt: skip
        self.readings += readings
        self.cursor = self.cursor if cursor is None else cursor

    async def before_subscribing(self) -> None:
        pass

    async def show_clock(self, at: float, shown: datetime) -> None:  # noqa: ARG002
        self.clocks.append(shown)

    async def check(self, facts: Mapping[str, str]) -> None:
        self.facts |= facts

    async def late(self, ended: Ended) -> None:
        pass


async def visit(device: Device, cursor: str | None = None) -> tuple[Filed, Ended]:
    """Scan, connect, and read as the agent does."""
    filed, clock = Filed(), SystemClock()
    profile = replace(PROFILES[device.profile], quiet_s=2.0)
    now = lambda: clock.now().timestamp()  # noqa: E731 a clock in one line
    async with asyncio.timeout(PATIENCE_S):
        near = await BleakScanner.find_device_by_address(device.place, timeout=PATIENCE_S)
        assert near is not None
        link = await open_ble(near, profile.channels, now)
        session = found(DRIVERS)[profile.driver].load().open(UnitInfo(profile, cursor))
        ended = await drive(session, link, filed, deadline_s=profile.deadline_s, now=now)
    return filed, ended


def told(reading: Reading) -> dict[str, str]:
    assert all(isinstance(part, Quantity) for part in reading.parts.values())
    return {
        name: str(part.number) for name, part in reading.parts.items() if isinstance(part, Quantity)
    }


def true(line: dict[str, Any]) -> dict[str, str]:
    return {name: part["value"] for name, part in line["parts"].items()}


async def test_an_oximeter_tells_what_it_keeps_and_only_what_is_new_the_next_time(
    tmp_path: Path,
) -> None:
    later = Act(8.0, saturation(98, 61))
    device = replace(OXIMETER, acts=(*OXIMETER.acts, later), rhythm=None)
    async with ward(tmp_path, device, seconds=30) as alive:
        first, ended = await visit(device)
        await alive.line("measures")
        second, _ = await visit(device, first.cursor)

    assert ended.outcome in (Outcome.FINISHED, Outcome.CLOSED), ended.why
    assert first.facts["serial_number"] == device.serial
    assert len(first.clocks) == 1
    heard = [*first.readings, *second.readings]
    assert [told(one) for one in heard] == [true(line) for line in alive.measured]
    assert [one.taken.isoformat() for one in heard if one.taken] == [
        line["raw_time"] for line in alive.measured
    ]


async def test_a_strap_that_is_worn_once_is_one_summary(tmp_path: Path) -> None:
    device = replace(STRAP, acts=(Act(0.5, heart_rate(88)),), rhythm=None)
    async with ward(tmp_path, device, seconds=30) as alive:
        heard, ended = await visit(device)

    (one,), (line,) = heard.readings, alive.measured
    assert told(one) == true(line)
    assert one.context["sensor_location"] == "chest"
    assert one.context["window_samples"] == "5"
    assert line["memory"] == "aired"
    assert ended.outcome in (Outcome.FINISHED, Outcome.CLOSED), ended.why


def test_a_fleet_holds_wearables_only_where_they_are_ordered() -> None:
    plain = Orders(seed=7, every_s=5.0, cuffs=1, meters=1, ble_meters=1, scales=1)
    wearables = {"pulse_oximetry", "heart_rate"}
    for scenario in Scenario:
        assert not wearables & {device.kind for device in plan(scenario, plain)}
    ordered = plan(Scenario.KILL, replace(plain, oximeters=2))
    assert [device.kind for device in ordered].count("pulse_oximetry") == 2
    assert (OXIMETER.kind, STRAP.kind) == ("pulse_oximetry", "heart_rate")
