"""Every reading that any store knows of, by key: journal, keys, flags, alerts and time series side by side. Reads only.

The journal has no index by key, and the time series none at all, so both are indexed in a temporary file of this process:
the journal as it grows (only what is new is decoded), the time series once a listing (a listing starts where no key is
given). What a page says of the journal is read and checked anew for each page.
"""

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Engine, Table, select

from cloud_ingest.stores.fate import DUPLICATE
from cloud_ingest.stores.line import TIME_US_MIN
from cloud_ingest.stores.records.journal import IDS_MAX, JournalRow, check
from cloud_ingest.stores.records.open import reading
from cloud_ingest.stores.records.schema import alerts, flags, journal, keys, unprojected
from cloud_ingest.stores.series import Point, Series
from gateway.model.kinds import KINDS
from gateway.runtime.clock import Clock
from gateway.runtime.errors import StoreError

JOURNAL_CHUNK = 200  # envelopes decoded at a time
SCAN_CHUNK = 5_000  # points asked of the time series at a time
SCAN_CHUNK_MAX = 10_000  # what the time series gives at most
NO_KEY = "(no key)"  # a point that none of ours wrote
DECODED_MAX = (
    40_000  # observations kept decoded: keys go by day, so the next page is in the same envelopes
)
SNAPSHOT_S = 60.0  # a listing that goes on for longer looks at the time series again

_SCHEMA = """
create table places (key text, journal integer, position integer, device text, primary key (key, journal, position)) without rowid;
create table points (key text, kind text, subject text, device text, time_us integer, fields blob,
    primary key (key, kind, subject, device, time_us)) without rowid;
"""
_KEYS = (
    "select key from places where key > :after and (:device is null or device = :device) "
    "union select key from points where key > :after and (:device is null or device = :device) order by key limit :limit"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, float | str | bool]).decode


