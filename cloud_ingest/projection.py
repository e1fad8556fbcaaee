"""Journal → time series, on a thread of its own: what the records say now, written again where in doubt. Decides nothing.

The records are the truth and this follows them: alerts and receipts never wait for it. A pass is idempotent, so it may be
killed anywhere; one pass at a time runs on a data folder, in whichever process.
"""

import fcntl
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cloud_ingest.live import Live, News
from cloud_ingest.points import UnrenderableError, render
from cloud_ingest.stores.fate import STORED
from cloud_ingest.stores.records.journal import JournalRow
from cloud_ingest.stores.records.projection import WIPE_FIRST, Repoint, Tail, Unwritten, Work
from cloud_ingest.stores.series import Point, Series, SeriesGoneError
from gateway.runtime import log
from gateway.runtime.clock import Clock
from gateway.runtime.errors import StoreError

BATCH_READINGS = 5_000
# Written again after a start of either side: some stores lose what they acknowledged in their last seconds.
REPLAY_ROWS = 200
REPLAY_S = 60
IDLE_S = 1.0
PROBE_S = 10.0  # while nothing arrives, so that a series that went away shows, and is replayed to when it is back
BACKOFF_S_FIRST = 0.5
BACKOFF_S_MAX = 10.0


@dataclass(frozen=True, slots=True)
class ProjectionState:
    """How the time series stands. `trouble` is empty while it is well."""

    lag_s: float
    readings: int
    unwritten: int
    trouble: str


@dataclass(frozen=True, slots=True)
class _Placed:
    key: str
    journal: int
    position: int
    point: Point


class Projection:
    """The one thread that writes the time series. `wake` may be called from any thread."""

    def __init__(
        self, tail: Tail, series: Series, lock: Path, clock: Clock, live: Live | None = None
    ) -> None:
        """Write `series` from `tail`. `lock` is a file that keeps a second process out during a pass."""
        self._tail = tail
        self._series = series
        self._lock = lock
        self._clock = clock
        self._live = live
        self._log = log.get("projection")
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projection", daemon=True)
        self._replay_from: int | None = None
        self._in_doubt = True  # what was written last may not be there any more
        self._trouble = ""
        self._probed = clock.monotonic()

    def start(self) -> None:
        """Begin, with a replay."""
        self._thread.start()

    def stop(self) -> None:
        """End after the pass that runs."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self) -> None:
        """Something new is in the journal."""
        self._woken.set()

    def state(self) -> ProjectionState:
        """How the series stands. Raises StoreError where the records can't be read."""
        behind = self._tail.behind()
        now_us = int(self._clock.now().timestamp() * 1_000_000)
        return ProjectionState(
            behind.lag_s(now_us), behind.readings, self._tail.unwritten(), self._trouble
        )

    def once(self) -> bool:
        """One pass; whether there was anything to do. Raises StoreError: nothing of the pass is noted then."""
        with self._alone() as alone:
            if not alone:
                return False
            mark = self._tail.mark()
            if mark == WIPE_FIRST:
                self._series.wipe()
                self._tail.emptied()
                self._in_doubt, self._replay_from, mark = False, None, 0
            if self._in_doubt:
                self._replay_from = self._tail.replay_from(mark, REPLAY_ROWS, REPLAY_S)
                self._in_doubt = False
            after = mark if self._replay_from is None else min(mark, self._replay_from)
            work = self._tail.take(after, BATCH_READINGS)
            until = work.rows[-1].id if work.rows else after
            if work.rows or work.repoints:
                self._write(work, until)
            self._replay_from = until if work.rows and until < mark else None
            return bool(work.rows or work.repoints)

    def _write(self, work: Work, until: int) -> None:
        placed, unwritten = _render(work)
        # Erased first: a place that one reading left may be another's now, and that one is written below or later.
        if work.repoints:
            self._series.erase([_old_point(at) for at in work.repoints])
        refused = self._series.write([at.point for at in placed])
        words = {(at.point.fields["key"], at.point.time_us): at.why for at in refused}
        written: list[tuple[int, int]] = []
        for at in placed:
            why = words.get((at.key, at.point.time_us))
            if why is None:
                written.append((at.journal, at.position))
            else:
                unwritten.append(Unwritten(at.key, at.journal, at.position, why))
        self._tail.done(until, repointed=work.repoints, unwritten=unwritten, written=written)
        if unwritten:
            self._log.warning(
                "points.refused", count=len(unwritten), first=unwritten[0].key, why=unwritten[0].why
            )
        self._tell(tuple(at.key for at in unwritten))

    def _run(self) -> None:
        pause_s = BACKOFF_S_FIRST
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                worked = self.once()
                if not worked:
                    self._probe()
                self._well()
            except StoreError as fault:
                self._unwell(str(fault))
                self._from_the_first(fault)
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, BACKOFF_S_MAX)
                continue
            except Exception as bug:  # noqa: BLE001 alerts and receipts go on without charts; the lag and this stay in sight
                place = traceback.extract_tb(bug.__traceback__)[-1]
                self._unwell(f"a bug: {type(bug).__name__} in {place.filename}:{place.lineno}")
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, BACKOFF_S_MAX)
                continue
            pause_s = BACKOFF_S_FIRST
            if not worked:
                self._woken.wait(IDLE_S)

    def _probe(self) -> None:
        if self._clock.monotonic() - self._probed >= PROBE_S:
            self._probed = self._clock.monotonic()
            self._series.read("probe", "probe", 0, 1)

    def _unwell(self, why: str) -> None:
        self._in_doubt = True
        if why == self._trouble:
            return
        self._log.warning("series.away", why=why)
        self._trouble = why
        self._tell(())

    def _from_the_first(self, fault: StoreError) -> None:
        if isinstance(fault, SeriesGoneError):
            # Where the records can't be written now: the next pass finds the place gone again.
            with suppress(StoreError):
                self._tail.emptied()

    def _well(self) -> None:
        if self._trouble:
            self._log.info("series.back", series=self._series.name)
            self._trouble = ""
            self._tell(())

    def _tell(self, keys: tuple[str, ...]) -> None:
        if self._live is not None:
            self._live.tell(News("series", keys))

    @contextmanager
    def _alone(self) -> Generator[bool]:
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


