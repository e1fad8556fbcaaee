"""The outbox's devices: who stands where, cursors, clocks, when each was last heard. Runs inside the caller's transaction."""

import sqlite3
from datetime import datetime

import msgspec

from edge.outbox.records import DeviceState, Enrolled
from gateway.runtime.clock import from_iso, iso

TROUBLE_CHARS_MAX = 500

_encode = msgspec.json.Encoder(order="sorted").encode
_decode_facts = msgspec.json.Decoder(dict[str, str]).decode


def note_accepted(db: sqlite3.Connection, device: str, added: int, cursor: str | None) -> None:
    """Count what was numbered, and keep the cursor: in the commit of the rows themselves."""
    db.execute(
        "INSERT INTO devices (device, readings, cursor) VALUES (?, ?, ?)"
        " ON CONFLICT (device) DO UPDATE SET readings = readings + excluded.readings,"
        " cursor = coalesce(excluded.cursor, cursor)",
        (device, added, cursor),
    )


def cursor(db: sqlite3.Connection, device: str) -> str | None:
    """Where the last visit to this device got to."""
    found = db.execute("SELECT cursor FROM devices WHERE device = ?", (device,)).fetchone()
    return found[0] if found else None


def clock_memory(db: sqlite3.Connection, device: str) -> str | None:
    """What visits learnt of this device's clock."""
    found = db.execute("SELECT memory FROM clocks WHERE device = ?", (device,)).fetchone()
    return found[0] if found else None


def remember_clock(db: sqlite3.Connection, device: str, memory: str) -> None:
    """Keep what a visit learnt of this device's clock, instead of what was kept before."""
    db.execute("INSERT OR REPLACE INTO clocks (device, memory) VALUES (?, ?)", (device, memory))


def enrol(db: sqlite3.Connection, enrolled: Enrolled) -> None:
    """One device for a place; a device that moved takes its state along."""
    db.execute(
        "INSERT INTO devices (device, profile, place, facts) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (device) DO UPDATE SET profile = excluded.profile, place = excluded.place,"
        " facts = excluded.facts",
        (enrolled.device, enrolled.profile, enrolled.place, _encode(enrolled.facts).decode()),
    )
    db.execute("DELETE FROM places WHERE device = ?", (enrolled.device,))
    db.execute(
        "INSERT OR REPLACE INTO places (place, device) VALUES (?, ?)",
        (enrolled.place, enrolled.device),
    )


def enrolled(db: sqlite3.Connection, place: str) -> Enrolled | None:
    """Which device stands at a place."""
    found = db.execute(
        "SELECT d.place, d.device, d.profile, d.facts FROM places p JOIN devices d USING (device)"
        " WHERE p.place = ?",
        (place,),
    ).fetchone()
    facts = _facts(found[3]) if found else None
    # Whose facts can't be read any more is enrolled anew, by what it states: nothing is left to tell another device by.
    return None if facts is None else Enrolled(found[0], found[1], found[2], facts)


def note(
    db: sqlite3.Connection,
    device: str,
    *,
    heard: datetime | None,
    reading: datetime | None,
    trouble: str | None,
) -> None:
    """Note what happened; None leaves a time as it was, and clears the trouble."""
    db.execute(
        "INSERT INTO devices (device, last_heard, last_reading, trouble) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (device) DO UPDATE SET last_heard = coalesce(excluded.last_heard, last_heard),"
        " last_reading = coalesce(excluded.last_reading, last_reading), trouble = excluded.trouble",
        (
            device,
            iso(heard) if heard else None,
            iso(reading) if reading else None,
            trouble[:TROUBLE_CHARS_MAX] if trouble else None,
        ),
    )


def states(db: sqlite3.Connection) -> tuple[DeviceState, ...]:
    """Every device, by pseudonym."""
    found = db.execute(
        "SELECT device, profile, place, facts, last_heard, last_reading, readings, trouble"
        " FROM devices ORDER BY device"
    )
    return tuple(
        DeviceState(
            device=row[0],
            profile=row[1],
            place=row[2],
            facts=_facts(row[3]) or {},
            last_heard=moment(row[4]),
            last_reading=moment(row[5]),
            readings=row[6],
            trouble=row[7],
        )
        for row in found
    )


def moment(told: object) -> datetime | None:
    """A time as it was noted; None where it never was, or where the disk has damaged it."""
    try:
        return from_iso(told) if isinstance(told, str) else None
    except ValueError:
        return None


def _facts(told: object) -> dict[str, str] | None:
    # SQLite doesn't see a bit that flips inside a value, and a damaged note on one device must not stop all others.
    try:
        return _decode_facts(told) if isinstance(told, str | bytes) else None
    except msgspec.MsgspecError:
        return None
