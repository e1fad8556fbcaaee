"""What a receipt does to rows: set aside by outcome, kept for a named time, then removed but for their digest.

Runs inside the caller's transaction. Only a receipt's own rows are touched, and only rows that have one are removed.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from edge.outbox.records import OutboxLimits, Settled
from edge.outbox.schema import DUPLICATE, PARKED, PENDING, STORED
from gateway.model.identity import DIGEST_MODULUS, ledger_digest
from gateway.runtime.clock import iso
from gateway.wire.receipts import Receipt

TRIM_ROWS = 1_000  # removed at most with one receipt, so that none waits long for the file
WHY_CHARS_MAX = 500
_DIGEST_DIGITS = 16

_Row = tuple[int, str, int, int, int]  # id, epoch, number, state, bytes


class ReceiptError(ValueError):
    """A receipt that contradicts itself or the envelope that it names: nothing is settled by it."""


def settle(
    db: sqlite3.Connection, ids: frozenset[int], receipt: Receipt, now: datetime
) -> tuple[Settled, int]:
    """Set rows aside; rows that are settled already stay as they are. Also tells the budget's bytes that this frees.

    Raises ReceiptError.
    """
    rows = _rows(db, ids)
    parked = {parked.n: parked.why[:WHY_CHARS_MAX] for parked in receipt.parked}
    duplicates = set(receipt.duplicates)
    _check(rows, receipt, parked, duplicates)
    mark = last_mark(db) + 1
    counts = {STORED: 0, DUPLICATE: 0, PARKED: 0}
    freed = 0
    for row_id, _, number, state, size in rows:
        if state != PENDING:
            continue
        freed += size
        outcome = PARKED if number in parked else DUPLICATE if number in duplicates else STORED
        counts[outcome] += 1
        db.execute(
            "UPDATE rows SET state = ?, why = ?, settled = ?, mark = ? WHERE id = ?",
            (outcome, parked.get(number), now.timestamp(), mark, row_id),
        )
    _note(db, receipt, now, mark)
    total = sum(counts.values())
    told = Settled(counts[STORED], counts[DUPLICATE], counts[PARKED], again=len(ids) - total)
    return told, freed


def last_mark(db: sqlite3.Connection) -> int:
    """The number of the last receipt that settled anything."""
    found = db.execute("SELECT value FROM meta WHERE name = 'mark'").fetchone()
    return int(found[0]) if found else 0


def trim(db: sqlite3.Connection, limits: OutboxLimits, now_s: float, *, aside: int) -> int:
    """Remove what has been aside long enough, or is too much; the digest of what goes is kept.

    `aside`: how many rows are, as far as is known. Returns how many of these went; parked rows were none of them.
    """
    gone = db.execute(
        "SELECT id, epoch, n, key, state FROM rows INDEXED BY rows_aside"
        " WHERE state IN (1, 2) AND settled < ? ORDER BY settled LIMIT ?",
        (now_s - limits.keep_s, TRIM_ROWS),
    ).fetchall()
    gone = gone or _surplus(db, aside - limits.aside_rows_max)
    gone += db.execute(
        "SELECT id, epoch, n, key, state FROM rows INDEXED BY rows_shown"
        " WHERE state IN (3, 4) AND state = 3 ORDER BY id DESC LIMIT ? OFFSET ?",
        (TRIM_ROWS, limits.parked_max),
    ).fetchall()
    for row in gone:
        db.execute("DELETE FROM rows WHERE id = ?", (row[0],))
    _remember(db, [(row[1], row[2], row[3], row[4]) for row in gone])
    return sum(row[4] != PARKED for row in gone)


def _rows(db: sqlite3.Connection, ids: frozenset[int]) -> list[_Row]:
    found: list[_Row] = []
    for row_id in sorted(ids):
        row = db.execute(
            "SELECT id, epoch, n, state, bytes FROM rows WHERE id = ?", (row_id,)
        ).fetchone()
        if row is not None:
            found.append(row)
    return found


def _check(
    rows: Sequence[_Row],
    receipt: Receipt,
    parked: Mapping[int, str],
    duplicates: set[int],
) -> None:
    numbers = {number for _, _, number, _, _ in rows}
    strange = (parked.keys() | duplicates) - numbers
    if len(rows) and strange:
        raise ReceiptError(f"names {len(strange)} numbers that its envelope doesn't hold")
    if parked.keys() & duplicates:
        raise ReceiptError("calls a number both parked and duplicate")
    if any(epoch != receipt.epoch for _, epoch, _, _, _ in rows):
        raise ReceiptError("names another epoch than its envelope")


def _note(db: sqlite3.Connection, receipt: Receipt, now: datetime, mark: int) -> None:
    held = dict(
        db.execute("SELECT name, value FROM meta WHERE name IN ('store', 'commit')").fetchall()
    )
    commit = receipt.commit
    if held.get("store") == receipt.store:
        commit = max(commit, int(held.get("commit", 0)))
    told = {"last_receipt": iso(now), "store": receipt.store, "commit": str(commit)}
    told["mark"] = str(mark)
    db.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", told.items())


def _surplus(db: sqlite3.Connection, surplus: int) -> list[tuple[int, str, int, str, int]]:
    return db.execute(
        "SELECT id, epoch, n, key, state FROM rows INDEXED BY rows_aside"
        " WHERE state IN (1, 2) ORDER BY settled LIMIT ?",
        (max(0, min(TRIM_ROWS, surplus)),),
    ).fetchall()


def _remember(db: sqlite3.Connection, gone: list[tuple[str, int, str, int]]) -> None:
    gone.sort()
    # Neighbours differ from their place in the list by the same amount.
    runs = groupby(enumerate(gone), key=lambda at: (at[1][0], at[1][1] - at[0]))
    for (epoch, _), run in runs:
        rows = [row for _, row in run]
        digest = ledger_digest((n, key) for _, n, key, state in rows if state != PARKED)
        _join(db, epoch, rows[0][1], rows[-1][1], digest)


def _join(db: sqlite3.Connection, epoch: str, first: int, last: int, digest: int) -> None:
    before = db.execute(
        "SELECT first, digest FROM removed WHERE epoch = ? AND last = ?", (epoch, first - 1)
    ).fetchone()
    after = db.execute(
        "SELECT last, digest FROM removed WHERE epoch = ? AND first = ?", (epoch, last + 1)
    ).fetchone()
    for found in (before, after):
        digest += int(found[1], 16) if found else 0
    db.execute(
        "DELETE FROM removed WHERE epoch = ? AND (last = ? OR first = ?)",
        (epoch, first - 1, last + 1),
    )
    db.execute(
        "INSERT INTO removed (epoch, first, last, digest) VALUES (?, ?, ?, ?)",
        (
            epoch,
            before[0] if before else first,
            after[0] if after else last,
            f"{digest % DIGEST_MODULUS:0{_DIGEST_DIGITS}x}",
        ),
    )
