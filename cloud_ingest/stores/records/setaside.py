"""Readings that are stored, but can't be judged yet: noted in `due` until their subject is mended. One damaged row stops nobody else."""

import sqlite3
from collections.abc import Iterable

from cloud_ingest.stores.records.work import Row

UNJUDGED = "unjudged"  # due.what; `about` is the reading's key, or empty where a subject alone is to be mended
# Not before those of this subject that wait already: where it can't be mended, it is tried once in a while, not at each arrival.
_NOTE = (
    "INSERT INTO due (subject, at_us, what, about) SELECT :subject, coalesce(max(at_us), :now_us), :what, :about"
    " FROM due WHERE what = :what AND subject = :subject"
)
_ASKED = "SELECT 1 FROM due WHERE what = ? AND subject = ? LIMIT 1"


def set_aside(cursor: sqlite3.Cursor, rows: Iterable[Row], now_us: int) -> None:
    """Note those of these that were set aside, in the order of arrival."""
    for row in rows:
        if row.aside and row.seen is not None:
            _note(cursor, row.subject, row.seen.key, now_us)


def ask_to_mend(cursor: sqlite3.Cursor, subject: str, now_us: int) -> None:
    """Note that what is remembered of a subject can't be read, where nobody has noted it."""
    if cursor.execute(_ASKED, (UNJUDGED, subject)).fetchone() is None:
        _note(cursor, subject, "", now_us)


def _note(cursor: sqlite3.Cursor, subject: str, about: str, now_us: int) -> None:
    told = {"subject": subject, "now_us": now_us, "what": UNJUDGED, "about": about}
    cursor.execute(_NOTE, told)
