"""What is in the house: a cuff, a glucose meter, a glucose sensor and an oximeter on one air, what they know to be true, and the box.

Judges nothing.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from drivers.sim.fleet import Act, Device, glucose, pressure
from drivers.sim.scenarios import Orders, kill
from drivers.sim.truth import TruthFile
from drivers.sim.world.air import Air
from drivers.sim.world.ble_meter import BleMeter
from drivers.sim.world.cuff import Cuff
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.security import lock
from drivers.sim.world.wearer import Diary, Wearer
from gateway.model.observation import Observation
from gateway.runtime.clock import SystemClock
from tests.bluez_vm.bonds import Bonds
from tests.bluez_vm.box import Box
from tests.bluez_vm.oximeter import WornOximeter
from tests.bluez_vm.oximeter import device as oximeter_device
from tests.bluez_vm.sensor import SensorOnAir
from tests.bluez_vm.sensor import device as sensor_device

ZONE = ZoneInfo("UTC")
_DAY_S = 86_400

Reading = tuple[str, str, tuple[tuple[str, str], ...]]
"""Serial number, the device's own time, and its digits."""


@dataclass
class House:
    """`bonds`: what BlueZ holds on its disk, where it is the real one."""

    box: Box
    cuff: Cuff
    meter: BleMeter
    sensor: SensorOnAir
    oximeter: WornOximeter
    diary: Diary
    bonds: Bonds | None

    async def measure(self, *, pressures: int = 0, sugars: int = 0) -> None:
        """Measure now, with cuff or meter; the truth has it first."""
        number = sum(self.truth("blood_pressure", "glucose").values())
        for turn in range(number, number + pressures):
            await self._measure("cuff", Act(0, pressure(110 + turn, 70 + turn, 60 + turn)))
        for turn in range(number, number + sugars):
            await self._measure("meter", Act(0, glucose(90 + turn)))

    async def _measure(self, which: str, act: Act) -> None:
        worn = self.cuff if which == "cuff" else self.meter
        device = replace(self.box.devices[which], acts=(act,))
        await Wearer(device, worn, self.diary).measure(self.diary.clock.monotonic(), None)
        # The second that a device stores is the measurement's name.
        await asyncio.sleep(1.0)

    def truth(self, *kinds: str) -> Counter[Reading]:
        """What was measured, as the devices have it."""
        told = [one for one in self._lines() if one["event"] == "measured" and one["kind"] in kinds]
        return Counter((one["serial"], one["raw_time"], _digits(one["parts"])) for one in told)

    def unconfirmed(self) -> int:
        """How many measurements the cuff still holds: it forgets what it was confirmed."""
        lines = list(self._lines())
        deleting = [one for one in lines if one["event"] == "measured" and one["memory"] == "deleted"]  # fmt: skip
        return len(deleting) - sum(one["event"] == "confirmed" for one in lines)

    def _lines(self) -> list[dict[str, Any]]:
        return list(map(json.loads, (self.box.folder / "truth.jsonl").read_text().splitlines()))

    def told(self, *kinds: str) -> Counter[Reading]:
        """The same as the outbox holds it."""
        serials = {line["device"]: line["serial"] for line in self.box.lines().values()}
        return Counter(
            (serials.get(one.device) or "?", one.time.device or "?", _originals(one))
            for one in self.box.observations()
            if one.kind in kinds
        )

    def radio(self, which: str) -> VirtualPeripheral:
        """A device's radio: who it is bonded with, and how that came about."""
        radios = {"cuff": self.cuff._radio, "meter": self.meter._radio, "sensor": self.sensor.radio}
        return radios[which]


def _digits(parts: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, part["value"]) for name, part in parts.items()))


def _originals(one: Observation) -> tuple[tuple[str, str], ...]:
    told = {
        name: part.original.value if part.original else part.value or "?"
        for name, part in one.parts.items()
    }
    return tuple(sorted(told.items()))


@contextlib.asynccontextmanager
async def house(
    air: Air, folder: Path, patience_s: float, bonds: Bonds | None
) -> AsyncGenerator[House]:
    """All devices on the air, cuff and meter with a past; the box's settings name them."""
    said: list[str] = []
    cuff, meter = _cuff_and_meter()
    devices = {
        "cuff": cuff, "meter": meter, "sensor": sensor_device(), "oximeter": oximeter_device(),
    }  # fmt: skip

    def shown(which: str) -> list[str]:
        head = f"{devices[which].serial} shows the passkey "
        return [line.removeprefix(head) for line in said if line.startswith(head)]

    with TruthFile(folder / "truth.jsonl") as truth:
        diary = Diary(truth, SystemClock(), said.append, asyncio.Event(), count(1))
        there = House(
            Box(folder, devices, shown, patience_s, frozenset({"oximeter"})),
            Cuff(cuff, ZONE, air, diary),
            BleMeter(meter, ZONE, air, diary),
            SensorOnAir(devices["sensor"], air, diary),
            WornOximeter(devices["oximeter"], air),
            diary,
            bonds,
        )
        began = diary.clock.now().replace(microsecond=0)
        for device, one in ((cuff, there.cuff), (meter, there.meter)):
            await Wearer(device, one, diary).recall(began)
        on_air = (there.cuff, there.meter, there.sensor, there.oximeter)
        for one in on_air:
            await one.begin()
        try:
            yield there
        finally:
            for one in on_air:
                await one.close()


def _cuff_and_meter() -> tuple[Device, Device]:
    """The cuff pairs Just Works, the meter by passkey."""
    fleet = kill(Orders(seed=1, every_s=3_600, cuffs=1, meters=0, ble_meters=2))
    cuff, meter = (one for one in fleet if one.profile in {"aandd/ua-651ble", "generic/glucose"})
    pressures = (Act(-_DAY_S, pressure(124, 79, 66)), Act(-3_600, pressure(121, 77, 64)))
    sugars = (Act(-_DAY_S, glucose(104)), Act(-7_200, glucose(142)), Act(-3_600, glucose(96)))
    bare = [replace(cuff, acts=pressures, rhythm=None), replace(meter, acts=sugars, rhythm=None)]
    locked = lock(bare, (f"{cuff.serial}=just_works", f"{meter.serial}=passkey"))
    return locked[0], locked[1]
