"""A cuff and a glucose meter that want to be paired, a box that has them enrolled, and its agent as processes.

Knows not whether BlueZ is the real one: both are reached over the system's bus. Judges nothing.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from drivers.sim.fleet import Act, Device, glucose, pressure
from drivers.sim.scenarios import Orders, kill
from drivers.sim.truth import TruthFile
from drivers.sim.world.air import Air
from drivers.sim.world.ble_meter import BleMeter
from drivers.sim.world.cuff import Cuff
from drivers.sim.world.security import lock
from drivers.sim.world.wearer import Diary, Wearer
from edge.outbox.schema import connect_readonly
from edge.outbox.status import read_status
from edge.running import OUTBOX_FILE
from edge.running import read as read_note
from edge.settings import load
from edge.status import DeviceLine, Standing, document
from gateway.model.observation import Observation
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import StoreError

VITALGATE = str(Path(sys.executable).with_name("vitalgate"))
LOOK_EVERY_S = 0.5
END_S_MAX = 60.0
ZONE = ZoneInfo("UTC")
_DAY_S = 86_400

Reading = tuple[str, str, tuple[tuple[str, str], ...]]
"""Serial number, the device's own time, and its digits."""


@dataclass
class House:
    """What is there. `said` is what the devices show and do, last last."""

    folder: Path
    settings: Path
    patience_s: float
    cuff: Cuff
    meter: BleMeter
    devices: Mapping[str, Device]
    diary: Diary
    said: list[str]
    began_s: float = field(default_factory=time.monotonic)
    running: Process | None = None

    def tell(self, line: str) -> None:
        """A line for whoever watches, with the seconds since the start."""
        print(f"[{time.monotonic() - self.began_s:6.1f}] {line}", flush=True)

    async def until(self, what: str, seen: Callable[[], bool]) -> None:
        """Look until it is so. Raises AssertionError with what was waited for, and how the box stands."""
        try:
            async with asyncio.timeout(self.patience_s):
                while not seen():
                    assert self.running is None or self.running.returncode is None, self.log()
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            message = f"not so within {self.patience_s:g} s: {what}; {self.lines()}; {self.log()}"
            raise AssertionError(message) from None
        self.tell(what)

    async def measure(self, *, pressures: int = 0, sugars: int = 0) -> None:
        """Measure now, with either device; the truth has it first."""
        number = len(self.truth())
        for turn in range(number, number + pressures):
            await self._measure("cuff", Act(0, pressure(110 + turn, 70 + turn, 60 + turn)))
        for turn in range(number, number + sugars):
            await self._measure("meter", Act(0, glucose(90 + turn)))

    async def _measure(self, which: str, act: Act) -> None:
        worn = self.cuff if which == "cuff" else self.meter
        device = replace(self.devices[which], acts=(act,))
        await Wearer(device, worn, self.diary).measure(self.diary.clock.monotonic(), None)
        # The second that a device stores is the measurement's name.
        await asyncio.sleep(1.0)

    def truth(self) -> Counter[Reading]:
        """What was measured, as the devices have it."""
        lines = (self.folder / "truth.jsonl").read_text().splitlines()
        told = [line for line in map(json.loads, lines) if line["event"] == "measured"]
        return Counter(
            (line["serial"], line["raw_time"], _digits(line["parts"])) for line in told
        )  # fmt: skip

    def confirmed(self) -> int:
        """How many the cuff has told and forgotten."""
        return (self.folder / "truth.jsonl").read_text().count('"event":"confirmed"')

    def outbox(self) -> Counter[Reading]:
        """What the box holds. Raises StoreError before there is an outbox."""
        serials = {line["device"]: line["serial"] for line in self.lines().values()}
        try:
            db = connect_readonly(load(self.settings).data_dir / OUTBOX_FILE)
        except StoreError:
            return Counter()
        with contextlib.closing(db):
            bodies = [body for (body,) in db.execute("SELECT body FROM rows ORDER BY id")]
        seen = [msgspec.json.decode(body, type=Observation) for body in bodies]
        return Counter(
            (serials.get(one.device) or "?", one.time.device or "?", _originals(one))
            for one in seen
        )

    def lines(self) -> dict[str, DeviceLine]:
        """`edge status` of each place; empty before there is an outbox."""
        told = load(self.settings)
        try:
            outbox = read_status(told.data_dir / OUTBOX_FILE)
        except StoreError:
            return {}
        note = read_note(told.data_dir)
        standing = Standing(told, outbox, note, SystemClock().now())
        return {line["place"]: line for line in document(standing)["devices"]}

    def trouble(self, which: str) -> str:
        """What the box says is wrong with a device."""
        line = self.lines().get(self.devices[which].place)
        return "" if line is None else line["trouble"] or ""

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncGenerator[None]:
        """`vitalgate edge run`, as a box runs it; its log is edge.log."""
        with (self.folder / "edge.log").open("ab") as log:
            process = self.running = await self._vitalgate("edge", "run", out=log.fileno())
        try:
            yield
        finally:
            self.running = None
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(END_S_MAX):
                await process.wait()

    def log(self) -> str:
        """What agents have logged, the end of it."""
        return (self.folder / "edge.log").read_text()[-2_000:]

    async def pair(self, which: str, *options: str, passkey: bool = False) -> str:
        """`vitalgate edge pair`, a person reading the passkey off the device. Gives its exit status and its words."""
        more = (*options, *(("--passkey-from-stdin",) if passkey else ()))
        process = await self._vitalgate("edge", "pair", self.devices[which].place, *more)
        typing = asyncio.create_task(self._type(process)) if passkey else None
        try:
            async with asyncio.timeout(self.patience_s):
                assert process.stdout is not None
                words = (await process.stdout.read()).decode()
                status = await process.wait()
        finally:
            if typing is not None:
                typing.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.tell(f"edge pair {which} {' '.join(more)}: {status}\n{words}")
        return f"{status}: {words}"

    async def _type(self, process: Process) -> None:
        before = len(self.shown())
        while len(self.shown()) == before:  # noqa: ASYNC110 a person looks at the screen
            await asyncio.sleep(LOOK_EVERY_S / 5)
        assert process.stdin is not None
        process.stdin.write(f"{self.shown()[-1]}\n".encode())
        await process.stdin.drain()

    def shown(self) -> list[str]:
        """The passkeys that screens have shown."""
        return [line.split()[-1] for line in self.said if "shows the passkey" in line]

    async def _vitalgate(self, *arguments: str, out: int = PIPE) -> Process:
        return await asyncio.create_subprocess_exec(
            VITALGATE, *arguments, "--settings", str(self.settings),
            stdin=PIPE, stdout=out, stderr=STDOUT, env={**os.environ, "COLUMNS": "400"},
        )  # fmt: skip


