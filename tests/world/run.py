"""One world from one seed: devices, boxes, a broker and a cloud in one process on virtual time, and everything that goes wrong.

A small VOPR: the product's own code runs (visits, filing, outbox, publishing, receipts, ledger check, ingest, rules, projection),
between devices and a broker of the tests. `run(seed)` is a pure function of its seed: it gives the same trace each time.
"""

import asyncio
import gc
import hashlib
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random

from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.store import Records
from device_profiles.loader import load_profiles
from drivers.gatt.blood_pressure.session import DRIVER as CUFF_DRIVER
from drivers.vendor.onetouch_ultra2.session import DRIVER as METER_DRIVER
from edge import publish, reporting
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.session import Driver
from gateway.model.identity import Scheme
from gateway.wire.topics import Branch
from tests.world.broker import Broker, Connection
from tests.world.checks import Checks, micros
from tests.world.cloud import RECORDS, Cloud, TrueClock
from tests.world.devices import ERASER_DRIVER, Cuff, Device, Eraser, Meter
from tests.world.engines import sharing_what_is_compiled
from tests.world.house import Box
from tests.world.people import People
from tests.world.plan import Plan, planned
from tests.world.setting import quiet, seeded, uncollected
from tests.world.truth import Measurement, Trace
from tests.world.verdict import judge
from tests.world.virtual import DeadlockError, VirtualLoop, bury

BEGAN = datetime(2026, 3, 14, 1, 0, tzinfo=UTC)
TENANT = "world"
STATUS_EVERY_S = 400.0  # the product's pace would fill a world with statuses
TEND_S = 2.0
LOOK_S = 30.0
DRAIN_S_MIN = 720.0  # so long a crisis reading waits for its second, and a little
DRAIN_S_MAX = 7_200.0
FINDINGS_MAX = 5
TRACE_SHOWN = 60
SHM = Path("/dev/shm")

ERASER_PROFILE = Profile(
    id="world/eraser",
    maker="world",
    model="eraser",
    kind="glucose",
    driver=ERASER_DRIVER.id,
    support="tests",
    link="serial",
    identity=IdentityRule(Scheme.CLOCK, (datetime(2010, 1, 1),), 31_536_000),
    deadline_s=60.0,
)


@dataclass(frozen=True)
class Outcome:
    """What one seed gave. `findings` is empty where everything held."""

    seed: int
    trace_hash: str
    findings: tuple[str, ...]
    lines: tuple[str, ...] = field(repr=False)
    counts: dict[str, int] = field(repr=False)

    def report(self) -> str:
        """For a person: what was found, the line that runs it again, and how it came to that."""
        shown = "\n".join(self.lines[-TRACE_SHOWN:])
        found = "\n".join(f"  - {finding}" for finding in self.findings)
        return (
            f"seed {self.seed}: {len(self.findings)} findings\n{found}\n"
            f"again: python -m tests.world --seeds {self.seed} --trace\n{shown}"
        )


