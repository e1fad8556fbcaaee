"""A bit that flips in what is noted of one device, which SQLite doesn't see: no other device, and no status, is lost over it."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.outbox.store import Outbox
from gateway.runtime.clock import ManualClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEVICE, OTHER = "d1" * 10, "d2" * 10
FACTS = {"serial_number": "5181100001"}


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Outbox]:
    path = tmp_path / "outbox.db"
    outbox = Outbox.open(path, "box-1", ManualClock(NOW))
    for place, device in (("AA:01", DEVICE), ("AA:02", OTHER)):
        outbox.enrol(place, device, "any/cuff", FACTS)
        outbox.note_device(device, heard=NOW, reading=NOW)
    outbox.close()
    db = sqlite3.connect(path)
    told = ('{"serial_number":"5181\x00', "2026-03-41T12:00:00.000Z", DEVICE)
    db.execute("UPDATE devices SET facts = ?, last_heard = ? WHERE device = ?", told)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('last_receipt', '2026-03-0')")
    db.execute("INSERT OR REPLACE INTO meta VALUES ('running', '{')")
    db.commit()
    db.close()
    outbox = Outbox.open(path, "box-1", ManualClock(NOW))
    yield outbox
    outbox.close()


def test_the_device_is_enrolled_anew_and_the_other_stands(damaged: Outbox) -> None:
    assert damaged.enrolled("AA:01") is None
    other = damaged.enrolled("AA:02")
    assert other is not None
    assert other.facts == FACTS


def test_the_status_tells_what_can_be_read(damaged: Outbox) -> None:
    status = damaged.status()
    one, other = status.devices

    assert (one.facts, one.last_heard, one.last_reading) == ({}, None, NOW)
    assert (other.facts, other.last_heard) == (FACTS, NOW)
    assert status.last_receipt is None
    assert status.running is None
