"""A box of the world: the product's agent on a virtual loop, its disk as a power cut would leave it, and what is watched there."""

import asyncio
import json
import shutil
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, cast

import msgspec

from edge import filing, unread
from edge.binding import BLE, SERIAL, Binding
from edge.filing import standing_at
from edge.links.ble_radio import Heard
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import OutboxLimits
from edge.outbox.store import Outbox
from edge.publish import Publisher
from edge.quarantine import Quarantine
from edge.scan import Bell, Visited, attend, poll
from edge.settings import MqttSettings
from edge.unread import UnreadFrames
from edge.visits import Unit
from edge.window import Windows
from gateway.contract.profile import Profile
from gateway.contract.session import Driver
from gateway.model.observation import Observation
from gateway.runtime.clock import TimeBase
from gateway.runtime.counters import Counters
from gateway.runtime.errors import LinkError
from gateway.wire.topics import Branch
from tests.world.devices import ZONE, Cuff, Device, WorldLink
from tests.world.disk import FULL, OUTBOX, Watched, copy_files, empty_outbox, wal_of, watched
from tests.world.truth import Measurement
from tests.world.virtual import Process, VirtualLoop

if TYPE_CHECKING:
    from tests.world.run import World

HEARTBEAT_S = 40.0
WINDOW_S_MAX = 1.0  # from a radio's confirmation to the commit, where the disk is well
SETTLED = (1, 2, 3)

_decode = msgspec.json.Decoder(Observation).decode


class BoxClock:
    """The box's wall clock, `error_s` ahead of the truth, and the one that begins anew with each boot."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.error_s = 0.0
        self.boots = 0
        self._booted_s = 0.0
        self.errors: list[float] = [0.0]
        self.stepped_s = -1e9

    def now(self) -> datetime:
        """What it takes for UTC."""
        return self._loop.now() + timedelta(seconds=self.error_s)

    def monotonic(self) -> float:
        """Since it was switched on."""
        return self._loop.time() - self._booted_s

    def base(self) -> TimeBase:
        """What its wall clock rests on."""
        return TimeBase(f"boot {self.boots}", self.now().timestamp() - self.monotonic())

    def set_error(self, seconds: float) -> None:
        """A step."""
        self.error_s = seconds
        self.errors.append(seconds)
        self.stepped_s = self._loop.time()

    def boot(self) -> None:
        """The power came back."""
        self._booted_s = self._loop.time()
        self.boots += 1


class _Thread:
    """Stands where the product has its outbox's thread: the loop does that work itself, in order."""

    def shutdown(self, *, wait: bool) -> None:
        """Nothing to end."""