class World:
    """What all its parts share. `rng` decides everything; `strikes` says whether a fault happens now."""

    tenant, tenant_key = TENANT, b"world" * 6

    def __init__(self, seed: int, folder: Path, loop: VirtualLoop) -> None:
        self.rng, self.folder, self.loop = Random(f"world {seed}"), folder, loop
        self.trace, self.findings = Trace(), list[str]()
        self.truth: list[Measurement] = []
        self._indexed: dict[tuple[str, tuple[object, ...]], Measurement] = {}
        self.devices: dict[str, Device] = {}
        self.people = People(self)
        self.boxes: list[Box] = []
        self.offline: set[str] = set()
        self.restores = 0
        self.healed = False
        self.held_off_until: dict[str, float] = {}
        self.plan: Plan = planned(self.rng)
        self.rates = dict(self.plan.rates)
        self.poll_s = self.plan.poll_s
        self.profiles: dict[str, Profile] = {**_profiles(), ERASER_PROFILE.id: ERASER_PROFILE}
        drivers: tuple[Driver, ...] = (CUFF_DRIVER, METER_DRIVER, ERASER_DRIVER)
        self.drivers = {driver.id: driver for driver in drivers}
        self.checks = Checks(self)
        self.broker = Broker(self)
        self.cloud = Cloud(self, _template())

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.note(self.loop.time(), who, what)

    def fail(self, what: str) -> None:
        """Something is not as it must be."""
        if what not in self.findings:
            self.findings.append(what)
            self.note("world", f"FINDING {what}")

    def strikes(self, fault: str) -> bool:
        """Whether this fault happens now."""
        rate = self.rates.get(fault, 0.0)
        if not rate or self.rng.random() >= rate:
            return False
        self.note("fault", fault)
        return True

    def online(self, box: str) -> bool:
        """Whether a box reaches the broker's network."""
        return box not in self.offline

    def sent(self, branch: Branch, payload: bytes, *, told_time: bool) -> None:
        """A box hands an envelope to its connection. `told_time`: the cloud has told it what time it is."""
        self.checks.envelope(branch, payload, told_time=told_time)

    def find(self, serial: str, signature: tuple[object, ...]) -> Measurement | None:
        """A device's measurement by what it showed."""
        while len(self._indexed) < len(self.truth):
            one = self.truth[len(self._indexed)]
            self._indexed[one.serial, one.signature] = one
        return self._indexed.get((serial, signature))

    @property
    def heal_us(self) -> int:
        """Now."""
        return micros(self.loop.now())

    async def live(self) -> None:
        """From the first boot to the verdict."""
        self._people()
        self.cloud.boot()
        for box in self.boxes:
            box.boot()
        self.plan.schedule(self)
        end = self.plan.active_s
        while self.loop.time() < end and not self.findings:
            await asyncio.sleep(TEND_S)
            self._tend()
        self._heal()
        healed = self.loop.time()
        looked = healed
        while not self.findings:
            await asyncio.sleep(TEND_S * 2)
            self._tend()
            passed = self.loop.time() - healed
            if self.loop.time() - looked >= LOOK_S:
                looked = self.loop.time()
                if passed >= DRAIN_S_MIN + self.poll_s and self._drained() is None:
                    break
            if passed > DRAIN_S_MAX:
                self.fail(f"not drained {DRAIN_S_MAX:g} s after all was healed: {self._drained()}")
        if not self.findings:
            judge(self)

    def _people(self) -> None:
        plan = self.plan
        for number in range(plan.boxes):
            self.boxes.append(Box(self, f"box-{number + 1}", plan.limits))
        makers: dict[str, Callable[[str, str], Device]] = {
            "cuff": lambda serial, place: Cuff(self, serial, place, settable=False),
            "settable": lambda serial, place: Cuff(self, serial, place, settable=True),
            "meter": lambda serial, place: Meter(self, serial, place),
            "eraser": lambda serial, place: Eraser(self, serial, place),
        }
        records = Records.open(
            self.cloud.folder / RECORDS, TENANT, TrueClock(self.loop), default_thresholds(),
            sole_ingester=True,
        )  # fmt: skip
        for number, (kind, boxes) in enumerate(plan.devices):
            serial = f"W{number}{kind.upper():0<6.6}"
            radio = kind in {"cuff", "settable"}
            place = f"C0:00:00:00:00:{number:02X}" if radio else f"/dev/{serial}"
            device = self.devices[serial] = makers[kind](serial, place)
            for index in boxes:
                self.boxes[index].devices.append(device)
                device.boxes.append(self.boxes[index])
            patient = records.add_patient(f"Wearer {number}")
            records.bind(patient.id, self.checks.device_of(serial), since=None)
            self.people.give(serial, patient.id)
        records.close()

    def _tend(self) -> None:
        """Whoever died is started again, as a service manager does; a bug that ended a task is one."""
        for thing in (*self.boxes, self.cloud):
            if thing.running and (fault := thing.processes[-1].fault) is not None:
                told = "".join(traceback.format_exception(fault))[-1500:]
                self.fail(f"{thing.processes[-1].name} ended by itself: {fault!r}\n{told}")
            name = thing.processes[-1].name
            if thing.running:
                self.held_off_until.pop(name, None)
                continue
            due = self.held_off_until.setdefault(name, self.loop.time() + self.rng.uniform(1, 30))
            if self.loop.time() >= due:
                thing.boot()

    def _heal(self) -> None:
        self.note("world", "healed")
        self.healed = True
        self.rates.clear()
        self.offline.clear()
        # Once more from the beginning, so that every box asks the cloud what it holds.
        self.broker.crash(forgets=False)
        self.cloud.hang_up()
        self.broker.up = True
        for box in self.boxes:
            box.fill_disk(full=False)
            box.processes[-1].dies_at, box.processes[-1].disk_factor = None, 1.0
        self.cloud.processes[-1].dies_at = None

    def _drained(self) -> str | None:
        """What still waits, or None."""
        for box in self.boxes:
            if not box.running or any(state == 0 for _, state in box.known.values()):
                return f"{box.name} has rows without a receipt"
        for device in self.devices.values():
            if device.waiting or device.link is not None:
                return f"{device.serial} has {device.waiting} records to tell"
        if not self.cloud.idle or not self.broker.idle:
            return "the cloud has messages to file"
        state = self.cloud.projection.state()
        return f"the series lags by {state.readings}" if state.readings else None


