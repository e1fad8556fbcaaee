"""What waits for a receipt, cut into batches. Reads rows, and tells which are unsound; sends and settles nothing."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from edge.outbox.accepting import checksum
from edge.outbox.records import Row
from edge.outbox.schema import DAMAGED


class Place(NamedTuple):
    """A waiting row, without its body."""

    id: int
    epoch: str
    number: int
    bytes: int


def choose(
    db: sqlite3.Connection,
    rows_max: int,
    skip: frozenset[int],
    *,
    bytes_max: int,
    since_s: float | None,
) -> list[Place]:
    """The oldest waiting rows that aren't in `skip`, as far as their numbers follow one another in one epoch.

    `since_s`: only live rows that were accepted since. A row alone may exceed `bytes_max`.
    """
    chosen: list[Place] = []
    total = 0
    for place in map(Place._make, _waiting(db, since_s)):
        if place.id in skip:
            if chosen:
                break
            continue
        total += place.bytes
        follows = not chosen or place[1:3] == (chosen[-1].epoch, chosen[-1].number + 1)
        if not follows or len(chosen) >= rows_max or (chosen and total > bytes_max):
            break
        chosen.append(place)
    return chosen


def read_sound(
    db: sqlite3.Connection, chosen: Sequence[Place]
) -> tuple[tuple[Row, ...], int | None]:
    """The chosen rows up to the first whose bytes don't match their checksum, and that one's id."""
    rows: list[Row] = []
    for place in chosen:
        found = db.execute("SELECT key, crc, body FROM rows WHERE id = ?", (place.id,)).fetchone()
        if found is None or checksum(found[0], found[2]) != found[1]:
            return tuple(rows), place.id
        rows.append(Row(place.id, place.number, found[2]))
    return tuple(rows), None


def mark_damaged(db: sqlite3.Connection, row_id: int) -> None:
    """Never send this row; let its device be read, and the measurement numbered, again."""
    db.execute("UPDATE rows SET state = ? WHERE id = ?", (DAMAGED, row_id))
    db.execute("DELETE FROM told WHERE id = ?", (row_id,))
    db.execute(
        "UPDATE devices SET cursor = NULL WHERE device = (SELECT device FROM rows WHERE id = ?)",
        (row_id,),
    )


def _waiting(db: sqlite3.Connection, since_s: float | None) -> sqlite3.Cursor:
    if since_s is None:
        return db.execute("SELECT id, epoch, n, bytes FROM rows WHERE state = 0 ORDER BY id")
    return db.execute(
        "SELECT id, epoch, n, bytes FROM rows WHERE state = 0 AND live = 1 AND accepted >= ?"
        " ORDER BY id",
        (since_s,),
    )
