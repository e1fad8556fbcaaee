"""How the outbox stands, for the agent's own status and for `edge status` beside it. Reads only."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edge.outbox import devices
from edge.outbox.records import OutboxLimits, OutboxStatus, ParkedRow, Running, WindowFigures
from edge.outbox.schema import connect_readonly, translated
from gateway.runtime.errors import StoreError

SHOWN_MAX = 100  # parked and damaged rows that a status lists

_encode = msgspec.json.Encoder().encode
_decode_running = msgspec.json.Decoder(Running).decode


def running_json(
    at: datetime, *, connected: bool, window: WindowFigures, counters: Mapping[str, int]
) -> str:
    """What a running agent says of itself, as it is kept."""
    return _encode(Running(at, connected, window, counters)).decode()


def read_status(path: Path, limits: OutboxLimits | None = None) -> OutboxStatus:
    """The status of an outbox that another process may have open. Raises StoreError."""
    db = connect_readonly(path)
    try:
        with translated():
            return read(db, limits or OutboxLimits())
    except StoreError as fault:
        # Who asks has written down where it is, and perhaps wrongly.
        raise StoreError(f"{path}: {fault}", retry=fault.retry) from fault
    finally:
        db.close()


def read(db: sqlite3.Connection, limits: OutboxLimits) -> OutboxStatus:
    """One consistent look. Raises StoreError for a file that holds no outbox yet."""
    db.execute("BEGIN")
    try:
        return _read(db, limits)
    finally:
        db.execute("ROLLBACK")


def _read(db: sqlite3.Connection, limits: OutboxLimits) -> OutboxStatus:
    current = db.execute("SELECT epoch, issued FROM epochs ORDER BY id DESC LIMIT 1").fetchone()
    told = dict(db.execute("SELECT name, value FROM meta").fetchall())
    if current is None or "agent" not in told:
        raise StoreError("outbox: the agent that makes it hasn't finished yet", retry=True)
    pending, size, oldest = db.execute(
        "SELECT count(*), coalesce(sum(bytes), 0), min(accepted)"
        " FROM rows INDEXED BY rows_pending WHERE state = 0"
    ).fetchone()
    aside = db.execute(
        "SELECT count(*) FROM rows INDEXED BY rows_aside WHERE state IN (1, 2)"
    ).fetchone()[0]
    return OutboxStatus(
        agent=told["agent"],
        epoch=current[0],
        issued=current[1],
        pending=pending,
        pending_bytes=size,
        used=max(pending / limits.rows_max, size / limits.bytes_max),
        oldest_pending=datetime.fromtimestamp(oldest, UTC) if oldest is not None else None,
        aside=aside,
        last_receipt=devices.moment(told.get("last_receipt")),
        devices=devices.states(db),
        parked=_parked(db),
        damaged=_damaged(db),
        running=_running(told.get("running")),
    )


def _parked(db: sqlite3.Connection) -> tuple[ParkedRow, ...]:
    found = db.execute(
        "SELECT epoch, n, key, device, coalesce(why, '') FROM rows INDEXED BY rows_shown"
        " WHERE state IN (3, 4) AND state = 3 ORDER BY id DESC LIMIT ?",
        (SHOWN_MAX,),
    )
    return tuple(ParkedRow(*row) for row in found)


def _damaged(db: sqlite3.Connection) -> tuple[str, ...]:
    found = db.execute(
        "SELECT epoch, n FROM rows INDEXED BY rows_shown"
        " WHERE state IN (3, 4) AND state = 4 ORDER BY id DESC LIMIT ?",
        (SHOWN_MAX,),
    )
    return tuple(f"{epoch}:{number}" for epoch, number in found)


def _running(told: str | None) -> Running | None:
    try:
        return _decode_running(told) if told is not None else None
    except msgspec.MsgspecError:
        return None  # damaged on the disk: the next second's note takes its place
