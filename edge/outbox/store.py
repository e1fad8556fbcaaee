"""The outbox: accept is on disk, numbers have no gaps, nothing goes before its receipt. One thread; judges no reading."""

import fcntl
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from edge.outbox import accepting, devices, ledger, room, settling, status, waiting
from edge.outbox.damage import make, recover, resume
from edge.outbox.records import (
    BATCH_BYTES_MAX,
    Accepted,
    Batch,
    Enrolled,
    LedgerVerdict,
    OutboxFull,
    OutboxLimits,
    OutboxStatus,
    Recovery,
    Settled,
    WindowFigures,
)
from edge.outbox.schema import DamageError, connect, translated, writing
from gateway.model.observation import Observation
from gateway.runtime.clock import Clock, TimeBase, iso, random_hex
from gateway.runtime.errors import ConfigError, StoreError
from gateway.wire.receipts import Answer, Receipt

EPOCH_BITS = 64


@dataclass(slots=True)
class _Use:
    """How much of the budget waits for a receipt, and how much is kept aside."""

    rows: int = 0
    bytes: int = 0
    aside: int = 0


class Outbox:
    """One file, one owner, one thread. See `open` for how it comes to be; every write is durable on return."""

    def __init__(
        self, db: sqlite3.Connection, agent: str, clock: Clock, limits: OutboxLimits
    ) -> None:
        """Use `open` or `in_memory`."""
        self._db = db
        self._agent = agent
        self._clock = clock
        self._limits = limits
        self._lock: int | None = None
        self._folder: Path | None = None
        self._comparing = False
        self._use = _Use()
        self.recovery: Recovery | None = None
        self._begin()

    @classmethod
    def open(
        cls, path: Path, agent: str, clock: Clock, limits: OutboxLimits | None = None
    ) -> "Outbox":
        """Open the file, or make it (0600).

        A damaged one is moved aside, what can be read of it goes into a new one, and `recovery` says so. Raises StoreError
        (another agent has it open, not an outbox, made by a newer program), ConfigError (it belongs to another agent).
        """
        lock = _take(path)
        try:
            recovery = resume(path, epoch=random_hex(EPOCH_BITS))
            try:
                make(path)
                db = connect(path)
            except DamageError as damage:
                found = str(damage)
                recovery = recover(path, clock.now(), found, epoch=random_hex(EPOCH_BITS))
                db = connect(path)
            outbox = cls(db, agent, clock, limits or OutboxLimits())
        except BaseException:
            os.close(lock)
            raise
        outbox._lock = lock
        outbox._folder = path.parent
        outbox.recovery = recovery
        return outbox

    @classmethod
    def in_memory(cls, agent: str, clock: Clock, limits: OutboxLimits | None = None) -> "Outbox":
        """The same without a file, for tests: keeps every promise but durability."""
        return cls(connect(None), agent, clock, limits or OutboxLimits())

    def accept(
        self,
        device: str,
        observations: Sequence[Observation],
        cursor: str | None = None,
        *,
        live: Sequence[bool],
        base: TimeBase | None = None,
    ) -> Accepted:
        """Number what is new, and keep it with the cursor in one commit; None leaves the cursor as it was.

        `base`: on what clock the observations' times rest; None: the one of now.
        New is what was not accepted before with the same key, content and context. Raises OutboxFull (the reading stays
        on its device), StoreError; then nothing was taken.
        """
        if len(live) != len(observations):
            raise ValueError(f"{len(observations)} observations, {len(live)} flags")
        base = base or self._clock.base()
        bodies = [accepting.fitting(observation) for observation in observations]
        left = self._left_on_disk(sum(map(accepting.cost, bodies)))
        with self._writing():
            epoch, issued = self._epoch()
            added = bytes_added = 0
            for observation, body, is_live in zip(observations, bodies, live, strict=True):
                row_id = accepting.claim(self._db, observation)
                if row_id is None:
                    continue
                added += 1
                bytes_added += accepting.cost(body)
                self._refuse_when_full(added, bytes_added, left)
                numbered = accepting.Numbered(row_id, epoch, issued + added, device, is_live, base)
                accepting.add(self._db, numbered, observation.key, body, self._now_s())
            self._db.execute(
                "UPDATE epochs SET issued = ? WHERE epoch = ?", (issued + added, epoch)
            )
            accepting.forget(self._db, self._limits.told_max)
            devices.note_accepted(self._db, device, added, cursor)
        self._use.rows += added
        self._use.bytes += bytes_added
        numbers = range(issued + 1, issued + 1 + added)
        return Accepted(epoch, numbers, len(observations) - added)

    def cursor(self, device: str) -> str | None:
        """The cursor of the last commit for this device."""
        with translated():
            return devices.cursor(self._db, device)

    def clock_memory(self, device: str) -> str | None:
        """What visits learnt of this device's clock, as they wrote it."""
        with translated():
            return devices.clock_memory(self._db, device)

    def remember_clock(self, device: str, memory: str) -> None:
        """Keep what a visit learnt of this device's clock; durable on return, so that the clock may then be set."""
        with self._writing():
            devices.remember_clock(self._db, device, memory)

    def enrol(self, place: str, device: str, profile: str, facts: Mapping[str, str]) -> None:
        """Note which device stands at a place, and what it stated of itself."""
        with self._writing():
            devices.enrol(self._db, Enrolled(place, device, profile, facts))

    def enrolled(self, place: str) -> Enrolled | None:
        """Which device stands at a place."""
        with translated():
            return devices.enrolled(self._db, place)

    def note_device(
        self,
        device: str,
        *,
        heard: datetime | None = None,
        reading: datetime | None = None,
        trouble: str | None = None,
    ) -> None:
        """Note what happened with a device; None leaves a time as it was, and clears the trouble."""
        with self._unsynced():
            devices.note(self._db, device, heard=heard, reading=reading, trouble=trouble)

    def note_running(
        self, *, connected: bool, window: WindowFigures, counters: Mapping[str, int]
    ) -> None:
        """Leave what a running agent says of itself where `edge status` finds it."""
        with self._unsynced():
            told = status.running_json(
                self._clock.now(), connected=connected, window=window, counters=counters
            )
            self._set("running", told)

    def next_batch(
        self, rows_max: int, *, live: bool, skip: frozenset[int], bytes_max: int = BATCH_BYTES_MAX
    ) -> Batch | None:
        """The oldest rows without a receipt that aren't in `skip` (row ids): contiguous numbers of one epoch.

        `live`: only fresh ones. A row alone may exceed `bytes_max`. A row whose bytes don't match its checksum is never
        sent: it is marked, shown in `status`, and may be read from its device again.
        """
        now = waiting.Now(self._now_s(), self._clock.base()) if live else None
        while True:
            with translated():
                chosen = waiting.choose(self._db, rows_max, skip, bytes_max=bytes_max, live=now)
                rows, unsound = waiting.read_sound(self._db, chosen)
            if unsound is not None:
                with self._writing():
                    waiting.mark_damaged(self._db, unsound)
                self._count()
            if rows or not chosen:
                return Batch(chosen[0].epoch, rows, live, chosen[0].base) if rows else None

    def settle(self, ids: frozenset[int], receipt: Receipt) -> Settled:
        """Set aside the rows of one envelope as its receipt says. Raises ReceiptError for one that names other numbers."""
        with self._writing():
            settled, freed = settling.settle(self._db, ids, receipt, self._clock.now())
            done = settled.stored + settled.duplicate + settled.parked
            aside = self._use.aside + done - settled.parked
            if not self._comparing:
                aside -= settling.trim(self._db, self._limits, self._now_s(), aside=aside)
        self._use = _Use(self._use.rows - done, self._use.bytes - freed, aside)
        return settled

    def new_epoch(self, why: str, *, instead_of: str | None = None) -> str | None:
        """Number what comes from now on in a new epoch of 64 random bits; rows keep the numbers they have.

        `instead_of`: only if that is the current one; else nothing is done, and None told.
        """
        epoch = random_hex(EPOCH_BITS)
        with self._writing():
            if instead_of is not None and self._epoch()[0] != instead_of:
                return None
            self._db.execute(
                "INSERT INTO epochs (epoch, opened, why) VALUES (?, ?, ?)",
                (epoch, iso(self._clock.now()), why),
            )
        return epoch

    def settled_mark(self) -> int:
        """Take this before the cloud is asked; `compare` leaves alone what was settled after it."""
        with translated():
            return settling.last_mark(self._db)

    def next_era(self) -> None:
        """The cloud went back in time, or is another: what was sent again before may be sent again once more."""
        with self._writing():
            ledger.next_era(self._db)

    def compare(self, answer: Answer, mark: int) -> LedgerVerdict:
        """Compare what the cloud holds with what is kept here; what it lacks is owed again."""
        steps = self.compare_in_steps(answer, mark)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def compare_in_steps(self, answer: Answer, mark: int) -> Generator[None, None, LedgerVerdict]:
        """`compare`, pausing so that readings can be accepted between steps; returns a LedgerVerdict."""
        self._comparing = True
        try:
            verdict = yield from ledger.compare(self._db, answer, mark)
        finally:
            self._comparing = False
            self._count()
        return verdict

    def last_commit(self) -> tuple[str, int] | None:
        """Store and highest commit number of the receipts of the present era."""
        with translated():
            return ledger.last_commit(self._db)

    def status(self) -> OutboxStatus:
        """How the outbox stands."""
        with translated():
            return status.read(self._db, self._limits)

    def keep_to_key(self, mark: str) -> None:
        """Hold on to the tenant's key under which devices have their pseudonyms, told by its mark (`edge/keys.py`).

        Raises ConfigError for another one: every device would be a stranger, its whole memory told once more for nobody.
        """
        held = self._get("key_mark")
        if held not in (None, mark):
            raise ConfigError(
                "the outbox", "tenant_key_file",
                f"devices have their names here under the key with the mark {held}; this one's is {mark}",
                "the old key back from its backup, or a new data_dir if the key is gone for good",
            )  # fmt: skip
        if held is None:
            with self._writing():
                self._set("key_mark", mark)

    def close(self) -> None:
        """Close the file and let another open it."""
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self) -> None:
        held = self._get("agent")
        if held not in (None, self._agent):
            self._db.close()
            raise ConfigError(
                "the outbox", "agent", f"it belongs to {held!r}, not to {self._agent!r}",
                f'agent = "{held}", or another data_dir',
            )  # fmt: skip
        if held is None:
            with self._writing():
                self._set("agent", self._agent)
        with translated():
            fresh = self._db.execute("SELECT 1 FROM epochs").fetchone() is None
        if fresh:
            self.new_epoch("first")
        self._count()

    def _left_on_disk(self, wanted: int) -> int | None:
        """Bytes that rows may take; None in memory. What the cloud has already goes before a reading is refused."""
        if self._folder is None:
            return None
        none_aside = replace(self._limits, aside_rows_max=0)
        while (left := room.left(self._db, self._folder, self._limits.free_bytes_min)) < wanted:
            if self._comparing:
                break
            with self._writing():
                gone = settling.trim(self._db, none_aside, self._now_s(), aside=self._use.aside)
            self._use.aside -= gone
            if not gone:
                break
        return left

    def _refuse_when_full(self, rows: int, size: int, left: int | None) -> None:
        if left is not None and size > left:
            raise OutboxFull(
                f"outbox: {rows} more came, of {size} bytes; the disk has room for {max(0, left)}, and"
                f" {self._limits.free_bytes_min} more without which no receipt could be noted"
            )
        if self._use.rows + rows > self._limits.rows_max:
            raise OutboxFull(
                f"outbox: {self._use.rows} rows wait for a receipt and {rows} more came; it holds {self._limits.rows_max}"
            )
        if self._use.bytes + size > self._limits.bytes_max:
            raise OutboxFull(
                f"outbox: {self._use.bytes} bytes wait for a receipt and {size} more came; it holds {self._limits.bytes_max}"
            )

    def _epoch(self) -> tuple[str, int]:
        return self._db.execute(
            "SELECT epoch, issued FROM epochs ORDER BY id DESC LIMIT 1"
        ).fetchone()

    def _count(self) -> None:
        with translated():
            rows, size = self._db.execute(
                "SELECT count(*), coalesce(sum(bytes), 0) FROM rows INDEXED BY rows_pending WHERE state = 0"
            ).fetchone()
            aside = self._db.execute(
                "SELECT count(*) FROM rows INDEXED BY rows_aside WHERE state IN (1, 2)"
            ).fetchone()
        self._use = _Use(rows, size, aside[0])

    def _get(self, name: str) -> str | None:
        with translated():
            found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def _now_s(self) -> float:
        return self._clock.now().timestamp()

    @contextmanager
    def _writing(self) -> Generator[None]:
        with writing(self._db):
            yield

    @contextmanager
    def _unsynced(self) -> Generator[None]:
        # Not worth an fsync each second; the next durable commit carries it along.
        with translated():
            self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                with writing(self._db):
                    yield
            finally:
                self._db.execute("PRAGMA synchronous = FULL")


def _take(path: Path) -> int:
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StoreError(f"outbox: {path}: {error.strerror}", retry=False) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"outbox: {path}: another agent has it open", retry=False) from error
    return lock
