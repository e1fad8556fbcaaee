"""What the projection reads of the records and notes in them: journal rows, repoints, its mark, what the series refused.

Queries only; the time series itself is the projection's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from cloud_ingest.stores.records.journal import JournalRow, check
from cloud_ingest.stores.records.open import reading, writing
from cloud_ingest.stores.records.schema import journal, projection, repoints, unprojected
from gateway.runtime.clock import Clock

WIPE_FIRST = -1  # a mark: empty the series, then begin anew
ROWS_MAX = 1_000  # read at once
REPLAY_SCAN_ROWS = 20_000  # how far back the seconds of a replay are looked for
KEYS_MAX = 500  # in one statement
US = 1_000_000

# Of a pass, which runs each second also where nothing is new: made once, since to make them costs more than to run them.
_MARK = select(projection.c.journal).where(projection.c.writer == bindparam("by"))
_MOVES = select(repoints).order_by(repoints.c.id).limit(ROWS_MAX)
_SIZES = (
    select(journal.c.id, journal.c.count)
    .where(journal.c.id > bindparam("after"))
    .order_by(journal.c.id)
    .limit(ROWS_MAX)
)
_BETWEEN = (
    select(journal)
    .where(journal.c.id > bindparam("after"), journal.c.id <= bindparam("until"))
    .order_by(journal.c.id)
)
_BEHIND = select(
    func.coalesce(func.sum(journal.c.count), 0), func.min(journal.c.received_us)
).where(journal.c.id > bindparam("after"))
_REFUSED = select(func.count()).select_from(unprojected)


@dataclass(frozen=True, slots=True)
class Repoint:
    """A reading that went to someone else: where its point was, and where in the journal it stands."""

    id: int
    journal: int
    position: int
    kind: str
    old_subject: str
    old_device: str
    old_time_us: int


@dataclass(frozen=True, slots=True)
class Work:
    """What to project next, as of one moment. `moved` has the journal rows of the repoints, where they still are."""

    repoints: Sequence[Repoint]
    moved: Sequence[JournalRow]
    rows: Sequence[JournalRow]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A reading that the series does not hold, and why."""

    key: str
    journal: int
    position: int
    why: str


@dataclass(frozen=True, slots=True)
class Behind:
    """How far the series lags: readings in the journal that it does not hold yet, and when the oldest of them came."""

    readings: int
    since_us: int | None

    def lag_s(self, now_us: int) -> float:
        """Age of the oldest reading that waits; 0 where none does."""
        return 0.0 if self.since_us is None else max(0.0, (now_us - self.since_us) / US)