def run(seed: int) -> Outcome:
    """Live through one seed's world."""
    with uncollected():
        return _outcome(seed)


def _outcome(seed: int) -> Outcome:
    base = SHM if SHM.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="vitalgate-world-", dir=base))
    loop = VirtualLoop(BEGAN)
    world: World | None = None
    try:
        with seeded(seed), quiet(), sharing_what_is_compiled():
            world = World(seed, folder, loop)
            with _paced(world):
                _drive(loop, world)
    finally:
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
    digest = hashlib.sha256("\n".join(world.trace.lines).encode()).hexdigest()
    return Outcome(
        seed,
        digest[:16],
        tuple(world.findings[:FINDINGS_MAX]),
        tuple(world.trace.lines),
        dict(world.trace.counts),
    )


def _drive(loop: VirtualLoop, world: World) -> None:
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(
        lambda _loop, told: world.fail(
            f"a callback failed: {told['message']} {told.get('exception')!r}"
        )
    )
    try:
        loop.run_until_complete(world.live())
    except DeadlockError as fault:
        world.fail(f"the world stands still: {fault}")
    finally:
        everyone = [process for thing in (*world.boxes, world.cloud) for process in thing.processes]
        loop.forgive_steps()
        loop.set_exception_handler(lambda _loop, _told: None)
        # Generators of dead processes close databases that are closed: nobody is there to hear of it.
        hook, sys.unraisablehook = sys.unraisablehook, lambda _told: None
        loop.run_until_complete(bury(everyone))
        with warnings.catch_warnings():
            # What a process had planned and never began went with it.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            gc.collect()
        sys.unraisablehook = hook
        for box in world.boxes:
            if box.running:
                box.outbox.close()
        if world.cloud.running:
            world.cloud.records.close()
            world.cloud.series.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)


@contextmanager
def _paced(world: World) -> Generator[None]:
    """The broker of this world where MQTT would be; statuses at the world's pace."""

    def connect(
        _settings: object,
        branch: Branch,
        _counters: object,
        *,
        will: bytes,
        changed: Callable[[], None],
    ) -> Connection:
        return Connection(world, branch, will=will, changed=changed)

    before = (publish.Connection, reporting.STATUS_EVERY_S)
    publish.Connection = connect  # type: ignore[assignment,misc]
    reporting.STATUS_EVERY_S = STATUS_EVERY_S
    try:
        yield
    finally:
        publish.Connection, reporting.STATUS_EVERY_S = before  # type: ignore[misc]


@cache
def _profiles() -> dict[str, Profile]:
    return dict(load_profiles())


@cache
def _template() -> Path:
    """Records as the migrations make them: made once in a process, copied for each world."""
    base = SHM if SHM.is_dir() else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="vitalgate-world-template-", dir=base))
    loop = VirtualLoop(BEGAN - timedelta(days=1))
    with seeded("template"):
        records = Records.open(
            folder / RECORDS, TENANT, TrueClock(loop), default_thresholds(), sole_ingester=True
        )
        records.close()
    loop.close()
    import atexit  # noqa: PLC0415

    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return folder
