"""Claims keys: each measurement is stored once. Equal content under a held key is a duplicate; other content is kept, and a conflict.

Speaks sqlite3: one-row inserts over sorted keys are the fastest there (measured.md I).
"""

from collections.abc import Sequence

from cloud_ingest.stores.fate import DUPLICATE, STORED
from cloud_ingest.stores.records.filed import Journal
from cloud_ingest.stores.records.work import Cursor, Row
from gateway.model.identity import content_hash
from gateway.model.observation import Observation

CLAIM = "INSERT INTO keys (key, journal, position) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

# What makes two readings under one key the same: computed here, since a box could state any hash.
Content = tuple[str, str, str]


def claim(cursor: Cursor, journal: Journal, rows: Sequence[Row]) -> None:
    """Decide stored or duplicate for rows that bring a key. Their envelopes have their ids."""
    firsts: dict[str, Row] = {}
    later: list[Row] = []
    for row in rows:
        assert row.seen is not None  # what can't be read claims nothing
        if row.seen.key in firsts:
            later.append(row)
        else:
            firsts[row.seen.key] = row
    taken: list[Row] = []
    for key in sorted(firsts):
        row = firsts[key]
        cursor.execute(CLAIM, (key, row.filing.journal, row.position))
        row.outcome = STORED
        if cursor.rowcount == 0:
            taken.append(row)
    contents: dict[str, list[Content | None]] = {}
    for row in (*taken, *later):
        if row.seen is None:
            continue
        key = row.seen.key
        if key not in contents:
            first = firsts[key]
            held = _held(cursor, journal, key) if first in taken else [_content(first.seen)]
            contents[key] = held
        mine = _content(row.seen)
        if mine in contents[key]:
            row.outcome = DUPLICATE
        else:
            row.outcome, row.conflict = STORED, True
            contents[key].append(mine)


def write_conflicts(cursor: Cursor, rows: Sequence[Row], now_us: int) -> None:
    """A row for each reading whose key was held with other content."""
    for row in rows:
        if row.conflict and row.seen is not None:
            cursor.execute(
                "INSERT INTO conflicts (key, journal, position, at_us) VALUES (?, ?, ?, ?)",
                (row.seen.key, row.filing.journal, row.position, now_us),
            )


def _content(seen: Observation | None) -> Content | None:
    # None: a damaged row of the journal, which equals nothing that comes.
    return None if seen is None else (seen.device, seen.kind, content_hash(seen.kind, seen.parts))


def _held(cursor: Cursor, journal: Journal, key: str) -> list[Content | None]:
    """The contents that are stored under a key: the first, and those in conflict with it."""
    places = cursor.execute(
        "SELECT journal, position FROM keys WHERE key = ?"
        " UNION ALL SELECT journal, position FROM conflicts WHERE key = ?",
        (key, key),
    ).fetchall()
    return [_content(journal.read(cursor, row).observation(position)) for row, position in places]
