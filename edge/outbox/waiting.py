"""What waits for a receipt, cut into batches. Reads rows, and tells which are unsound; sends and settles nothing."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge.outbox.accepting import checksum
from edge.outbox.records import BASE_APART_S, LIVE_S, Row
from edge.outbox.schema import DAMAGED
from gateway.runtime.clock import TimeBase


class Place(NamedTuple):
    """A waiting row, without its body."""

    id: int
    epoch: str
    number: int
    bytes: int
    boot: str
    anchor_s: float

    @property
    def base(self) -> TimeBase | None:
        """On what clock its times rest; None where it was accepted before that was kept."""
        return TimeBase(self.boot, self.anchor_s) if self.boot else None

    def follows(self, before: "Place", first: "Place") -> bool:
        """Whether it may stand in one envelope with those from `first` to `before`."""
        return (
            (self.epoch, self.number) == (before.epoch, before.number + 1)
            and self.boot == first.boot
            and abs(self.anchor_s - first.anchor_s) <= BASE_APART_S
        )


@dataclass(frozen=True, slots=True)
class Now:
    """The time, by the wall clock and by what it rests on."""

    at_s: float
    base: TimeBase


def choose(
    db: sqlite3.Connection,
    rows_max: int,
    skip: frozenset[int],
    *,
    bytes_max: int,
    live: Now | None,
) -> list[Place]:
    """The oldest waiting rows that aren't in `skip`, as far as their numbers follow one another in one epoch.

    All rest on one clock. `live`: only live rows that were accepted less than LIVE_S before. A row alone may exceed
    `bytes_max`.
    """
    chosen: list[Place] = []
    total = 0
    for place in map(Place._make, _waiting(db, live)):
        if place.id in skip:
            if chosen:
                break
            continue
        total += place.bytes
        follows = not chosen or place.follows(chosen[-1], chosen[0])
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


def _waiting(db: sqlite3.Connection, live: Now | None) -> sqlite3.Cursor:
    columns = "SELECT id, epoch, n, bytes, boot, anchor FROM rows WHERE state = 0"
    if live is None:
        return db.execute(f"{columns} ORDER BY id")
    # How long ago: by the steady clock where it is the same one, since the wall clock may have been set in between.
    return db.execute(
        f"{columns} AND live = 1 AND accepted >= CASE boot WHEN ? THEN anchor + ? ELSE ? END ORDER BY id",
        (live.base.boot, live.at_s - live.base.anchor_s - LIVE_S, live.at_s - LIVE_S),
    )
