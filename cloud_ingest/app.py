"""The ingester's composition root: builds records, series, projection, intake and console, runs them, ends them.

Only this file and the command line know concrete stores. One process is the whole cloud side.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cloud_ingest.console.access import new_link
from cloud_ingest.console.serve import Server
from cloud_ingest.console.web import build
from cloud_ingest.intake import BrokerSettings, Intake
from cloud_ingest.live import Live
from cloud_ingest.projection import Projection, ProjectionState
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.settings import SeriesSettings, Settings, read_secret
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.series import Series
from gateway.runtime import log
from gateway.runtime.clock import Clock, iso
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError

TICK_S = 1.0
STATUS_FILE = "ingest.status.json"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a running ingester leaves of itself in its data folder, every second."""

    pid: int
    at: str
    console_host: str
    console_port: int
    broker: str
    connected: bool
    waiting: int
    trouble: str
    series: str
    series_lag_s: float
    series_behind: int
    series_refused: int
    series_trouble: str
    counters: dict[str, int]


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept: the records, the time series, and the records as the projection reads them."""

    records: Records
    series: Series
    tail: Tail
    lock: Path

    def projection(self, clock: Clock, live: Live | None = None) -> Projection:
        """A projection from these records to this series."""
        return Projection(self.tail, self.series, self.lock, clock, live)


@contextmanager
def stores(
    settings: Settings, where: str, clock: Clock, *, sole_ingester: bool
) -> Generator[Stores]:
    """Open what is kept, and close it. `where` is the settings file, for messages. Raises ConfigError or StoreError."""
    with open_records(settings, clock, sole_ingester=sole_ingester) as records:
        tail = Tail(records.engine, _writer(settings.series), clock)
        if settings.series.kind == "embedded" and not settings.series_path.exists():
            # The mark speaks of a file that is gone. Noted first: killed here, the next start finds it so again.
            tail.begin_anew()
        with contextlib.closing(_open_series(settings, where)) as series:
            yield Stores(records, series, tail, settings.data_dir / "projection.lock")


@contextmanager
def open_records(settings: Settings, clock: Clock, *, sole_ingester: bool) -> Generator[Records]:
    """The records alone. Raises ConfigError or StoreError."""
    records = Records.open(
        settings.records_path,
        settings.tenant,
        clock,
        default_thresholds(),
        sole_ingester=sole_ingester,
    )
    with contextlib.closing(records):
        yield records


async def run(settings: Settings, where: str, clock: Clock, say: Callable[[str], None]) -> None:
    """Everything, until a signal. Raises ConfigError, StoreError, or the bug that ended one of the parts."""
    stop, bugs = _stop_on_signals(), list[BaseException]()
    loop = asyncio.get_running_loop()
    live, counters = Live(loop), Counters()

    def failed(bug: BaseException) -> None:
        bugs.append(bug)
        loop.call_soon_threadsafe(stop.set)

    with stores(settings, where, clock, sole_ingester=True) as held:
        console = Server(
            build(held.records, held.series, live, settings, clock),
            settings.console.host,
            settings.console.port,
        )
        # First of all, so that a port in use is one sentence, and nothing has begun.
        port = console.bind()
        projection = held.projection(clock, live)
        intake = Intake(
            _broker(settings, where),
            held.records,
            clock,
            counters,
            tell=live.tell,
            stored=projection.wake,
            failed=failed,
        )
        status = _StatusFile(settings, port, clock, counters)
        projection.start()
        intake.start()
        try:
            say(f"console: {new_link(held.records, clock, settings.console.host, port)}")
            async with asyncio.TaskGroup() as parts:
                parts.create_task(_serve(console, stop))
                parts.create_task(_keep_time(held, live, clock, stop))
                parts.create_task(_keep_mending(held, live, stop))
                parts.create_task(status.keep(intake, projection, held.series, stop))
        finally:
            await asyncio.to_thread(intake.stop)
            await asyncio.to_thread(projection.stop)
            status.remove()
    if bugs:
        raise bugs[0]


async def show(settings: Settings, where: str, clock: Clock, say: Callable[[str], None]) -> None:
    """The console over what is kept, without broker, projection or clockwork: nothing is changed by being looked at."""
    stop = _stop_on_signals()
    live = Live(asyncio.get_running_loop())
    with stores(settings, where, clock, sole_ingester=False) as held:
        app = build(held.records, held.series, live, settings, clock)
        console = Server(app, settings.console.host, settings.console.port)
        port = console.bind()
        say(f"console: {new_link(held.records, clock, settings.console.host, port)}")
        await _serve(console, stop)


def running(settings: Settings) -> Running | None:
    """What the ingester of this data folder last said of itself, if it lives."""
    try:
        told = msgspec.json.decode((settings.data_dir / STATUS_FILE).read_bytes(), type=Running)
        os.kill(told.pid, 0)
    except (OSError, msgspec.MsgspecError):
        return None
    return told


async def _keep_time(held: Stores, live: Live, clock: Clock, stop: asyncio.Event) -> None:
    """What a clock triggers: findings that were never confirmed, alerts that nobody answered."""
    told, trouble = log.get("due"), ""
    while not stop.is_set():
        try:
            acted = await asyncio.to_thread(held.records.act_on_due, clock.now())
            for news in acted.news:
                live.tell(news)
            if acted.why not in {"", trouble}:
                told.error("due.not_acted_on", rows=acted.left, why=acted.why)
            trouble = acted.why
        except StoreError as fault:
            if str(fault) != trouble:
                told.error("store.away", why=str(fault))
            trouble = str(fault)
        await _wait(stop, TICK_S)


async def _keep_mending(held: Stores, live: Live, stop: asyncio.Event) -> None:
    """Apart from the clockwork: to look through the journal for one person may take long, and no other alert waits for that."""
    told, trouble = log.get("rules"), ""
    while not stop.is_set():
        try:
            for mended in await asyncio.to_thread(held.records.mend):
                say = told.error if mended.left else told.warning
                say("state.mended" if not mended.left else "state.unreadable", **mended.facts())
                for news in mended.news:
                    live.tell(news)
            trouble = ""
        except StoreError as fault:
            if str(fault) != trouble:
                told.error("store.away", why=str(fault))
            trouble = str(fault)
        await _wait(stop, TICK_S)


class _StatusFile:
    """Rewritten whole every second, so that another process never reads half of it."""

    def __init__(self, settings: Settings, port: int, clock: Clock, counters: Counters) -> None:
        self._path = settings.data_dir / STATUS_FILE
        self._broker = f"{settings.mqtt.host}:{settings.mqtt.port}"
        self._host, self._port = settings.console.host, port
        self._clock = clock
        self._counters = counters

    async def keep(
        self, intake: Intake, projection: Projection, series: Series, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            with contextlib.suppress(StoreError, OSError):
                await asyncio.to_thread(self._write, intake, projection, series)
            await _wait(stop, TICK_S)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _write(self, intake: Intake, projection: Projection, series: Series) -> None:
        taken = intake.state()
        projected: ProjectionState = projection.state()
        told = Running(
            pid=os.getpid(),
            at=iso(self._clock.now()),
            console_host=self._host,
            console_port=self._port,
            broker=self._broker,
            connected=taken.connected,
            waiting=taken.waiting,
            trouble=taken.trouble,
            series=series.name,
            series_lag_s=projected.lag_s,
            series_behind=projected.readings,
            series_refused=projected.unwritten,
            series_trouble=projected.trouble,
            counters=dict(self._counters.snapshot()),
        )
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(told))
        fresh.replace(self._path)


async def _serve(console: Server, stop: asyncio.Event) -> None:
    ended = asyncio.create_task(console.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    console.stop()
    await ended
    # A server that ended by itself takes the process with it: half an ingester would look like a whole one.
    stop.set()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


def _writer(told: SeriesSettings) -> str:
    """The name under which the projection keeps its mark: another target starts from the beginning."""
    return told.kind if told.kind == "embedded" else f"influx {told.url} {told.org}/{told.bucket}"


def _open_series(settings: Settings, where: str) -> Series:
    told = settings.series
    if told.kind == "embedded":
        return EmbeddedSeries(settings.series_path)
    # Its client takes half a second to import, which an embedded series need not pay.
    from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget  # noqa: PLC0415

    assert told.token_file is not None
    token = read_secret(told.token_file, where=where, key="series.token_file")
    return InfluxSeries(InfluxTarget(told.url, told.org, told.bucket, token))


def _broker(settings: Settings, where: str) -> BrokerSettings:
    mqtt = settings.mqtt
    password = (
        read_secret(mqtt.password_file, where=where, key="mqtt.password_file")
        if mqtt.password_file
        else ""
    )
    return BrokerSettings(
        tenant=settings.tenant,
        host=mqtt.host,
        port=mqtt.port,
        client_id=settings.client_id,
        protocol=mqtt.protocol,
        keepalive_s=mqtt.keepalive_s,
        username=mqtt.username,
        password=password,
        ca_file=str(mqtt.ca_file) if mqtt.ca_file else None,
        cert_file=str(mqtt.cert_file) if mqtt.cert_file else None,
        key_file=str(mqtt.key_file) if mqtt.key_file else None,
    )
