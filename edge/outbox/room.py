"""How much of its disk an outbox may still use: all but a rest, without which no receipt could be noted. Reads only."""

import shutil
import sqlite3
from pathlib import Path

from edge.outbox.schema import translated
from gateway.runtime.errors import StoreError


def left(db: sqlite3.Connection, folder: Path, kept: int) -> int:
    """Bytes that rows may still take where `kept` stay free: of the disk, and of pages that the file has and doesn't use."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"outbox: {folder}: {error.strerror}", retry=True) from error
    if free >= 2 * kept:
        return free - kept
    with translated():
        (pages,) = db.execute("PRAGMA freelist_count").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    return free + pages * size - kept
