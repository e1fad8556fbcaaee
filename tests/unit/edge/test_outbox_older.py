"""An outbox of a program that did not keep on what clock its rows rest: opened, sent and salvaged like any other."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.outbox.salvage import salvage
from edge.outbox.schema import connect, writing
from edge.outbox.store import Outbox
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock

CLOCK = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
DEVICE = "d1" * 10


@pytest.fixture
def older(tmp_path: Path, observation: Callable[..., Observation]) -> Path:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox.open(path, "box-1", CLOCK)
    outbox.accept(DEVICE, [observation(1), observation(2)], live=[True, True])
    outbox.close()
    db = sqlite3.connect(path)
    db.executescript(
        "DROP INDEX rows_pending; DROP INDEX rows_live;"
        "ALTER TABLE rows DROP COLUMN boot; ALTER TABLE rows DROP COLUMN anchor;"
        "CREATE INDEX rows_pending ON rows (id, epoch, n, bytes, accepted) WHERE state = 0;"
        "CREATE INDEX rows_live ON rows (id, epoch, n, bytes, accepted) WHERE state = 0 AND live = 1;"
        "PRAGMA user_version = 2;"
    )
    db.close()
    return path


def test_its_rows_go_out_under_a_clock_that_nobody_knows(
    older: Path, observation: Callable[..., Observation]
) -> None:
    outbox = Outbox.open(older, "box-1", CLOCK)
    assert outbox.recovery is None
    outbox.accept(DEVICE, [observation(3)], live=[True])

    old = outbox.next_batch(10, live=True, skip=frozenset())
    assert old is not None
    new = outbox.next_batch(10, live=True, skip=old.ids)
    assert new is not None
    outbox.close()

    assert ([row.number for row in old.rows], old.base) == ([1, 2], None)
    assert ([row.number for row in new.rows], new.base) == ([3], CLOCK.base())


def test_its_rows_are_salvaged(older: Path, tmp_path: Path) -> None:
    into = connect(tmp_path / "new.sqlite")
    with writing(into):
        found = salvage(older, into, "a page was torn", epoch="f" * 16)
    kept = into.execute("SELECT n, boot, anchor FROM rows ORDER BY n").fetchall()
    into.close()

    assert (found.rows, found.lost) == (2, ())
    assert kept == [(1, "", 0.0), (2, "", 0.0)]
