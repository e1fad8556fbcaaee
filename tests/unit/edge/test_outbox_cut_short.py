"""An outbox whose file a power cut, or a repair of the disk, has cut short or emptied: what is left is salvaged, and nothing is silent."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.outbox.store import Outbox
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.wire.receipts import Receipt

Make = Callable[..., Observation]
DEVICE = "d1" * 10
CLOCK = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
PAGE = 4_096
ROWS = 400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def epoch(path: Path, observation: Make) -> str:
    outbox = Outbox.open(path, "box-1", CLOCK)
    told = [observation(n, context={"pad": "x" * 150}) for n in range(1, ROWS + 1)]
    epoch = outbox.accept(DEVICE, told, live=[False] * ROWS).epoch
    outbox.close()
    return epoch


def reopened(path: Path) -> Outbox:
    outbox = Outbox.open(path, "box-1", CLOCK)
    outbox.close()
    return outbox


def damage_index_and_claim_issued(path: Path, issued: int) -> None:
    db = sqlite3.connect(path)
    db.execute("UPDATE epochs SET issued = ?", (issued,))
    db.commit()
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'rows_live'").fetchone()
    db.close()
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * PAGE : page * PAGE] = b"\xff" * PAGE
    path.write_bytes(raw)


def test_of_a_file_that_was_cut_short_all_is_salvaged_that_is_there(path: Path, epoch: str) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 4 // 5 // PAGE * PAGE])

    recovery = reopened(path).recovery

    assert recovery is not None
    assert ROWS // 2 < recovery.rows < ROWS
    assert all(lost.startswith(f"{epoch}:") for lost in recovery.lost)


def test_a_file_that_was_emptied_is_no_new_outbox_and_its_log_is_kept(
    path: Path, epoch: str
) -> None:
    log = path.with_name(f"{path.name}-wal")
    path.write_bytes(b"")
    log.write_bytes(b"what had not gone into the file yet")

    recovery = reopened(path).recovery

    assert epoch
    assert recovery is not None
    assert recovery.why == "the file is empty"
    kept = Path(f"{recovery.moved_to}-wal")
    assert kept.read_bytes() == b"what had not gone into the file yet"


@pytest.mark.parametrize("issued", [10**9, 2**62])
def test_a_damaged_count_of_numbers_does_not_keep_the_agent_from_starting(
    path: Path, epoch: str, issued: int
) -> None:
    damage_index_and_claim_issued(path, issued)

    recovery = reopened(path).recovery

    assert recovery is not None
    assert recovery.rows == ROWS
    assert recovery.lost == (f"{epoch}:{ROWS + 1}-{issued}",)


def test_a_damaged_digest_of_what_was_removed_is_left_behind(path: Path, epoch: str) -> None:
    db = sqlite3.connect(path)
    removed = [(epoch, 500, 600, "no digest"), (epoch, 700, 800, "0" * 16)]
    db.executemany("INSERT INTO removed VALUES (?, ?, ?, ?)", removed)
    db.commit()
    db.close()
    damage_index_and_claim_issued(path, 800)

    recovery = reopened(path).recovery

    assert recovery is not None
    assert recovery.lost == (f"{epoch}:{ROWS + 1}-699",)


def test_a_damaged_mark_is_left_behind_and_receipts_are_taken_as_before(
    path: Path, epoch: str
) -> None:
    db = sqlite3.connect(path)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('mark', '1~7')")
    db.commit()
    db.close()
    damage_index_and_claim_issued(path, ROWS)

    outbox = Outbox.open(path, "box-1", CLOCK)
    batch = outbox.next_batch(100, live=False, skip=frozenset())
    assert batch is not None
    receipt = Receipt(envelope="e", agent="box-1", epoch=epoch, store="s", commit=1)
    settled = outbox.settle(batch.ids, receipt)
    outbox.close()

    assert settled.stored == len(batch.rows)
