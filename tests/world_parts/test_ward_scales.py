"""The ward's scales on the virtual air, heard by the agent's own radio, ear and visits: each weighing once, as the truth says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bleak import BleakScanner

from device_profiles.loader import load_profiles
from drivers.sim.fleet import Act, ClockPlan, Device, weight
from drivers.sim.scenarios import Orders, Scenario, plan
from drivers.sim.world.central import open_radio
from drivers.sim.world.ward import Setting, run
from drivers.vendor.xiaomi_scale.session import DRIVER
from edge.binding import ADVERT, Binding
from edge.filing import Box, standing_at
from edge.links.ble_radio import BleRadio
from edge.outbox.port import AsyncOutbox
from edge.overhear import Ear, overhear
from edge.quarantine import Quarantine
from edge.radio import Radio
from edge.scan import Bells, Visited
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters

PATIENCE_S = 45.0
ZONE = ZoneInfo("Asia/Shanghai")
ADDRESS = "5C:CA:D3:00:00:01"
PROFILE = load_profiles()["xiaomi/mi-scale-v2"]


def scale(*acts: Act, clock: ClockPlan | None = None) -> Device:
    return Device(
        serial="scale-1", maker="Xiaomi", model="Mi Body Composition Scale", firmware="",
        profile="xiaomi/mi-scale-v2", kind="body_weight", place=ADDRESS, story="under test",
        acts=acts, clock=clock or ClockPlan(),
    )  # fmt: skip


@dataclass
class Ward:
    """A ward with one scale, and what it wrote."""

    folder: Path
    radio: str

    def measured(self) -> list[dict[str, Any]]:
        lines = (self.folder / "truth.jsonl").read_text().splitlines()
        return [told for line in lines if (told := json.loads(line))["event"] == "measured"]


@asynccontextmanager
async def ward(folder: Path, device: Device) -> AsyncIterator[Ward]:
    end = asyncio.Event()
    lines: asyncio.Queue[str] = asyncio.Queue()
    setting = Setting(folder, (device,), seconds=60.0, zone=ZONE)
    running = asyncio.create_task(run(setting, SystemClock(), say=lines.put_nowait, end=end))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "on the air" not in await lines.get():
                pass
        ready = json.loads((folder / "ready.json").read_text())
        assert ready["devices"][0]["link"] == "advert"
        yield Ward(folder, ready["radio"])
    finally:
        end.set()
        await asyncio.wait_for(running, PATIENCE_S)


class Agent:
    """The parts of an agent that hear one scale."""

    def __init__(self, folder: Path, radio: str, outbox: AsyncOutbox) -> None:
        clock, counters = SystemClock(), Counters()
        self._told = asyncio.Event()
        box = Box(
            agent="box-1", data_dir=folder, tenant_key=b"k" * 32, zone=ZONE, clock=clock,
            outbox=outbox, windows=Windows(), counters=counters,
            quarantine=Quarantine.open(folder), unread=UnreadFrames(folder), wake=self._told.set,
        )  # fmt: skip
        self.unit = Unit(
            box, Binding(ADDRESS, ADVERT, PROFILE, DRIVER, third_party=False, every_s=60)
        )
        self.ear = Ear(ADDRESS, PROFILE.advertised, clock.monotonic)
        bells = Bells({ADDRESS: self.ear})
        self._radio = Radio(BleRadio("hci-tcp", radio), bells.hear, clock, counters, Random(1))
        self._outbox = outbox

    async def _visit(self) -> Visited:
        return await self.unit.visit(
            self.ear.open, standing_at(self.unit.binding, lasting=self.ear.lasting)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._radio.run()),
            asyncio.create_task(overhear(self.ear, self._visit, Random(1))),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def issued(self) -> int:
        return (await self._outbox.status()).issued

    async def until(self, readings: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.issued() < readings:
                await self._told.wait()
                self._told.clear()


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[AsyncOutbox]:
    (tmp_path / "box").mkdir(mode=0o700)
    outbox = await AsyncOutbox.open(tmp_path / "box" / "outbox.sqlite", "box-1", SystemClock())
    yield outbox
    await outbox.close()


async def filed(outbox: AsyncOutbox) -> list[dict[str, Any]]:
    batch = await outbox.next_batch(100, live=False, skip=frozenset(), bytes_max=200_000)
    assert batch is not None
    return [json.loads(row.body) for row in batch.rows]


async def test_each_weighing_is_filed_once_as_the_truth_tells_it(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    device = scale(Act(0.5, weight("72.40", "kg")), Act(9.0, weight("144.80", "jin")))
    async with ward(tmp_path / "ward", device) as alive:
        agent = Agent(tmp_path / "box", alive.radio, outbox)
        async with agent.running():
            await agent.until(4)
            # The second goes on being shown, and is then taken off: no third may come of that.
            await asyncio.sleep(5.0)
        assert agent.unit.trouble is None
        truth = alive.measured()
    rows = await filed(outbox)
    # Each is told as it stands, and again under its name with the impedance.
    told = rows[::2]
    assert [(one["key"], "context" in one) for one in rows[1::2]] == [
        (one["key"], True) for one in told
    ]
    assert [one["memory"] for one in truth] == ["aired", "aired"]
    assert [one["time"]["device"] for one in told] == [one["raw_time"] for one in truth]
    shown = [one["parts"]["weight"] for one in told]
    assert [(part.get("original") or part)["value"] for part in shown] == ["72.40", "144.80"]
    assert [part["value"] for part in shown] == ["72.40", "72.4"]
    for one, true in zip(told, truth, strict=True):
        utc, when = (datetime.fromisoformat(at) for at in (one["time"]["utc"], true["true_time"]))
        assert utc - timedelta(seconds=one["time"]["early_s"]) <= when
        assert when <= utc + timedelta(seconds=one["time"]["late_s"])


async def test_an_agent_that_comes_back_in_mid_burst_files_no_second(
    tmp_path: Path, outbox: AsyncOutbox
) -> None:
    device = scale(Act(0.5, weight("72.40", "kg")), clock=ClockPlan(dead=True))
    async with ward(tmp_path / "ward", device) as alive:
        first = Agent(tmp_path / "box", alive.radio, outbox)
        async with first.running():
            await first.until(1)
        again = Agent(tmp_path / "box", alive.radio, outbox)
        async with again.running(), asyncio.timeout(PATIENCE_S):
            await again.ear.next()  # the scale still shows it
            await asyncio.sleep(4.0)
        assert await again.issued() == 1
        assert len(alive.measured()) == 1


async def test_a_scale_says_nothing_until_somebody_steps_on(tmp_path: Path) -> None:
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    device = scale(Act(2.0, weight("72.40", "kg")))
    async with (
        ward(tmp_path / "ward", device) as alive,
        open_radio(alive.radio),
        BleakScanner(lambda seen, _: heard.put_nowait((seen.address, len(alive.measured())))),
    ):
        assert await asyncio.wait_for(heard.get(), PATIENCE_S) == (ADDRESS, 1)


def test_the_demo_has_a_scale_and_the_killed_ward_none_unless_asked() -> None:
    orders = Orders(seed=1, every_s=10.0, cuffs=1, meters=0, scales=1)
    for scenario in Scenario:
        (one,) = (device for device in plan(scenario, orders) if device.kind == "body_weight")
        assert one.profile == PROFILE.id
    without = replace(orders, scales=0)
    assert all(one.kind != "body_weight" for one in plan(Scenario.KILL, without))
