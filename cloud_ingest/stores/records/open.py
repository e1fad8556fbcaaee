"""Opens the relational store: file, lock, schema, connections that write as SQLite must be written. Files nothing itself."""

import fcntl
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from cloud_ingest.stores.records.migrations.upgrade import (
    is_foreign,
    is_known,
    is_newest,
    upgrade,
)
from cloud_ingest.stores.records.schema import meta
from gateway.runtime.clock import random_hex
from gateway.runtime.errors import ConfigError, StoreError

STORE_ID_BITS = 64
RECORDS = "records"  # what an error calls the file once it is open
BUSY_S = 30.0  # how long a writer waits for another's transaction
# measured.md I: both halve what a claimed key costs; a larger cache is slower.
WAL_CHECKPOINT_PAGES = 20_000
CACHE_KIB = 16_000
WAL_KEPT_BYTES = 256 * 1024 * 1024
READERS_MAX = 15


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store. `lock` is the file descriptor that keeps a second ingester away, if this is one."""

    engine: Engine
    store: str
    lock: int | None


def open_store(path: Path, tenant: str, *, sole_ingester: bool) -> Opened:
    """Make or upgrade the file and open it. Raises ConfigError (held, another tenant's, newer schema) or StoreError."""
    lock = _hold(path) if sole_ingester else None
    try:
        with translated():
            # Made before SQLite does, so that it is never readable by others.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            engine = _engine(path)
            known = _upgrade(engine, path)
            held = _identify(engine, tenant) if known else {}
        _check(path, tenant, held, known=known)
        return Opened(engine, held["store"], lock)
    except StoreError as fault:
        release(lock)
        # Who opens it has written down where it is, and perhaps wrongly.
        told = str(fault).replace(f"{RECORDS}:", f"{path}:", 1)
        raise StoreError(told, retry=fault.retry) from fault
    except BaseException:
        release(lock)
        raise


def release(lock: int | None) -> None:
    """Let another ingester have the file."""
    if lock is not None:
        os.close(lock)


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """One write transaction: holds the write lock from its first statement; committed at the end, or nothing is done."""
    with translated(), engine.connect() as connection, connection.begin():
        _begin(connection, "BEGIN IMMEDIATE")
        yield connection


class Writer:
    """One connection for the write transactions of one thread. What it has read stays in its cache; a pool would take turns."""

    def __init__(self, engine: Engine) -> None:
        """Opened when it is first written with."""
        self._engine = engine
        self._kept: Connection | None = None

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """As `writing`. After a failure of any kind the connection goes back to the pool, and the next transaction takes one from there."""
        with translated():
            connection = self._kept or self._engine.connect()
            self._kept = None
            try:
                with connection.begin():
                    _begin(connection, "BEGIN IMMEDIATE")
                    yield connection
            except BaseException:
                connection.close()
                raise
            self._kept = connection

    def close(self) -> None:
        """Let go of the connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """One read transaction: a snapshot that no writer disturbs."""
    with translated(), engine.connect() as connection, connection.begin():
        _begin(connection, "BEGIN")
        yield connection


def _begin(connection: Connection, statement: str) -> None:
    # Here and not upon an event of the engine: an engine that has one looks for listeners around every statement.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(statement)


@contextmanager
def translated() -> Generator[None]:
    """Failures of the store become StoreError; faults of the data (a value that fits no column) pass."""
    try:
        yield
    except DBAPIError as error:
        fault = error.orig if isinstance(error.orig, sqlite3.Error) else None
        if fault is None or _of_data(fault):
            raise
        raise _store_error(fault) from error
    except sqlite3.Error as error:
        if _of_data(error):
            raise
        raise _store_error(error) from error
    except PoolTimeoutError as error:
        raise StoreError(f"records: {error}", retry=True) from error
    except OSError as error:
        raise StoreError(f"{error.filename or 'records'}: {error.strerror}", retry=True) from error


def _of_data(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError)


def _store_error(error: sqlite3.Error) -> StoreError:
    # Busy, full, I/O: the same transaction may succeed later. A damaged file or a bug in SQL won't.
    retry = isinstance(error, sqlite3.OperationalError)
    return StoreError(f"{RECORDS}: {error}", retry=retry)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": BUSY_S, "check_same_thread": False},
        max_overflow=READERS_MAX,
    )

    @event.listens_for(engine, "connect")
    def _prepare(made: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver's own idea of when a transaction begins takes no write lock: we begin it ourselves.
        made.isolation_level = None
        cursor = made.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}",
            f"cache_size = -{CACHE_KIB}",
            f"journal_size_limit = {WAL_KEPT_BYTES}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _upgrade(engine: Engine, path: Path) -> bool:
    """False for a schema that this program does not know: nothing is done to it. Raises ConfigError for another program's file."""
    with reading(engine) as connection:
        if is_newest(connection):
            return True
    with writing(engine) as connection:
        # Another process may have upgraded it while we waited for the lock.
        if is_newest(connection):
            return True
        if not is_known(connection):
            return False
        if is_foreign(connection):
            raise ConfigError(
                str(path),
                "data_dir",
                "is a database, but none of ours: its tables are another program's",
                "another data_dir, or move that file away",
            )
        upgrade(connection)
    return True


def _identify(engine: Engine, tenant: str) -> dict[str, str]:
    with writing(engine) as connection:
        held = {row.name: row.value for row in connection.execute(select(meta))}
        if "store" not in held:
            held = {**held, "store": random_hex(STORE_ID_BITS), "tenant": tenant}
            rows = [{"name": name, "value": held[name]} for name in ("store", "tenant")]
            connection.execute(insert(meta), rows)
        return held


def _check(path: Path, tenant: str, held: dict[str, str], *, known: bool) -> None:
    if not known:
        raise ConfigError(
            str(path),
            "(file)",
            "its schema is newer than this program",
            "the version of vitalgate that made it, or a later one, to run",
        )
    if held["tenant"] != tenant:
        raise ConfigError(
            str(path),
            "tenant",
            f"the records are those of {held['tenant']!r}, not of {tenant!r}",
            f'tenant = "{held["tenant"]}", or another data_dir',
        )


def _hold(path: Path) -> int:
    place = path.with_name(f"{path.name}.lock")
    try:
        lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{place}: {error.strerror}", retry=False) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise ConfigError(
            str(path),
            "data_dir",
            f"process {holder} ingests into it already, and SQLite has one ingester",
            "another data_dir, or stop that process first",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