def _digits(parts: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, part["value"]) for name, part in parts.items()))


def _originals(one: Observation) -> tuple[tuple[str, str], ...]:
    told = {
        name: part.original.value if part.original else part.value or "?"
        for name, part in one.parts.items()
    }
    return tuple(sorted(told.items()))


@contextlib.asynccontextmanager
async def house(air: Air, folder: Path, patience_s: float) -> AsyncGenerator[House]:
    """Both devices on the air, each with a past; the box's settings name them."""
    fleet = kill(Orders(seed=1, every_s=3_600, cuffs=1, meters=0, ble_meters=2))
    cuff, meter = (one for one in fleet if one.profile in {"aandd/ua-651ble", "generic/glucose"})
    pasts = (
        (Act(-_DAY_S, pressure(124, 79, 66)), Act(-3_600, pressure(121, 77, 64))),
        (Act(-_DAY_S, glucose(104)), Act(-7_200, glucose(142)), Act(-3_600, glucose(96))),
    )
    bare = [replace(one, acts=past, rhythm=None) for one, past in zip((cuff, meter), pasts, strict=True)]  # fmt: skip
    locked = lock(bare, (f"{cuff.serial}=just_works", f"{meter.serial}=passkey"))
    said: list[str] = []
    with TruthFile(folder / "truth.jsonl") as truth:
        diary = Diary(truth, SystemClock(), said.append, asyncio.Event(), count(1))

        worn = (Cuff(locked[0], ZONE, air, diary), BleMeter(locked[1], ZONE, air, diary))
        for device, one in zip(locked, worn, strict=True):
            await Wearer(device, one, diary).recall(diary.clock.now().replace(microsecond=0))
            await one.begin()
        devices: dict[str, Device] = {"cuff": locked[0], "meter": locked[1]}
        settings = _settings(folder, devices)
        try:
            yield House(folder, settings, patience_s, *worn, devices, diary, said)
        finally:
            for one in worn:
                await one.close()


def _settings(folder: Path, devices: Mapping[str, Device]) -> Path:
    settings = folder / "edge.toml"
    text = f'agent = "box-1"\ntenant = "demo"\ndata_dir = "{folder / "edge"}"\nzone = "UTC"\n'
    # No broker: what was read waits in the outbox.
    text += '[mqtt]\nport = 9\n[radio]\nname = "bluez"\n'
    for device in devices.values():
        text += f'[[device]]\nprofile = "{device.profile}"\naddress = "{device.place}"\n'
    settings.write_text(text)
    return settings
