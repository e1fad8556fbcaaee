"""The cloud of the world: the product's records, filing, projection and clockwork, as a process that dies anywhere. No MQTT."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

from sqlalchemy import bindparam, select

from cloud_ingest.batching import Arrival, Inbox, readings_in
from cloud_ingest.filing import Filing
from cloud_ingest.live import News
from cloud_ingest.projection import Projection
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.records.journal import JournalRow, check
from cloud_ingest.stores.records.open import reading
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import journal as journal_table
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery, Verdict
from gateway.runtime.clock import TimeBase
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError
from gateway.wire.receipts import Answer, Question, decode_receipt
from gateway.wire.status import Status
from tests.world.devices import ZONE
from tests.world.disk import copy_files
from tests.world.virtual import Process, VirtualLoop

if TYPE_CHECKING:
    from datetime import datetime

    from tests.world.run import World

RECORDS, SERIES = "records.sqlite", "series.sqlite"
PROJECT_S, DUE_S = 25.0, 60.0
IDLE_PASSES = 6  # the product looks each second; here only now and then, where nothing is new
RECONNECT_S = 3.0
_AFTER = (
    select(journal_table).where(journal_table.c.id > bindparam("id")).order_by(journal_table.c.id)
)


class Killed(BaseException):
    """The ingester dies here, in the middle of what it does."""


class TrueClock:
    """The cloud's clock is right."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> "datetime":
        """UTC."""
        return self._loop.now()

    def monotonic(self) -> float:
        """Seconds."""
        return self._loop.time()

    def base(self) -> TimeBase:
        """What its wall clock rests on."""
        return TimeBase("cloud", self.now().timestamp() - self.monotonic())