def rebuild(
    projection: Projection, tail: Tail, wait: Callable[[], None], tell: Callable[[int, int], None]
) -> None:
    """Empty the series and write it anew from the journal, to the same points. Raises StoreError.

    `tell` hears (done, of) in journal rows after each pass, `wait` is called while another process has its turn. Killed
    anywhere, the next pass of whichever process goes on with it.
    """
    tail.begin_anew()
    while True:
        worked = projection.once()
        done, last = max(tail.mark(), 0), tail.last()
        tell(done, last)
        if done >= last and not worked:
            return
        if not worked:
            wait()


def _render(work: Work) -> tuple[list[_Placed], list[Unwritten]]:
    placed: list[_Placed] = []
    unwritten: list[Unwritten] = []
    by_id = {row.id: row for row in work.moved}
    for at in work.repoints:
        if row := by_id.get(at.journal):
            _render_row(row, (at.position,), placed, unwritten)
    for row in work.rows:
        _render_row(row, range(len(row.fates)), placed, unwritten)
    return placed, unwritten


def _render_row(
    row: JournalRow, positions: Sequence[int], placed: list[_Placed], unwritten: list[Unwritten]
) -> None:
    unknown = not row.fates
    if not row.intact and (unknown or any(fate.outcome == STORED for fate in row.fates)):
        # The series keeps what it has of these: what the journal says now is not what came.
        why = f"journal row {row.id} is damaged: it is not as it was received"
        unwritten.append(Unwritten(f"journal:{row.id}", row.id, 0, why))
        return
    for position in positions:
        fate, observation = row.fate(position), row.observation(position)
        if fate is None or observation is None or not fate.placed:
            continue
        try:
            point = render(observation, fate)
        except UnrenderableError as fault:
            unwritten.append(Unwritten(observation.key, row.id, position, str(fault)))
        else:
            placed.append(_Placed(observation.key, row.id, position, point))


def _old_point(at: Repoint) -> Point:
    return Point(at.kind, at.old_subject, at.old_device, at.old_time_us, {})