@dataclass(frozen=True, slots=True)
class Listed:
    """One reading as the stores hold it; absent parts are None or empty. Times as everywhere in microseconds."""

    key: str
    place: tuple[JournalRow, int] | None
    keyed: bool
    flags: Sequence[Mapping[str, object]]
    alerts: Sequence[Mapping[str, object]]
    point: Point | None
    refused: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Readings by key, and the key to go on after; None at the end."""

    readings: Sequence[Listed]
    next_key: str | None


class Listing:
    """Pages over everything. Safe to use from several threads, one at a time."""

    def __init__(self, engine: Engine, series: Series, clock: Clock) -> None:
        """Compare what `engine` and `series` hold."""
        self._engine, self._series, self._clock = engine, series, clock
        self._lock = Lock()
        self._read_to = 0  # the journal's id up to which `places` is complete
        self._looked_at = -SNAPSHOT_S
        # A box may tell of a kind that this program has yet to learn: it is stored and projected like any other.
        self._kinds = set(KINDS)
        self._decoded: dict[int, tuple[bytes, JournalRow]] = {}
        # "" is a temporary file that is gone when it is closed: memory stays bounded.
        self._index = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._index.executescript(_SCHEMA)

    def page(self, after: str | None, limit: int, device: str | None) -> Page:
        """At most `limit` keys behind `after`. With `device`: those of which some store says that they are its.

        Raises StoreError where a store is away: half a comparison would look like a loss.
        """
        with self._lock:
            self._follow_journal()
            if after is None or self._clock.monotonic() - self._looked_at >= SNAPSHOT_S:
                self._look_at_series()
            wanted = self._next_keys(after or "", limit + 1, device)
            page = wanted[:limit]
            readings = tuple(self._compare(page))
        return Page(readings, page[-1] if len(wanted) > limit else None)

    def close(self) -> None:
        """Let the index go."""
        self._index.close()

    def _follow_journal(self) -> None:
        query = select(journal).order_by(journal.c.id).limit(JOURNAL_CHUNK)
        while True:
            with reading(self._engine) as connection:
                found = connection.execute(query.where(journal.c.id > self._read_to)).all()
            rows = [check(row) for row in found]
            if not rows:
                return
            self._index.execute("begin")
            self._index.executemany(
                "insert or ignore into places values (?, ?, ?, ?)",
                (
                    (observation.key, row.id, position, observation.device)
                    for row in rows
                    for position, observation in enumerate(row.observations)
                    if observation is not None
                ),
            )
            self._index.execute("commit")
            self._kinds.update(seen.kind for row in rows for seen in row.observations if seen)
            self._read_to = rows[-1].id

    def _look_at_series(self) -> None:
        self._index.execute("begin")
        try:
            self._index.execute("delete from points")
            for kind in sorted(self._kinds):
                self._index.executemany(
                    "insert or replace into points values (?, ?, ?, ?, ?, ?)",
                    (
                        (
                            str(p.fields.get("key", NO_KEY)),
                            p.kind,
                            p.subject,
                            p.device,
                            p.time_us,
                            _encode(p.fields),
                        )
                        for p in self._points(kind)
                    ),
                )
        except BaseException:
            self._index.execute("rollback")
            raise
        self._index.execute("commit")
        self._looked_at = self._clock.monotonic()

    def _points(self, kind: str) -> Iterator[Point]:
        since_us, chunk = TIME_US_MIN, SCAN_CHUNK
        while True:
            points = self._series.scan(kind, None, since_us, chunk)
            yield from points
            if len(points) < chunk:
                return
            if points[-1].time_us == points[0].time_us:
                if chunk >= SCAN_CHUNK_MAX:
                    raise StoreError(
                        f"over {chunk} points of {kind} share one microsecond; they can't be told apart by time",
                        retry=False,
                    )
                chunk = SCAN_CHUNK_MAX
            since_us = points[-1].time_us

    def _next_keys(self, after: str, limit: int, device: str | None) -> list[str]:
        asked = {"after": after, "device": device, "limit": limit}
        found = {row[0] for row in self._index.execute(_KEYS, asked)}
        if device is None:
            # These three name no device, so they add nothing to a listing of one.
            with reading(self._engine) as connection:
                for column in (keys.c.key, flags.c.key, alerts.c.key):
                    query = select(column).where(column > after).distinct()
                    found.update(connection.scalars(query.order_by(column).limit(limit)))
        return sorted(found)[:limit]

    def _compare(self, wanted: Sequence[str]) -> Iterator[Listed]:
        if not wanted:
            return
        span = wanted[0], wanted[-1]
        with reading(self._engine) as connection:
            rows = _Rows(connection, span)
        places = self._indexed("select key, journal, position from places", span)
        points = self._indexed(
            "select key, kind, subject, device, time_us, fields from points", span
        )
        envelopes = self._envelopes(
            {row for key in wanted for row, _ in _claims(places[key], rows.keys.get(key))}
        )
        for key in wanted:
            claimed = rows.keys.get(key)
            yield from _reading(
                Listed(
                    key=key,
                    place=None,
                    keyed=claimed is not None,
                    flags=rows.flags.get(key, ()),
                    alerts=rows.alerts.get(key, ()),
                    point=None,
                    refused=None,
                ),
                _told(_claims(places[key], claimed), claimed, envelopes),
                [_point(*row) for row in points[key]],
                rows.refused[key],
            )

    def _envelopes(self, wanted: set[int]) -> Mapping[int, JournalRow]:
        """Journal rows by id, read anew each time; decoded anew only where their bytes are not those of last time."""
        found: dict[int, JournalRow] = {}
        ids = sorted(wanted)
        with reading(self._engine) as connection:
            for start in range(0, len(ids), IDS_MAX):
                query = select(journal).where(journal.c.id.in_(ids[start : start + IDS_MAX]))
                for row in connection.execute(query):
                    bytes_now = hashlib.sha256(row.payload + row.sha256 + row.fate).digest()
                    kept = self._decoded.pop(row.id, None)
                    if kept is None or kept[0] != bytes_now:
                        kept = (bytes_now, check(row))
                    self._decoded[row.id] = kept
                    found[row.id] = kept[1]
        held = sum(len(row.observations) for _, row in self._decoded.values())
        while held > DECODED_MAX:
            _, dropped = self._decoded.pop(next(iter(self._decoded)))
            held -= len(dropped.observations)
        return found

    def _indexed(
        self, query: str, span: tuple[str, str]
    ) -> defaultdict[str, list[tuple[Any, ...]]]:
        found: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for key, *rest in self._index.execute(f"{query} where key between ? and ?", span):
            found[key].append(tuple(rest))
        return found


class _Rows:
    """What the tables say of the keys from `span[0]` to `span[1]`."""

    def __init__(self, connection: Connection, span: tuple[str, str]) -> None:
        def by_key(
            table: Table, *columns: Column[Any]
        ) -> Iterator[tuple[str, Mapping[str, object]]]:
            query = select(table.c.key, *columns).where(table.c.key.between(*span))
            for row in connection.execute(query.order_by(*table.primary_key)).mappings():
                yield row["key"], {column.name: row[column.name] for column in columns}

        def gathered(table: Table, *names: str) -> Mapping[str, list[Mapping[str, object]]]:
            found: defaultdict[str, list[Mapping[str, object]]] = defaultdict(list)
            for key, row in by_key(table, *(table.c[name] for name in names)):
                found[key].append(row)
            return found

        claimed = select(keys).where(keys.c.key.between(*span))
        refused = select(unprojected).where(unprojected.c.key.between(*span))
        self.keys = {row.key: (row.journal, row.position) for row in connection.execute(claimed)}
        self.flags = gathered(flags, "rule", "severity", "subject", "shown", "how", "confirmed")
        self.alerts = gathered(alerts, "id", "condition", "state", "how", "key", "shown")
        self.refused: defaultdict[str, dict[tuple[int, int], str]] = defaultdict(dict)
        for row in connection.execute(refused):
            self.refused[row.key][row.journal, row.position] = row.why


def _claims(
    places: Iterable[tuple[int, int]], claimed: tuple[int, int] | None
) -> Sequence[tuple[int, int]]:
    """Every place that is said to hold a key, the key row's own first: it is the reading, others repeat or contradict it."""
    rest = sorted(set(places) - {claimed})
    return [claimed, *rest] if claimed else rest