class Box:
    """One box: several lives of one agent over one disk."""

    def __init__(self, world: "World", name: str, limits: OutboxLimits) -> None:
        self.world, self.name, self.limits = world, name, limits
        self.clock = BoxClock(world.loop)
        self.devices: list[Device] = []
        self.processes: list[Process] = []
        self.links: list[WorldLink] = []
        self.rng = Random(world.rng.random())
        self.folder = world.folder / f"{name}-0"
        self.folder.mkdir()
        (self.folder / OUTBOX).write_bytes(empty_outbox())
        self.running = False
        self.disk_ill_s = -1e9  # when it last refused
        self._life = 0
        self._db: Watched | None = None
        self._bells: dict[str, Bell] = {}
        self._unsaved: list[tuple[Measurement, float]] = []
        self.known: dict[tuple[str, int], tuple[str, int]] = {}
        self.holds: dict[
            str, set[str]
        ] = {}  # measurement -> keys that lie in the outbox, or lay there with a receipt
        self._images: dict[
            Path, tuple[float, dict[tuple[str, int], tuple[str, int]], dict[str, set[str]]]
        ] = {}
        self.forget_looks()
        self._synced = False
        self.synced = True  # whether what the disk was just asked for was brought to it by an fsync
        self._durable: tuple[bytes, int] = (b"", 0)

    def boot(self) -> None:
        """Start the agent on what the disk holds."""
        world = self.world
        process = Process(world.loop, self.name, self.rng)
        process.on_death = lambda: self.die("killed between two awaits")
        process.after_disk = self.watch
        self.processes.append(process)
        with watched():
            outbox = Outbox.open(self.folder / OUTBOX, self.name, self.clock, self.limits)
        if outbox.recovery is not None:
            world.fail(f"{self.name}: a whole outbox was taken for damaged: {outbox.recovery}")
        assert isinstance(outbox._db, Watched)
        self._db = outbox._db
        self._db.committing = self._committing
        self._synced = True
        self.forget_looks()
        self.outbox = outbox
        self.running = True
        self.disk_ill_s = min(self.disk_ill_s, world.loop.time())
        world.note(self.name, f"booted life {self._life}")
        self.watch()
        process.start(self._run(AsyncOutbox(outbox, cast("Any", _Thread()))))

    def die(self, why: str, *, power: bool = False) -> None:
        """The process is gone; with `power`, so is all that no fsync brought to the disk."""
        if not self.running:
            return
        self.running = False
        process = self.processes[-1]
        process.alive = False
        self.world.note(self.name, f"died {why}")
        self._excuse_what_was_under_way(process)
        connection = self.world.broker.boxes.get(self.name)
        if connection is not None:
            connection.end("the box is gone")
        for link in list(self.links):
            link.drop("the box is gone")
        self.links.clear()
        self._life += 1
        fresh = self.world.folder / f"{self.name}-{self._life}"
        copy_files(self.folder, fresh)
        if power:
            self._cut(fresh / f"{OUTBOX}-wal")
            self.clock.boot()
        assert self._db is not None
        self.outbox.close()
        shutil.rmtree(self.folder)
        self.folder = fresh

    def restore(self, image: Path) -> None:
        """Somebody puts an older image of the disk back, while the box is off."""
        assert not self.running
        before = self.holds.keys() | self.unread()
        shutil.rmtree(self.folder)
        copy_files(image, self.folder)
        self.world.note(self.name, "restored an older image")
        taken_s, self.known, self.holds = self._images[image]
        self.world.checks.forget_clocks(self.name, taken_s)
        self.forget_looks()
        for one in self.world.truth:
            if one.name in before and one.name not in self.holds:
                one.excused = one.excused or "it was on a disk that an older image replaced"

    def image(self, to: Path) -> None:
        """A copy of the disk as it is now."""
        copy_files(self.folder, to)
        holds = {name: set(keys) for name, keys in self.holds.items()}
        self._images[to] = (self.world.loop.time(), dict(self.known), holds)

    def forget_looks(self) -> None:
        """What was judged at the last look is to be judged again: the disk may be another."""
        self._seen_changes = -1
        self.looked_at: tuple[object, ...] = ()
        self.cursors_seen: tuple[object, ...] = ()

    def hear(self, heard: Heard) -> None:
        """The radio heard a device."""
        if self.running:
            self._bells[heard.address].ring(heard)

    def fill_disk(self, *, full: bool) -> None:
        """SQLite itself says so from now on."""
        if self.running and self._db is not None:
            pages = self._db.execute("PRAGMA page_count").fetchone()[0] if full else 1_000_000
            self._db.execute(f"PRAGMA max_page_count = {pages}")
            self.disk_ill_s = float("inf") if full else self.world.loop.time()
            self.world.note(self.name, "disk-full" if full else "disk-has-room")

    def confirmed(self, measurement: Measurement) -> None:
        """The radio confirmed an indication: the cuff has forgotten it."""
        if measurement.name in self.holds:
            return
        if self.running:
            self._unsaved.append((measurement, self.world.loop.time()))
        else:
            measurement.excused = "confirmed by the radio of a box whose agent had just died"

    def must_hold(self, measurement: Measurement, why: str) -> None:
        """A device forgets it because we said so."""
        if measurement.name not in self.holds:
            self.world.fail(f"{self.name}: {why}, and {measurement.name} is in no outbox")

    def unread(self) -> set[str]:
        """Measurements of which a frame lies beside the outbox, since it could not be filed. Names what no cuff sent."""
        frames = {
            told: name
            for device in self.devices
            if isinstance(device, Cuff)
            for told, name in device.frames.items()
        }
        path = self.folder / unread.FILE
        lines = path.read_text().splitlines() if path.exists() else []
        told = [frame for frame in map(json.loads, lines) if frame["channel"] == "measurement"]
        return {frames.get(frame["hex"], f"what no cuff sent: {frame}") for frame in told}

    def watch(self) -> None:
        """After each visit of the agent to its disk: nothing is renumbered, dropped or settled without the cloud's word."""
        db = self._db
        if db is None or not self.running:
            return
        self.synced, self._synced = self._synced, False
        if self.synced:
            self._durable = wal_of(self.folder / f"{OUTBOX}-wal")
        if db.total_changes == self._seen_changes:
            return
        self._seen_changes = db.total_changes
        self.world.checks.outbox(self, db)
        self._unsaved = [told for told in self._unsaved if told[0].name not in self.holds]

    def _committing(self, synchronous: int) -> None:
        self._synced |= synchronous >= FULL

    def _cut(self, wal: Path) -> None:
        salt, length = self._durable
        if wal.exists() and wal_of(wal)[0] == salt:
            with wal.open("r+b") as file:
                file.truncate(length)

    def _excuse_what_was_under_way(self, process: Process) -> None:
        now = self.world.loop.time()
        kept = self.unread()
        for measurement, since_s in self._unsaved:
            if measurement.name in kept:
                continue
            measurement.excused = "in the named window when the agent died"
            ill = now - self.disk_ill_s < filing.ACCEPT_TRIES_MAX * 2 or process.disk_factor > 1
            if now - since_s > WINDOW_S_MAX and not ill:
                self.world.fail(
                    f"{self.name}: {measurement.name} was confirmed {now - since_s:.3f} s before and is not on disk"
                )
        self._unsaved.clear()

    async def _run(self, outbox: AsyncOutbox) -> None:
        world, counters = self.world, Counters()
        publisher = Publisher(
            outbox, MqttSettings(), Branch(world.tenant, self.name), self.clock, counters
        )
        box = filing.Box(
            agent=self.name,
            data_dir=self.folder,
            tenant_key=world.tenant_key,
            zone=ZONE,
            clock=self.clock,
            outbox=outbox,
            windows=Windows(),
            counters=counters,
            quarantine=Quarantine.open(self.folder),
            unread=UnreadFrames(self.folder),
            wake=publisher.wake,
            cloud_time=publisher.cloud_time,
        )
        process = self.processes[-1]
        turns = asyncio.Semaphore(6)
        for device in self.devices:
            unit = Unit(box, binding_of(device, world.profiles, world.drivers))
            rng = Random(self.rng.random())
            if device.kind == "blood_pressure":
                bell = self._bells[device.place] = Bell(self.clock)
                process.start(attend(bell, self._by_radio(unit, device), turns, self.clock, rng))
            else:
                process.start(poll(self._by_port(unit, device), world.poll_s, rng))
        process.start(publisher.run())
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await outbox.note_running(
                connected=publisher.connected, window=box.windows.figures(), counters={}
            )

    def _by_radio(
        self, unit: Unit, device: Device
    ) -> Callable[[Heard], Coroutine[object, None, Visited]]:
        async def visit(heard: Heard) -> Visited:
            return await unit.visit(
                lambda now: self._reach(device, now),
                standing_at(unit.binding, lasting=heard.lasting),
            )

        return visit

    def _by_port(
        self, unit: Unit, device: Device
    ) -> Callable[[], Coroutine[object, None, Visited]]:
        async def visit() -> Visited:
            return await unit.visit(
                lambda now: self._reach(device, now), standing_at(unit.binding, lasting=False)
            )

        return visit

    async def _reach(self, device: Device, now: Callable[[], float]) -> WorldLink:
        link = await device.reach(self, now)
        if not self.running:
            raise LinkError("the box is gone")
        self.links = [one for one in self.links if one.up]
        self.links.append(link)
        return link


def binding_of(
    device: Device, profiles: Mapping[str, Profile], drivers: Mapping[str, Driver]
) -> Binding:
    """The place at which a device stands."""
    profile = profiles[device.profile]
    link = BLE if device.kind == "blood_pressure" else SERIAL
    return Binding(
        place=device.place,
        link=link,
        profile=profile,
        driver=drivers[profile.driver],
        third_party=False,
        every_s=60.0,
    )


def decode_row(body: bytes) -> Observation:
    """An observation as the outbox keeps it."""
    return _decode(body)
