"""Any order of accepting, sending, receipts, kills, restored images and new epochs: no gap, nothing lost, no number twice."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.outbox.records import Batch, OutboxLimits
from edge.outbox.store import Outbox
from gateway.model.identity import ledger_digest
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.wire.envelope import assemble, decode_envelope
from gateway.wire.receipts import Answer, Held, HeldEpoch, Receipt

NOTHING: frozenset[int] = frozenset()
DEVICE = "d1" * 10


class Cloud:
    """Holds (epoch, n) with its first key, and every key."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], str] = {}
        self.two_keys: set[tuple[str, int]] = set()
        self.keys: set[str] = set()
        self.commit = 0

    def take(self, payload: bytes) -> Receipt:
        envelope = decode_envelope(payload)
        head = envelope.header
        self.commit += 1
        duplicates: list[int] = []
        clash = False
        for number, one in zip(head.numbers, envelope.observations, strict=True):
            assert isinstance(one, Observation)
            if self.held.setdefault((head.epoch, number), one.key) != one.key:
                clash = True
                self.two_keys.add((head.epoch, number))
            if one.key in self.keys:
                duplicates.append(number)
            self.keys.add(one.key)
        return Receipt(
            envelope=envelope.sha256,
            agent="box-1",
            epoch=head.epoch,
            store="s",
            commit=self.commit,
            duplicates=duplicates,
            new_epoch=clash,
        )

    def answer(self) -> Answer:
        told: list[HeldEpoch] = []
        for epoch in {epoch for epoch, _ in self.held}:
            numbers = {n: key for (other, n), key in self.held.items() if other == epoch}
            apart = sorted(n for other, n in self.two_keys if other == epoch)
            ranges = [
                Held(n, n, f"{ledger_digest([(n, key)]):016x}")
                for n, key in numbers.items()
                if n not in apart
            ]
            told.append(HeldEpoch(epoch=epoch, ranges=ranges, two_keys=apart))
        return Answer(nonce="", agent="box-1", store="s", commit=self.commit, epochs=told)


class OutboxLives(RuleBasedStateMachine):
    """One outbox file, one cloud, one meter whose memory can be read again."""

    def __init__(self, build: Callable[[int], Observation]) -> None:
        super().__init__()
        self.build = build
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.cloud = Cloud()
        self.measured: list[Observation] = []
        self.sent: list[tuple[Batch, bytes]] = []
        self.images = 0
        self.outbox = self.open(self.path)

    @property
    def path(self) -> Path:
        return self.folder / "outbox.sqlite"

    def open(self, path: Path) -> Outbox:
        outbox = Outbox.open(path, "box-1", self.clock, OutboxLimits(keep_s=100.0))
        assert outbox.recovery is None
        return outbox

    @rule(new=st.integers(0, 4), again=st.integers(0, 3))
    def read_the_meter(self, new: int, again: int) -> None:
        start = len(self.measured)
        self.measured += [self.build(number) for number in range(start, start + new)]
        told = self.measured[max(0, start - again) :]
        self.outbox.accept(DEVICE, told, str(len(self.measured)), live=[False] * len(told))

    @rule(rows=st.integers(1, 5), fresh=st.booleans())
    def send(self, rows: int, *, fresh: bool) -> None:
        skip = NOTHING if fresh else NOTHING.union(*(batch.ids for batch, _ in self.sent))
        batch = self.outbox.next_batch(rows, live=False, skip=skip)
        if batch is not None:
            bodies = [row.body for row in batch.rows]
            self.sent.append((batch, assemble("box-1", batch.epoch, batch.first, bodies)))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 50), receipted=st.booleans(), once=st.booleans())
    def arrive(self, which: int, *, receipted: bool, once: bool) -> None:
        batch, payload = self.sent[which % len(self.sent)]
        receipt = self.cloud.take(payload)
        if once:
            self.sent.remove((batch, payload))
        if receipted:
            self.settle(batch, receipt)

    def settle(self, batch: Batch, receipt: Receipt) -> None:
        self.outbox.settle(batch.ids, receipt)
        if receipt.new_epoch:
            self.outbox.new_epoch("clash", instead_of=receipt.epoch)

    @rule()
    def ask_the_ledger(self) -> None:
        verdict = self.outbox.compare(self.cloud.answer(), self.outbox.settled_mark())
        assert verdict.lost == ()
        if verdict.unissued:
            self.outbox.new_epoch("unissued")

    @rule(seconds=st.integers(1, 80))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.sent = []
        self.outbox = self.open(self.path)

    @rule()
    def pull_the_plug(self) -> None:
        # What a kill leaves: the file and its WAL as they stand, and nobody who closes them.
        self.images += 1
        crashed = self.folder / f"crash-{self.images}"
        copy(self.path, crashed)
        self.outbox.close()
        wipe(self.path)
        copy(crashed, self.path)
        self.sent = []
        self.outbox = self.open(self.path)

    @rule()
    def take_an_image(self) -> None:
        copy(self.path, self.folder / "image")

    @precondition(lambda self: (self.folder / "image").exists())
    @rule()
    def restore_the_image(self) -> None:
        self.outbox.close()
        wipe(self.path)
        copy(self.folder / "image", self.path)
        self.sent = []
        self.outbox = self.open(self.path)
        # On its first connection a box asks what the cloud holds of it.
        self.ask_the_ledger()

    @initialize()
    def begin(self) -> None:
        assert self.outbox.status().issued == 0

    @invariant()
    def no_gap_and_no_number_twice(self) -> None:
        db = sqlite3.connect(self.path)
        for epoch, issued in db.execute("SELECT epoch, issued FROM epochs").fetchall():
            mine = [n for (n,) in db.execute("SELECT n FROM rows WHERE epoch = ?", (epoch,))]
            for first, last in db.execute(
                "SELECT first, last FROM removed WHERE epoch = ?", (epoch,)
            ):
                mine += range(first, last + 1)
            assert sorted(mine) == list(range(1, issued + 1))
        db.close()

    @invariant()
    def only_what_the_cloud_holds_is_settled(self) -> None:
        db = sqlite3.connect(self.path)
        settled = {key for (key,) in db.execute("SELECT key FROM rows WHERE state IN (1, 2, 3)")}
        db.close()
        assert settled <= self.cloud.keys

    def teardown(self) -> None:
        # At last everything is read once more and sent until nothing waits.
        self.outbox.accept(DEVICE, self.measured, live=[False] * len(self.measured))
        while (batch := self.outbox.next_batch(100, live=False, skip=NOTHING)) is not None:
            bodies = [row.body for row in batch.rows]
            receipt = self.cloud.take(assemble("box-1", batch.epoch, batch.first, bodies))
            self.settle(batch, receipt)
        assert self.cloud.keys == {observation.key for observation in self.measured}
        self.outbox.close()
        shutil.rmtree(self.folder)


def copy(source: Path, target: Path) -> None:
    for ending in ("", "-wal"):
        part = source.with_name(source.name + ending)
        beside = target.with_name(target.name + ending)
        beside.unlink(missing_ok=True)
        if part.exists():
            shutil.copy(part, beside)


def wipe(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@pytest.mark.hypothesis
@pytest.mark.timeout(120)
def test_no_life_of_an_outbox_loses_a_reading_or_gives_a_number_twice(
    observation: Callable[[int], Observation],
) -> None:
    run_state_machine_as_test(
        lambda: OutboxLives(observation),
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
