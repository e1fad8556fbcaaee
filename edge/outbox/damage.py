"""A damaged outbox file: moved aside under a name that says so, replaced by what could be salvaged. Deletes no evidence.

Every step can be repeated: a marker beside the file says that a recovery is under way, and the next start ends it.
"""

import os
from datetime import datetime
from pathlib import Path

from edge.outbox.records import Recovery
from edge.outbox.salvage import salvage
from edge.outbox.schema import DamageError, connect, translated, writing
from gateway.runtime.errors import StoreError

ASIDE_MAX = 1_000  # names tried for the damaged file
_PARTS = ("-wal", "-shm", "")  # the file last: once it has moved, all has


def make(path: Path) -> None:
    """Make the file (0600) where there is none. Raises DamageError for one that was emptied, StoreError."""
    try:
        made = not path.exists()
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
    except OSError as error:
        raise _refused(path, error) from error
    if not (made or size):
        # SQLite would take it for a new one, and delete the log that stands beside it.
        raise DamageError("the file is empty")


def recover(path: Path, now: datetime, why: str, *, epoch: str) -> Recovery:
    """Move the damaged file aside and put a salvaged one, whose current epoch is `epoch`, in its place. Raises StoreError."""
    moved = _free_name(path, now)
    _write_marker(path, moved)
    return _carry_out(path, moved, why, epoch)


def resume(path: Path, *, epoch: str) -> Recovery | None:
    """End a recovery that a kill interrupted, if there is one. Raises StoreError."""
    try:
        name = _marker(path).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"outbox: {_marker(path)}: {error}", retry=False) from error
    moved = path.with_name(name)
    if moved.exists() and path.exists():
        _end(path)
        return None
    return _carry_out(path, moved, "a recovery that was interrupted", epoch)


def _carry_out(path: Path, moved: Path, why: str, epoch: str) -> Recovery:
    fresh = path.with_name(path.name + ".new")
    try:
        if not moved.exists():
            _move(path, moved)
        for part in _PARTS:
            fresh.with_name(fresh.name + part).unlink(missing_ok=True)
        make(fresh)
        with translated():
            db = connect(fresh)
            try:
                with writing(db):
                    recovery = salvage(moved, db, why, epoch=epoch)
            finally:
                db.close()
        fresh.rename(path)
        _end(path)
    except OSError as error:
        raise _refused(path, error) from error
    return recovery


def _move(path: Path, moved: Path) -> None:
    for part in _PARTS:
        here = path.with_name(path.name + part)
        if here.exists():
            here.rename(moved.with_name(moved.name + part))
    _sync(path.parent)


def _free_name(path: Path, now: datetime) -> Path:
    for number in range(ASIDE_MAX):
        moved = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}-{number}")
        if not moved.exists():
            return moved
    raise StoreError(f"outbox: {ASIDE_MAX} damaged files beside {path}", retry=False)


def _write_marker(path: Path, moved: Path) -> None:
    draft = path.with_name(path.name + ".recovering.draft")
    try:
        with draft.open("w") as file:
            file.write(moved.name)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(_marker(path))
        _sync(path.parent)
    except OSError as error:
        raise _refused(path, error) from error


def _end(path: Path) -> None:
    _sync(path.parent)
    _marker(path).unlink()


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".recovering")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreError(f"outbox: {path}: {error.strerror or error}", retry=False)