class _Patience:
    """Stands where filing waits out a store that is away: virtual time passes, and nobody else gets a turn."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def wait(self, seconds: float) -> bool:
        """Time passes; the process is not told to stop."""
        self._loop.advance(seconds)
        return False


class _Mortal:
    """The records, in a process that may die before a transaction or after it, on a disk that may refuse."""

    def __init__(self, cloud: "Cloud", records: Records) -> None:
        self._cloud, self._records = cloud, records

    def ingest(self, deliveries: list[Delivery]) -> list[Verdict]:
        """One transaction."""
        cloud = self._cloud
        if cloud.world.strikes("ingest_killed"):
            raise Killed
        if cloud.world.strikes("store_refuses"):
            raise StoreError("records: the disk is full", retry=True)
        verdicts = self._records.ingest(deliveries)
        cloud.world.checks.journal(cloud)
        if cloud.world.strikes("ingest_killed"):
            raise Killed
        return verdicts

    def answer(self, agent: str, question: Question) -> Answer:
        """What is held."""
        return self._records.answer(agent, question)

    def note_status(self, agent: str, status: Status, payload: bytes) -> News:
        """What a box said."""
        return self._records.note_status(agent, status, payload)

    def keep_status(self, agent: str, status: Status, payload: bytes) -> News:
        """What it said some time ago."""
        return self._records.keep_status(agent, status, payload)


class Cloud:
    """Several lives of one ingester over one disk."""

    def __init__(self, world: "World", template: Path) -> None:
        self.world = world
        self.clock = TrueClock(world.loop)
        self.processes: list[Process] = []
        self.rng = Random(world.rng.random())
        self.folder = world.folder / "cloud-0"
        copy_files(template, self.folder)
        self.running = False
        self._life = 0
        self.thresholds = default_thresholds()
        self.journal_seen = 0

    def boot(self, *, rebuild: bool = False) -> None:
        """Start on what the disk holds. `rebuild`: the records came from a backup."""
        world = self.world
        process = Process(world.loop, "cloud", self.rng)
        process.on_death = lambda: self.die("killed between two awaits")
        self.processes.append(process)
        self.records = Records.open(
            self.folder / RECORDS,
            world.tenant,
            self.clock,
            self.thresholds,
            sole_ingester=True,
            zone=ZONE,
        )
        self.series = EmbeddedSeries(self.folder / SERIES)
        tail = Tail(self.records.engine, "embedded", self.clock)
        if rebuild:
            tail.begin_anew()
        self.projection = Projection(tail, self.series, self.folder / "projection.lock", self.clock)
        self._inbox = Inbox()
        self._news = asyncio.Event()
        self._filing = Filing(
            _Mortal(self, self.records),
            self,
            Counters(),
            tell=lambda _news: None,
            stored=lambda: None,
            stopping=cast("threading.Event", _Patience(world.loop)),
        )
        self._connection = 0
        self._connected = False
        self.running = True
        world.note("cloud", f"booted life {self._life}")
        world.checks.journal(self)
        process.start(self._receive())
        process.start(self._file())
        process.start(self._project())
        process.start(self._mind_what_is_due())

    def die(self, why: str) -> None:
        """The process is gone; what it committed is kept, since each commit was fsynced."""
        if not self.running:
            return
        self.running = False
        self.processes[-1].alive = False
        self.world.note("cloud", f"died {why}")
        self.world.broker.unsubscribe()
        self._life += 1
        fresh = self.world.folder / f"cloud-{self._life}"
        copy_files(self.folder, fresh)
        self.records.close()
        self.series.close()
        shutil.rmtree(self.folder)
        self.folder = fresh

    def image(self, to: Path) -> None:
        """A backup of the records, taken while it is off."""
        copy_files(self.folder, to)

    def restore(self, image: Path) -> None:
        """The records go back in time."""
        assert not self.running
        shutil.rmtree(self.folder)
        copy_files(image, self.folder)
        self.world.note("cloud", "restored an older backup")
        self.journal_seen = 0
        self.world.checks.forget_journal()

    def delivered(self, mid: int, topic: str, payload: bytes) -> None:
        """The broker delivers: only queued here."""
        if not self.running or not self._connected:
            return
        delivery = Delivery(topic, payload, self.clock.now())
        self._inbox.put(Arrival(delivery, mid, 1, self._connection, readings_in(payload)))
        self._news.set()

    def send(self, topic: str, payload: bytes) -> None:
        """To a box. What is a receipt must stand on what is committed."""
        if topic.endswith("/receipts"):
            self.world.checks.receipt(self, topic, decode_receipt(payload))
        self.world.broker.to_box(topic, payload)
        if self.world.strikes("ingest_killed"):
            raise Killed

    def hang_up(self) -> None:
        """The broker is gone."""
        self._connected = False
        self.world.broker.unsubscribe()

    def committed_after(self, journal: int) -> Sequence[JournalRow]:
        """What any other process can see in the journal now."""
        with reading(self.records.engine) as connection:
            return [check(row) for row in connection.execute(_AFTER, {"id": journal})]

    @property
    def idle(self) -> bool:
        """Whether all that came is filed."""
        return self.running and not len(self._inbox)

    async def _receive(self) -> None:
        while True:
            if not self._connected and self.world.broker.up:
                self._connection += 1
                self._connected = True
                self.world.broker.subscribe(self)
            await asyncio.sleep(RECONNECT_S)

    async def _file(self) -> None:
        process = self.processes[-1]
        while True:
            while not len(self._inbox):
                self._news.clear()
                await self._news.wait()
            batch = self._inbox.take()
            await process.disk(lambda batch=batch: self._mortally(batch))
            for arrival in batch:
                if self._connected and arrival.connection == self._connection:
                    self.world.broker.acknowledge(arrival.mid)

    def _mortally(self, batch: Sequence[Arrival]) -> None:
        try:
            self._filing.file(batch)
        except Killed:
            self.die("killed while filing")

    async def _project(self) -> None:
        process = self.processes[-1]
        seen, idle = -1, 0
        while True:
            await asyncio.sleep(PROJECT_S)
            idle = 0 if self.journal_seen != seen else idle + 1
            if idle % IDLE_PASSES == 0:
                seen = self.journal_seen
                await process.disk(self._pass)

    def _pass(self) -> None:
        if self.world.strikes("series_refuses"):
            self.projection._unwell("series: away")
            return
        self.projection.once()

    async def _mind_what_is_due(self) -> None:
        process = self.processes[-1]
        while True:
            await asyncio.sleep(DUE_S)
            await process.disk(lambda: self.records.act_on_due(self.clock.now()))
