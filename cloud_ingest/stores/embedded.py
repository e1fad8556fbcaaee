"""The embedded time series: one SQLite file of its own, clustered by subject and time. Nothing is kept in memory alone."""

import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cloud_ingest.stores.line import TIME_US_MAX, TIME_US_MIN, refusal, unplaceable
from cloud_ingest.stores.series import Point, RefusedPoint
from gateway.runtime.errors import StoreError

POINTS_MAX = 10_000
BUSY_MS = 10_000
VERSION = 1
FILE_MODE = 0o600

_SCHEMA = (
    """
create table if not exists points (
    kind text not null, subject text not null, time_us integer not null, device text not null, fields text not null,
    primary key (kind, subject, time_us, device)
) without rowid, strict
""",
    # A field is of the type that it was first written with, as in InfluxDB: a chart must not meet a word among numbers.
    """
create table if not exists types (
    kind text not null, field text not null, type text not null, primary key (kind, field)
) without rowid, strict
""",
)
_TYPE = "select type from types where kind = ? and field = ?"
_NEW_TYPE = "insert into types (kind, field, type) values (?, ?, ?)"
_WRITE = (
    "insert into points (kind, subject, time_us, device, fields) values (?, ?, ?, ?, ?) "
    "on conflict do update set fields = excluded.fields"
)
_ERASE = "delete from points where kind = ? and subject = ? and time_us = ? and device = ?"
_READ = (
    "select kind, subject, device, time_us, fields from points "
    "where kind = ? and subject = ? and time_us >= ? and time_us < ? order by time_us, device limit ?"
)
_SCAN = (
    "select kind, subject, device, time_us, fields from points "
    "where kind = ? and time_us >= ? and (? is null or device = ?) order by time_us, subject, device limit ?"
)
# What SQLite says when another process or the disk stands in the way, and a later try may succeed.
_PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_RUINED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
MEND = "; stop the ingester and remove this file: the next start writes it anew from the journal"

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, float | str | bool]).decode


class EmbeddedSeries:
    """A `Series` in one file. Any thread may call it; a write is on disk when it returns (WAL, synchronous=FULL)."""

    def __init__(self, path: Path) -> None:
        """Open or make the file (0600). Raises StoreError, without retry where it is no time series of ours."""
        self._path = path
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        with self._translated():
            path.touch(FILE_MODE)
            self._writer = _connect(path)
            self._reader = _connect(path)
            self._prepare()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "embedded"

    def write(self, points: Sequence[Point]) -> Sequence[RefusedPoint]:
        """Store points in one transaction; the refused ones come back. Raises StoreError."""
        refused: list[RefusedPoint] = []
        rows: list[tuple[str, str, int, str, str]] = []
        with self._transaction() as writer:
            types = _Types(writer)
            for point in points:
                if why := refusal(point) or types.conflict(point):
                    refused.append(RefusedPoint(point, why))
                else:
                    fields = _encode(_floats(point.fields)).decode()
                    rows.append((point.kind, point.subject, point.time_us, point.device, fields))
            writer.executemany(_WRITE, sorted(rows))
        return refused

    def erase(self, points: Sequence[Point]) -> None:
        """Remove exactly these points. Raises StoreError."""
        places = [(p.kind, p.subject, p.time_us, p.device) for p in points if not unplaceable(p)]
        with self._transaction() as writer:
            writer.executemany(_ERASE, places)

    def read(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        """Points of one subject, oldest first, at most POINTS_MAX. Raises StoreError."""
        since, until = max(since_us, TIME_US_MIN), min(until_us, TIME_US_MAX)
        return self._select(_READ, (kind, subject, since, until, POINTS_MAX))

    def scan(self, kind: str, device: str | None, since_us: int, limit: int) -> Sequence[Point]:
        """Points of one kind from `since_us` on, ordered by time. Raises StoreError."""
        since = max(since_us, TIME_US_MIN)
        return self._select(_SCAN, (kind, since, device, device, limit))

    def wipe(self) -> None:
        """Remove everything. Raises StoreError."""
        with self._transaction() as writer:
            writer.execute("delete from points")
            writer.execute("delete from types")

    def close(self) -> None:
        """Let go of the file."""
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def _prepare(self) -> None:
        (version,) = self._writer.execute("pragma user_version").fetchone()
        if version not in {0, VERSION}:
            raise StoreError(
                f"{self._path} has version {version}; this program reads {VERSION}", retry=False
            )
        for statement in _SCHEMA:
            self._writer.execute(statement)
        self._writer.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._writing, self._translated():
            self._writer.execute("begin immediate")
            try:
                yield self._writer
                self._writer.execute("commit")
            except BaseException:
                # A full disk has ended the transaction already.
                if self._writer.in_transaction:
                    self._writer.execute("rollback")
                raise

    def _select(self, statement: str, values: tuple[object, ...]) -> Sequence[Point]:
        with self._reading, self._translated():
            rows = self._reader.execute(statement, values).fetchall()
        return [
            Point(kind, subject, device, time_us, self._fields(fields, time_us))
            for kind, subject, device, time_us, fields in rows
        ]

    def _fields(self, text: str, time_us: int) -> Mapping[str, float | str | bool]:
        try:
            return _decode(text)
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"{self._path}: the point at {time_us} us is damaged: {error}", retry=False
            ) from error

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # The low byte of an extended code is the primary one (sqlite.org/rescode.html).
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise StoreError(
                f"{self._path}: {error}{MEND if code in _RUINED else ''}", retry=code in _PASSING
            ) from error
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}", retry=False) from error


class _Types:
    """The types of fields, as one transaction finds and makes them."""

    def __init__(self, writer: sqlite3.Connection) -> None:
        self._writer = writer
        self._known: dict[tuple[str, str], str] = {}

    def conflict(self, point: Point) -> str | None:
        """Why a field of this point does not fit, in InfluxDB's words, or None: its new fields have their type then."""
        new: dict[tuple[str, str], str] = {}
        for name, value in point.fields.items():
            place, told = (point.kind, name), _type(value)
            held = self._held(place)
            if held is None:
                new[place] = told
            elif held != told:
                return (
                    f'field type conflict: input field "{name}" on measurement "{point.kind}" '
                    f"is type {told}, already exists as type {held}"
                )
        self._known |= new
        self._writer.executemany(_NEW_TYPE, [(*place, told) for place, told in new.items()])
        return None

    def _held(self, place: tuple[str, str]) -> str | None:
        if place not in self._known and (found := self._writer.execute(_TYPE, place).fetchone()):
            self._known[place] = found[0]
        return self._known.get(place)


def _type(value: float | str | bool) -> str:  # noqa: FBT001 a field may be one
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case _:
            return "float"


def _connect(path: Path) -> sqlite3.Connection:
    # Two locks keep each connection to one thread at a time.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for setting in (f"busy_timeout = {BUSY_MS}", "journal_mode = wal", "synchronous = full"):
        connection.execute(f"pragma {setting}")
    return connection


def _floats(fields: Mapping[str, float | str | bool]) -> Mapping[str, float | str | bool]:
    return {
        name: value if isinstance(value, bool | str) else float(value)
        for name, value in fields.items()
    }
