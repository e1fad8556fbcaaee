"""A disk that runs full under the outbox: a rest of it is left for receipts, without which nothing would ever make room."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage

import pytest

from edge.outbox import room
from edge.outbox.records import OutboxFull, OutboxLimits
from edge.outbox.store import Outbox
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.wire.receipts import Receipt

Make = Callable[..., Observation]
DEVICE = "d1" * 10
ROWS = 400
KEPT = 1_000_000


class Box:
    """An outbox on a disk of which so much is free as a test says."""

    def __init__(self, folder: Path, observation: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 100 * KEPT
        self._make = observation
        whole = disk_usage(folder)

        def usage(_folder: Path) -> object:
            return whole._replace(free=self.free)

        monkeypatch.setattr(room.shutil, "disk_usage", usage)
        clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        limits = OutboxLimits(free_bytes_min=KEPT)
        self.outbox = Outbox.open(folder / "outbox.sqlite", "box-1", clock, limits)

    def read(self, first: int, rows: int, cursor: str | None = None) -> int:
        told = [self._make(n, context={"pad": "x" * 150}) for n in range(first, first + rows)]
        return len(self.outbox.accept(DEVICE, told, cursor, live=[False] * rows).numbers)

    def settle(self) -> int:
        done = 0
        while (batch := self.outbox.next_batch(100, live=False, skip=frozenset())) is not None:
            receipt = Receipt(envelope="e", agent="box-1", epoch=batch.epoch, store="s", commit=1)
            done += self.outbox.settle(batch.ids, receipt).stored
        return done


@pytest.fixture
def box(tmp_path: Path, observation: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    made = Box(tmp_path, observation, monkeypatch)
    yield made
    made.outbox.close()


def test_readings_leave_a_rest_of_the_disk_in_which_receipts_are_noted(box: Box) -> None:
    box.read(0, ROWS, "before")
    box.free = KEPT + 100
    with pytest.raises(OutboxFull, match=f"{KEPT} more without which no receipt could be noted"):
        box.read(ROWS, 1, "after")

    assert box.outbox.cursor(DEVICE) == "before"
    assert box.settle() == ROWS


def test_what_brings_nothing_new_needs_no_room(box: Box) -> None:
    box.read(0, 3)
    box.free = 0
    assert box.read(0, 3, "after") == 0
    assert box.outbox.cursor(DEVICE) == "after"


def test_what_the_cloud_has_goes_before_a_reading_is_refused(box: Box) -> None:
    box.read(0, ROWS)
    box.settle()
    box.free = KEPT
    assert box.read(ROWS, ROWS // 4) == ROWS // 4
    assert box.outbox.status().aside == 0


def test_what_is_kept_aside_stays_while_there_is_room(box: Box) -> None:
    box.read(0, ROWS)
    box.settle()
    box.read(ROWS, 10)
    assert box.outbox.status().aside == ROWS
