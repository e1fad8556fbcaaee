"""The outbox's file: tables, migrations, how it is opened, and what SQLite's errors mean here. No readings are judged."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from edge.outbox.records import OutboxFull
from gateway.runtime.errors import StoreError

APPLICATION_ID = 0x56474F42  # "VGOB"
BUSY_MS = 5_000
CACHE_KIB = 8_000

# States of a row.
PENDING, STORED, DUPLICATE, PARKED, DAMAGED = range(5)

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epochs (
    id INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, issued INTEGER NOT NULL DEFAULT 0,
    opened TEXT NOT NULL, why TEXT NOT NULL
);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch TEXT NOT NULL, n INTEGER NOT NULL, key TEXT NOT NULL, device TEXT NOT NULL,
    live INTEGER NOT NULL, accepted REAL NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, why TEXT, settled REAL, mark INTEGER, era INTEGER NOT NULL DEFAULT -1,
    body BLOB NOT NULL,
    UNIQUE (epoch, n)
);
CREATE INDEX rows_pending ON rows (id, epoch, n, bytes, accepted) WHERE state = 0;
CREATE INDEX rows_live ON rows (id, epoch, n, bytes, accepted) WHERE state = 0 AND live = 1;
CREATE INDEX rows_aside ON rows (settled) WHERE state IN (1, 2);
CREATE INDEX rows_shown ON rows (id) WHERE state IN (3, 4);
CREATE TABLE told (id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE);
CREATE TABLE removed (
    epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (epoch, first)
) WITHOUT ROWID;
CREATE TABLE devices (
    device TEXT PRIMARY KEY, profile TEXT NOT NULL DEFAULT '', place TEXT NOT NULL DEFAULT '',
    facts TEXT NOT NULL DEFAULT '{}', last_heard TEXT, last_reading TEXT,
    readings INTEGER NOT NULL DEFAULT 0, trouble TEXT, cursor TEXT
) WITHOUT ROWID;
CREATE TABLE places (place TEXT PRIMARY KEY, device TEXT NOT NULL) WITHOUT ROWID;
"""

# What visits learnt of a device's clock, as the agent's timekeeping wrote it.
_CLOCKS = "CREATE TABLE clocks (device TEXT PRIMARY KEY, memory TEXT NOT NULL) WITHOUT ROWID;"

# On what clock the times of a row rest, so that they can be corrected when it turns out to have been wrong. Where a row is
# older than this, nothing says so.
_BASES = """
ALTER TABLE rows ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE rows ADD COLUMN anchor REAL NOT NULL DEFAULT 0;
DROP INDEX rows_pending;
DROP INDEX rows_live;
CREATE INDEX rows_pending ON rows (id, epoch, n, bytes, accepted, boot, anchor) WHERE state = 0;
CREATE INDEX rows_live ON rows (id, epoch, n, bytes, accepted, boot, anchor) WHERE state = 0 AND live = 1;
"""

# One script for each version; `user_version` says how many have run.
MIGRATIONS = (_FIRST, _CLOCKS, _BASES)


class DamageError(Exception):
    """The file is no sound database: it must be moved aside and salvaged."""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open for writing, durable on commit; None is memory. Raises DamageError, StoreError."""
    with translated(), damage_named():
        # isolation_level None: transactions are begun and ended here alone.
        db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=BUSY_MS / 1_000)
        try:
            _prepare(db)
        except BaseException:
            db.close()
            raise
    return db


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open beside a running agent, to look only. Raises StoreError."""
    try:
        found = path.exists()
    except OSError as error:  # a name that is too long, a folder that lets nobody in
        raise StoreError(f"{path}: {error.strerror}", retry=False) from error
    if not found:
        raise StoreError(f"{path}: there is no outbox; has the agent ever run?", retry=False)
    with translated():
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_MS / 1_000,
        )


@contextmanager
def writing(db: sqlite3.Connection) -> Generator[None]:
    """One transaction: committed and fsynced when the block ends well, rolled back else. Raises StoreError, OutboxFull."""
    with translated():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@contextmanager
def translated() -> Generator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _ours(error) from error


@contextmanager
def damage_named() -> Generator[None]:
    """What SQLite says of a damaged file, as `DamageError`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise DamageError(str(error)) from error
        raise


def _code(error: sqlite3.Error) -> int:
    # The low byte is the primary code. Errors of the module itself have none.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF


def _ours(error: sqlite3.Error) -> StoreError:
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return OutboxFull(f"outbox: the disk is full ({error})")
        case (
            sqlite3.SQLITE_BUSY
            | sqlite3.SQLITE_LOCKED
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_NOMEM
        ):
            return StoreError(f"outbox: {error}", retry=True)
        case _:
            return StoreError(f"outbox: {error}", retry=False)


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    # On macOS fsync leaves data in the drive's cache; elsewhere these do nothing.
    db.execute("PRAGMA fullfsync = ON")
    db.execute("PRAGMA checkpoint_fullfsync = ON")
    db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    found = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise DamageError("; ".join(str(line) for line in found))
    _migrate(db)


def _migrate(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    mine = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and not mine:
        raise StoreError("outbox: the file is a database, but no outbox of ours", retry=False)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"outbox: made by a newer program (version {version}; this one reads {len(MIGRATIONS)})",
            retry=False,
        )
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        with writing(db):
            for statement in script.split(";"):
                if statement.strip():
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
