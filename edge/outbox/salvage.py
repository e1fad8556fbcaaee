"""What can be read of a damaged outbox, row by row, into a new one. Reads the old file only; names what it could not read."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path

import msgspec

from edge.outbox.accepting import checksum, fingerprint
from edge.outbox.records import Recovery
from edge.outbox.schema import DAMAGED
from gateway.model.observation import Observation

CHUNK_ROWS = 64
LOST_MAX = 1_000  # ranges that are named
ROWS_MAX = 10_000_000  # a higher row id in a damaged file is damage itself
BEYOND_ROWS = 1_000  # looked for past the last number that is known

_COLUMNS = (
    *("id", "epoch", "n", "key", "device", "live", "accepted", "bytes", "crc"),
    *("state", "why", "settled", "mark", "era", "body"),
    *("boot", "anchor"),
)
_LATER = ("boot", "anchor")  # a file that an older program made has none of these
_SIMPLE = (
    ("meta", ("name", "value")),
    ("removed", ("epoch", "first", "last", "digest")),
    ("devices", ("device", "profile", "place", "facts", "readings", "cursor")),
    ("places", ("place", "device")),
    ("clocks", ("device", "memory")),
)
_META_NUMBERS = frozenset({"era", "mark"})
_META_KEPT = frozenset({"agent", "key_mark", "last_receipt"})
_decode = msgspec.json.Decoder(Observation).decode

Found = tuple[object, ...]


def salvage(moved: Path, into: sqlite3.Connection, why: str, *, epoch: str) -> Recovery:
    """Copy rows with the numbers they had, epochs and enrolments; what comes is numbered in `epoch`.

    Runs inside the caller's transaction. Where anything is lost, cursors and clocks stay behind: devices are read again
    from the start, and keys tell what is known.
    """
    # Beside an empty file SQLite deletes the log even where it may only read, unless it is told that nothing will change.
    how = "mode=ro" if moved.stat().st_size else "immutable=1"
    old = sqlite3.connect(f"{moved.resolve().as_uri()}?{how}", uri=True, isolation_level=None)
    try:
        old.text_factory = _text
        # Of a file that ends before its header says, SQLite reads not one page without this: the table's definition is believed.
        old.execute("PRAGMA writable_schema = ON")
        issued = _epochs(old)
        rows = 0
        # One by one: a box has no room for all of them at once.
        for row in _rows(old, sum(issued.values())):
            if _sound(row):
                _keep(into, row)
                rows += 1
        for table, columns in _SIMPLE:
            for found in _readable(old, table, columns):
                if _is_kept(table, found):
                    _insert(into, table, columns, found)
    finally:
        old.close()
    lost = _put_epochs(into, issued, epoch)
    if lost:
        into.execute("UPDATE devices SET cursor = NULL")
        into.execute("DELETE FROM clocks")
    return Recovery(str(moved), why, rows, lost)


def _is_kept(table: str, found: Found) -> bool:
    if table == "removed":
        _, first, last, digest = found
        return isinstance(first, int) and isinstance(last, int) and _is_digest(digest)
    if table == "meta" and found[0] in _META_NUMBERS:
        return isinstance(found[1], str) and re.fullmatch("[0-9]{1,18}", found[1]) is not None
    return table != "meta" or found[0] in _META_KEPT


def _is_digest(told: object) -> bool:
    return isinstance(told, str) and re.fullmatch("[0-9a-f]{16}", told) is not None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _epochs(old: sqlite3.Connection) -> dict[str, int]:
    return {
        epoch: count
        for epoch, count in _readable(old, "epochs", ("epoch", "issued"))
        if isinstance(epoch, str) and isinstance(count, int) and count >= 0
    }


def _rows(old: sqlite3.Connection, issued: int) -> Iterator[Found]:
    last = _last_id(old, issued)
    select = f"SELECT {_selected(old)} FROM rows NOT INDEXED WHERE id >= ? AND id < ?"  # noqa: S608 names above
    for start in range(0, last + 1, CHUNK_ROWS):
        try:
            yield from old.execute(select, (start, start + CHUNK_ROWS)).fetchall()
        except sqlite3.DatabaseError:
            # One page of these is damaged: ask for each row alone.
            for row_id in range(start, start + CHUNK_ROWS):
                try:
                    yield from old.execute(select, (row_id, row_id + 1)).fetchall()
                except sqlite3.DatabaseError:
                    continue


def _selected(old: sqlite3.Connection) -> str:
    try:
        old.execute(f"SELECT {', '.join(_LATER)} FROM rows LIMIT 0")  # noqa: S608 names above
    except sqlite3.DatabaseError:
        return ", ".join(c for c in _COLUMNS if c not in _LATER) + ", '', 0.0"
    return ", ".join(_COLUMNS)


def _last_id(old: sqlite3.Connection, issued: int) -> int:
    last = issued + BEYOND_ROWS
    for question in (
        "SELECT max(id) FROM rows",
        "SELECT seq FROM sqlite_sequence WHERE name = 'rows'",
    ):
        try:
            told = old.execute(question).fetchone()
        except sqlite3.DatabaseError:
            continue
        if told and isinstance(told[0], int):
            last = max(last, told[0])
    return min(last, ROWS_MAX)


def _readable(old: sqlite3.Connection, table: str, columns: Sequence[str]) -> Iterator[Found]:
    try:
        cursor = old.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608 names above
        while (found := cursor.fetchone()) is not None:
            yield found
    except sqlite3.DatabaseError:
        # The rest of this table lies behind the damage; what rows say is enough to go on.
        return


def _sound(row: Found) -> bool:
    told = dict(zip(_COLUMNS, row, strict=True))
    number, key, body = told["n"], told["key"], told["body"]
    if not (isinstance(number, int) and isinstance(key, str) and isinstance(body, bytes)):
        return False
    return told["state"] == DAMAGED or checksum(key, body) == told["crc"]


def _keep(into: sqlite3.Connection, row: Found) -> None:
    if not _insert(into, "rows", _COLUMNS, row):
        return
    told = dict(zip(_COLUMNS, row, strict=True))
    body = told["body"]
    if told["state"] == DAMAGED or not isinstance(body, bytes):
        return
    try:
        known = fingerprint(_decode(body))
    except msgspec.MsgspecError:
        return
    _insert(into, "told", ("id", "fingerprint"), (told["id"], known))


def _insert(
    into: sqlite3.Connection, table: str, columns: Sequence[str], values: Sequence[object]
) -> bool:
    marks = ", ".join("?" * len(columns))
    names = ", ".join(columns)
    added = into.execute(
        f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 names above
        tuple(values),
    )
    return added.rowcount == 1


def _put_epochs(into: sqlite3.Connection, issued: dict[str, int], epoch: str) -> tuple[str, ...]:
    lost: list[str] = [] if issued else ["how many numbers were issued could not be read"]
    highest = dict(into.execute("SELECT epoch, max(n) FROM rows GROUP BY epoch").fetchall())
    for old in dict.fromkeys((*issued, *highest)):
        count = max(issued.get(old, 0), highest.get(old, 0))
        _insert(into, "epochs", ("epoch", "issued", "opened", "why"), (old, count, "", "salvaged"))
        lost += islice(_gaps(into, old, count), LOST_MAX)
    _insert(into, "epochs", ("epoch", "opened", "why"), (epoch, "", "a damaged file was salvaged"))
    return tuple(lost[:LOST_MAX])


def _gaps(into: sqlite3.Connection, epoch: str, count: int) -> Iterator[str]:
    # Never a list of the numbers themselves: how many were issued may be damage, too.
    held = into.execute("SELECT n, n FROM rows WHERE epoch = ? ORDER BY n", (epoch,))
    gone = into.execute("SELECT first, last FROM removed WHERE epoch = ? ORDER BY first", (epoch,))
    due = 1
    for first, last in merge(held, gone):
        if first > due:
            yield f"{epoch}:{due}-{first - 1}"
        due = max(due, last + 1)
    if due <= count:
        yield f"{epoch}:{due}-{count}"
