"""A store that holds a million readings already: made once in the cache folder, then copied. Bulk inserts with the real schema.

Each row is what the ingester would have written (envelope, fates, key, ledger range, rule state); only the way in is short.
Points come from the real projection. Beside it stands the bare alternative's table with the same keys.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import time
from binascii import unhexlify
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from rich.console import Console

from bench import bare, load
from cloud_ingest.projection import Projection
from cloud_ingest.rules.judge import SECOND_US, when
from cloud_ingest.rules.state import STATE_VERSION, SubjectState, encode_state
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.rules.window import NO_READINGS, Recent, Window
from cloud_ingest.stores import fate as fates
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.fate import STORED, Fate, encode_fates
from cloud_ingest.stores.records import schema
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.store import Records
from gateway.model.identity import ledger_digest
from gateway.model.observation import Observation
from gateway.runtime.clock import Clock, SystemClock, TimeBase
from gateway.wire.envelope import encode_envelope

TENANT = "demo"
FILES = ("records.sqlite", "series.sqlite", "bare.sqlite")
IN_ENVELOPE = 100
# Where the stored year ends: fixed, so that a kept store stays the one that is asked for.
END = datetime(2026, 11, 1, tzinfo=UTC)


class BenchClock:
    """Runs from END on, so that new readings follow the stored ones, whenever this runs."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def now(self) -> datetime:
        """UTC, aware."""
        return datetime.fromtimestamp(END.timestamp() + time.monotonic() - self._begun, UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def base(self) -> TimeBase:
        """What its wall clock rests on."""
        return TimeBase("bench", END.timestamp() - self._begun)


@dataclass(slots=True)
class _Device:
    recent: Window = NO_READINGS
    second: int = 0


def cache() -> Path:
    """The cache folder that the services' scripts use too."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("VITALGATE_CACHE") or Path(home) / "vitalgate") / "bench"


def ready(keys: int, console: Console) -> Path:
    """The folder of a store with so many keys; made where it is not there yet."""
    folder = cache() / f"stock-{keys}-{_version()}"
    if not folder.exists():
        for old in cache().glob(f"stock-{keys}-*"):
            shutil.rmtree(old)
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        console.print(f"making a store with {keys:,} readings in {folder} (minutes, once)")
        _make(fresh, keys, console)
        fresh.rename(folder)
    size = sum((folder / name).stat().st_size for name in FILES) / 2**20
    console.print(
        f"store: {keys:,} readings of {load.DEVICES:,} devices over {load.STORED_DAYS} days, {keys // IN_ENVELOPE:,} envelopes, "
        f"rule states, points; bulk-inserted with the real schema, kept in {folder} ({size:.0f} MiB)"
    )
    return folder


def copy(stock: Path, folder: Path) -> None:
    """A copy to work on, read once, so that no run pays for a cold page cache."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in FILES:
        shutil.copyfile(stock / name, folder / name)


def open_records(folder: Path, clock: Clock) -> Records:
    """The records of a folder, to ingest into."""
    return Records.open(
        folder / FILES[0], TENANT, clock, default_thresholds(), sole_ingester=True, zone=UTC
    )


def _version() -> str:
    """Changes with whatever decides what the store holds."""
    modules = (__file__, load.__file__, bare.__file__, schema.__file__, fates.__file__)
    return hashlib.sha256(b"".join(Path(one).read_bytes() for one in modules)).hexdigest()[:12]


def _make(folder: Path, keys: int, console: Console) -> None:
    clock, begun = SystemClock(), time.monotonic()
    records = open_records(folder, clock)
    records.close()
    devices = [_Device() for _ in range(load.DEVICES)]
    with _bulk(folder / FILES[0]) as records_db, bare.bulk(folder / FILES[2]) as bare_db:
        _fill_people(records_db)
        readings = load.stored(keys, END)
        for envelope in range(keys // IN_ENVELOPE):
            chunk = list(islice(readings, IN_ENVELOPE))
            _fill_envelope(records_db, envelope, chunk, devices)
            bare_db.executemany(bare.INSERT, [bare.row(seen) for _, seen in chunk])
        _fill_states(records_db, devices)
    console.print(f"  records and the bare table: {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    records, series = open_records(folder, clock), EmbeddedSeries(folder / FILES[1])
    tail = Tail(records.engine, "embedded", clock)
    projection = Projection(tail, series, folder / "projection.lock", clock)
    while projection.once():
        pass
    series.close()
    records.close()
    took = time.monotonic() - begun
    console.print(f"  points, by the real projection: {took:.0f} s, {keys / took:,.0f} a second")


@contextlib.contextmanager
def _bulk(path: Path) -> Generator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA synchronous = OFF")
        yield database
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill_people(database: sqlite3.Connection) -> None:
    numbers = range(load.DEVICES)
    people = [(load.patient_name(n), f"Bench {n}", "", 0) for n in numbers]
    worn = [(load.device_name(n), load.patient_name(n)) for n in numbers]
    boxes = [(load.box_name(n), 1) for n in range(load.BOXES)]
    database.executemany(
        "INSERT INTO patients (id, name, condition, created_us) VALUES (?, ?, ?, ?)", people
    )
    database.executemany("INSERT INTO bindings (device, patient) VALUES (?, ?)", worn)
    database.executemany("INSERT INTO boxes (agent, commit_no) VALUES (?, ?)", boxes)


def _fill_envelope(
    database: sqlite3.Connection,
    envelope: int,
    chunk: list[tuple[int, Observation]],
    devices: list[_Device],
) -> None:
    agent, first = load.box_name(envelope), envelope // load.BOXES * IN_ENVELOPE + 1
    seen = [observation for _, observation in chunk]
    payload = encode_envelope(agent, load.STORED_EPOCH, first, seen)
    row, moments = envelope + 1, [when(observation) for observation in seen]
    places = [
        Fate(STORED, load.patient_name(device), moment.at_us)
        for (device, _), moment in zip(chunk, moments, strict=True)
    ]
    database.execute(
        "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row,
            hashlib.sha256(payload).digest(),
            *(agent, load.STORED_EPOCH, first, len(seen), moments[-1].at_us),
            *(payload, encode_fates(places)),
            unhexlify("".join(one.device + one.content for one in seen)),
        ),
    )
    keys = [(one.key, row, position) for position, one in enumerate(seen)]
    database.executemany("INSERT INTO keys VALUES (?, ?, ?)", sorted(keys))
    digest = f"{ledger_digest((first + n, one.key) for n, one in enumerate(seen)):016x}"
    held = (agent, load.STORED_EPOCH, first, first + len(seen) - 1, digest, row)
    database.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?)", held)
    for (number, one), moment in zip(chunk, moments, strict=True):
        interval = (moment.at_us, moment.low_us or 0, moment.high_us)
        kept = Recent(
            one.key, one.device, one.kind, one.content, one.transport, *interval, live=True
        )
        devices[number].recent = devices[number].recent.joined_by(kept)
        devices[number].second = moment.at_us // SECOND_US


def _fill_states(database: sqlite3.Connection, devices: list[_Device]) -> None:
    states = [
        (
            load.patient_name(number),
            encode_state(SubjectState(STATE_VERSION, one.second, 0, one.recent)),
        )
        for number, one in enumerate(devices)
    ]
    database.executemany("INSERT INTO rule_state VALUES (?, ?)", sorted(states))
