"""The ward's thermometer and its scale of the standard, read by the product's link and drivers over the virtual radio."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from device_profiles.loader import load_profiles
from drivers.sim.fleet import Device
from drivers.sim.scenarios import Orders, Scenario, plan
from edge.drive import Ended, Outcome, drive
from edge.links.ble_radio import BleRadio, Heard
from gateway.contract.session import UnitInfo
from gateway.model.quantity import Quantity
from gateway.runtime.clock import SystemClock
from gateway.runtime.plugins import DRIVERS, found
from tests.world_parts.test_bluez_sessions import Kept
from tests.world_parts.test_ward_cuffs import PATIENCE_S, Ward

PROFILES = load_profiles()
ORDERS = Orders(seed=1, every_s=3600.0, cuffs=0, meters=0, thermometers=1, sig_scales=1)
DEVICES: Mapping[str, Device] = {
    one.profile: one
    for one in plan(Scenario.DEMO, ORDERS)
    if one.profile in ("aandd/ut-201ble", "generic/weight-scale")
}


@asynccontextmanager
async def ward(folder: Path, device: Device) -> AsyncIterator[Ward]:
    alive = Ward(folder, device, 0)
    await alive.line("on the air")
    try:
        yield alive
    finally:
        alive.end.set()
        async with asyncio.timeout(PATIENCE_S):
            await alive.running


async def read(alive: Ward, device: Device) -> tuple[Kept, Ended]:
    """As the agent does: listen, connect to what was heard, drive."""
    ready = json.loads((alive.folder / "ready.json").read_text())
    profile, clock = PROFILES[device.profile], SystemClock()
    radio, heard = BleRadio("hci-tcp", ready["radio"]), asyncio.Queue[Heard]()

    def now() -> float:
        return clock.now().timestamp()

    await radio.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await radio.listen(heard.put_nowait)
            while (one := await heard.get()).address != device.place:
                pass
            link = await radio.connect(one, profile.channels, now)
            host, driver = Kept(), found(DRIVERS)[profile.driver].load()
            ended = await drive(
                driver.open(UnitInfo(profile, zone_offset_s=8 * 3600)), link, host,
                deadline_s=profile.deadline_s, now=now,
            )  # fmt: skip
            return host, ended
    finally:
        await radio.close()


@pytest.mark.parametrize("profile", DEVICES)
async def test_what_it_remembers_is_read_and_then_forgotten(tmp_path: Path, profile: str) -> None:
    device = DEVICES[profile]
    async with ward(tmp_path / "ward", device) as alive:
        told, ended = await read(alive, device)
        truth = alive.told_of("measured")
        confirmed = alive.told_of("confirmed")

    assert ended.outcome is Outcome.CLOSED, ended.why
    shown = [
        {n: (str(p.number), p.unit) for n, p in one.parts.items() if isinstance(p, Quantity)}
        for one in told.readings
    ]
    assert shown == [
        {name: (part["value"], part["unit"]) for name, part in line["parts"].items()}
        for line in truth
    ]
    assert [one.taken and one.taken.isoformat() for one in told.readings] == [
        line["raw_time"] for line in truth
    ]
    assert len(confirmed) == len(truth) == len(device.history)
    assert told.facts["serial_number"] == device.serial
    assert told.clocks


def test_neither_is_there_unless_it_is_asked_for() -> None:
    orders = Orders(seed=1, every_s=10.0, cuffs=1, meters=0)
    for scenario in Scenario:
        assert not {one.profile for one in plan(scenario, orders)} & DEVICES.keys()


def test_a_steady_ward_has_as_many_as_ordered() -> None:
    orders = Orders(
        seed=1, every_s=10.0, cuffs=0, meters=0, ble_meters=0, thermometers=2, sig_scales=2
    )
    devices = plan(Scenario.KILL, orders)
    assert [one.kind for one in devices] == ["body_temperature"] * 2 + ["body_weight"] * 2
    assert len({one.place for one in devices}) == len({one.serial for one in devices}) == 4
