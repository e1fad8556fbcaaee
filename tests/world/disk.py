"""The disk of a box or a cloud: what survives a process, what a commit brought to it, and what SQLite may still lose."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from edge.outbox.schema import connect

OUTBOX = "outbox.sqlite"
WAL_HEADER_BYTES = 32
FULL = 2  # PRAGMA synchronous


class Watched(sqlite3.Connection):
    """The product's own connection to its outbox, which notices what each commit brings to the disk."""

    committing: Callable[[int], None] = staticmethod(lambda _synchronous: None)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 as sqlite3 has it
        """As ever."""
        if sql == "COMMIT":
            self.committing(super().execute("PRAGMA synchronous").fetchone()[0])
        return super().execute(sql, parameters)


@cache
def empty_outbox() -> bytes:
    """What the migrations make, before any agent has it: made once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / OUTBOX
        connect(path).close()
        return path.read_bytes()


@contextmanager
def watched() -> Generator[None]:
    """Inside, what connects to a database is `Watched`."""
    real = sqlite3.connect
    sqlite3.connect = partial(real, factory=Watched)
    try:
        yield
    finally:
        sqlite3.connect = real


def copy_files(source: Path, to: Path) -> None:
    """What survives a process: its files, but not what SQLite shares in memory, and no lock."""
    to.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        if not path.name.endswith(("-shm", ".lock")):
            shutil.copyfile(path, to / path.name)


def wal_of(path: Path) -> tuple[bytes, int]:
    """Salt and length of a write-ahead log."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b"", 0
    try:
        return os.pread(file, WAL_HEADER_BYTES, 0)[16:24], os.fstat(file).st_size
    finally:
        os.close(file)
