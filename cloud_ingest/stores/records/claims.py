"""Claims keys: each measurement is stored once. Equal content under a held key is a duplicate; other content is kept, and a conflict.

Speaks sqlite3: one-row inserts over sorted keys are the fastest there (measured.md I).
"""

import hashlib
from binascii import unhexlify
from collections.abc import Sequence

from cloud_ingest.stores.fate import DUPLICATE, STORED
from cloud_ingest.stores.records.filed import Journal
from cloud_ingest.stores.records.work import Cursor, Filing, Row
from gateway.model.identity import DEVICE_ID_BYTES, STAMP_BYTES, content_hash

CLAIM = "INSERT INTO keys (key, journal, position) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"

# A position in the journal's `contents`: device and content hash.
CONTENT_BYTES = DEVICE_ID_BYTES + STAMP_BYTES
HELD = f"""
SELECT held.journal, position, sha256, payload, substr(contents, position * {CONTENT_BYTES} + 1, {CONTENT_BYTES})
FROM (
    SELECT journal, position FROM keys WHERE key = ? UNION ALL SELECT journal, position FROM conflicts WHERE key = ?
) AS held LEFT JOIN journal ON id = held.journal
"""  # noqa: S608 a number of ours
_NOTHING = "00" * CONTENT_BYTES


def claim(cursor: Cursor, journal: Journal, rows: Sequence[Row]) -> None:
    """Decide stored or duplicate for rows that bring a key. Their envelopes have their ids."""
    firsts: dict[str, Row] = {}
    later: list[Row] = []
    for row in rows:
        assert row.seen is not None  # what can't be read claims nothing
        row.content = content_hash(row.seen.kind, row.seen.parts)
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
    contents: dict[str, list[str]] = {}
    for row in (*taken, *later):
        if row.seen is None:
            continue
        key = row.seen.key
        if key not in contents:
            first = firsts[key]
            contents[key] = _held(cursor, journal, key) if first in taken else [_told(first)]
        told = _told(row)
        if told in contents[key]:
            row.outcome = DUPLICATE
        else:
            row.outcome, row.conflict = STORED, True
            contents[key].append(told)


def write_conflicts(cursor: Cursor, rows: Sequence[Row], now_us: int) -> None:
    """A row for each reading whose key was held with other content."""
    for row in rows:
        if row.conflict and row.seen is not None:
            cursor.execute(
                "INSERT INTO conflicts (key, journal, position, at_us) VALUES (?, ?, ?, ?)",
                (row.seen.key, row.filing.journal, row.position, now_us),
            )


def encode_contents(filing: Filing) -> bytes:
    """For the journal: what is stored at each position. No key points to any other."""
    return unhexlify(
        "".join([_told(row) if row.outcome == STORED else _NOTHING for row in filing.rows])
    )


def _told(row: Row) -> str:
    """What makes two readings under one key the same, in hex: device, and our own hash over kind, values and units (a box could state any)."""
    assert row.seen is not None
    return row.seen.device + row.content


def _held(cursor: Cursor, journal: Journal, key: str) -> list[str]:
    """The contents that are stored under a key: the first, and those in conflict with it. What is damaged equals nothing that comes."""
    contents: list[str] = []
    for row, position, sha256, payload, content in cursor.execute(HELD, (key, key)).fetchall():
        # To hash an envelope takes a twentieth of what it takes to read it.
        if content and hashlib.sha256(payload).digest() == sha256:
            contents.append(content.hex())
        elif (seen := journal.read(cursor, row).observation(position)) is not None:
            contents.append(seen.device + content_hash(seen.kind, seen.parts))
    return contents