class Tail:
    """The journal as one writer of the time series sees it. Every method may raise StoreError."""

    def __init__(self, engine: Engine, writer: str, clock: Clock) -> None:
        """`writer` names the series that is written: another one begins at the journal's first row."""
        self._engine = engine
        self._writer = writer
        self._clock = clock

    def mark(self) -> int:
        """Everything up to this journal row is in the series; WIPE_FIRST where it is to be emptied."""
        with reading(self._engine) as connection:
            found = connection.scalar(_MARK, {"by": self._writer})
        if found is not None:
            return found
        with writing(self._engine) as connection:
            # The row of a series that is no longer written would stand for a lag for ever.
            connection.execute(delete(projection))
            connection.execute(
                insert(projection).values(writer=self._writer, journal=0, at_us=self._now_us())
            )
        return 0

    def begin_anew(self) -> None:
        """Have the series emptied and written from the journal's first row."""
        self.mark()
        with writing(self._engine) as connection:
            connection.execute(delete(unprojected))
            self._set_mark(connection, WIPE_FIRST)

    def emptied(self) -> None:
        """The series is empty now."""
        with writing(self._engine) as connection:
            self._set_mark(connection, 0)

    def replay_from(self, mark: int, rows: int, seconds: int) -> int:
        """The journal row after which to write again: at least `rows` rows and `seconds` before `mark`."""
        with reading(self._engine) as connection:
            came = connection.scalar(select(journal.c.received_us).where(journal.c.id == mark))
            if came is None:
                return max(0, mark - rows)
            first = connection.scalar(
                select(func.min(journal.c.id)).where(
                    journal.c.id <= mark,
                    journal.c.id > mark - REPLAY_SCAN_ROWS,
                    journal.c.received_us >= came - seconds * US,
                )
            )
        return max(0, min(mark - rows, (first or mark) - 1))

    def take(self, after: int, readings: int) -> Work:
        """Repoints and the journal rows that follow `after`, up to about so many readings: one snapshot.

        In it, a place in the series that a row takes after another reading left it has that reading's repoint beside it.
        """
        with reading(self._engine) as connection:
            moved = [Repoint(**row) for row in connection.execute(_MOVES).mappings()]
            sizes: list[tuple[int, int]] = [
                (row[0], row[1]) for row in connection.execute(_SIZES, {"after": after})
            ]
            # More repoints than fit: they go first, since a row may take the place that one of the others leaves.
            until = after if len(moved) == ROWS_MAX else _until(sizes, after, readings)
            follow = {"after": after, "until": until}
            return Work(
                moved,
                _rows_of(connection, moved) if moved else [],
                [check(row) for row in connection.execute(_BETWEEN, follow)] if sizes else [],
            )

    def done(
        self,
        until: int,
        *,
        repointed: Sequence[Repoint],
        unwritten: Sequence[Unwritten],
        written: Sequence[tuple[int, int]],
    ) -> None:
        """Note what the series holds now, in one transaction; `written` are places (journal row, position). `until` lower than the mark (a replay) leaves the mark."""
        with writing(self._engine) as connection:
            for start in range(0, len(repointed), KEYS_MAX):
                ids = [at.id for at in repointed[start : start + KEYS_MAX]]
                connection.execute(delete(repoints).where(repoints.c.id.in_(ids)))
            rows = {
                (at.journal, at.position): {
                    "key": at.key,
                    "journal": at.journal,
                    "position": at.position,
                    "why": at.why,
                    "at_us": self._now_us(),
                }
                for at in unwritten
            }
            if connection.scalar(_REFUSED):
                self._forget(connection, [*rows, *written])
            if rows:
                connection.execute(insert(unprojected), list(rows.values()))
            connection.execute(
                update(projection)
                # Not where another process asked meanwhile for a rebuild: that stands.
                .where(
                    projection.c.writer == self._writer,
                    projection.c.journal < until,
                    projection.c.journal != WIPE_FIRST,
                )
                .values(journal=until, at_us=self._now_us())
            )

    def behind(self) -> Behind:
        """How far the series lags."""
        mark = max(self.mark(), 0)
        with reading(self._engine) as connection:
            readings, since_us = connection.execute(_BEHIND, {"after": mark}).one()
        return Behind(readings, since_us)

    def last(self) -> int:
        """The journal's last row; 0 where it is empty."""
        with reading(self._engine) as connection:
            return connection.scalar(select(func.max(journal.c.id))) or 0

    def unwritten(self) -> int:
        """How many readings the series refused."""
        with reading(self._engine) as connection:
            return connection.scalar(_REFUSED) or 0

    def _forget(self, connection: Connection, places: Sequence[tuple[int, int]]) -> None:
        # By its place: under the same key another value may be in the series, and this one not.
        place = tuple_(unprojected.c.journal, unprojected.c.position)
        for start in range(0, len(places), KEYS_MAX):
            part = places[start : start + KEYS_MAX]
            connection.execute(delete(unprojected).where(place.in_(part)))

    def _set_mark(self, connection: Connection, mark: int) -> None:
        connection.execute(
            update(projection)
            .where(projection.c.writer == self._writer)
            .values(journal=mark, at_us=self._now_us())
        )

    def _now_us(self) -> int:
        return int(self._clock.now().timestamp() * US)


def refusals(engine: Engine, limit: int) -> Sequence[Unwritten]:
    """What the series does not hold, the latest first, at most `limit`. Raises StoreError."""
    table = unprojected.c
    query = select(table.key, table.journal, table.position, table.why)
    latest = query.order_by(table.at_us.desc(), table.key, table.journal, table.position).limit(
        limit
    )
    with reading(engine) as connection:
        return [Unwritten(**row) for row in connection.execute(latest).mappings()]


def _rows_of(connection: Connection, moved: Sequence[Repoint]) -> Sequence[JournalRow]:
    behind = journal.c.id.in_({at.journal for at in moved})
    return [check(row) for row in connection.execute(select(journal).where(behind))]


def _until(sizes: Sequence[tuple[int, int]], after: int, readings: int) -> int:
    total, until = 0, after
    for identity, count in sizes:
        if total and total + count > readings:
            break
        total, until = total + count, identity
    return until