def _told(
    claims: Sequence[tuple[int, int]],
    claimed: tuple[int, int] | None,
    envelopes: Mapping[int, JournalRow],
) -> Sequence[tuple[JournalRow, int]]:
    """Places that still exist; of repeats, one at most, and only where nothing else is left to tell of the reading."""
    held = [(envelopes[row], position) for row, position in claims if row in envelopes]
    repeats = [
        (row, position)
        for row, position in held
        if (row.id, position) != claimed
        and (fate := row.fate(position)) is not None
        and fate.outcome == DUPLICATE
    ]
    return [place for place in held if place not in repeats] or repeats[:1]


def _reading(
    plain: Listed,
    places: Sequence[tuple[JournalRow, int]],
    points: list[Point],
    refused: Mapping[tuple[int, int], str],
) -> Iterator[Listed]:
    """One entry, and one more for each further place in the journal and each further point under the same key."""
    for turn, (row, position) in enumerate(places):
        fate = row.fate(position)
        due = next((p for p in points if fate and p.time_us == fate.time_us), None)
        point = due or (points[0] if points and turn == 0 else None)
        if point:
            points.remove(point)
        why = refused.get((row.id, position))
        entry = replace(plain, place=(row, position), point=point, refused=why)
        yield entry if turn == 0 else replace(entry, keyed=False, flags=(), alerts=())
    if not places:
        why = next(iter(refused.values()), None)
        yield replace(plain, point=points.pop(0) if points else None, refused=why)
    for point in points:
        yield replace(plain, keyed=False, flags=(), alerts=(), point=point)


def _point(kind: str, subject: str, device: str, time_us: int, fields: bytes) -> Point:
    return Point(kind, subject, device, time_us, _decode(fields))
