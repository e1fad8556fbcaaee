"""The one transaction that files what came: in the order of the plan, section 9, or not at all. SQLite only; publishes nothing.

It speaks to the driver directly where there is a row an observation, and through SQLAlchemy Core where rows are few.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, Engine

from cloud_ingest.live import News
from cloud_ingest.stores.fate import encode_fates
from cloud_ingest.stores.records.alerts import Desk, write_findings
from cloud_ingest.stores.records.arrival import (
    Arrival,
    Poison,
    Sealed,
    Stray,
    arrive,
    poisoned,
    without,
)
from cloud_ingest.stores.records.claims import claim, encode_contents, write_conflicts
from cloud_ingest.stores.records.filed import Journal
from cloud_ingest.stores.records.numbers import repeat_outcomes, settle, write_ledger
from cloud_ingest.stores.records.open import Writer
from cloud_ingest.stores.records.parked import park_poison, park_stray, poison_receipt
from cloud_ingest.stores.records.setaside import set_aside
from cloud_ingest.stores.records.subjects import (
    RefusedError,
    assess,
    own,
    readable_states,
    save_states,
)
from cloud_ingest.stores.records.txn import cursor_of
from cloud_ingest.stores.records.types import Delivery, Verdict
from cloud_ingest.stores.records.work import (
    Cursor,
    Filing,
    Row,
    each_row,
    file_of,
    receipt,
    stored_rows,
)
from gateway.runtime.errors import StoreError

# Readings at which the rules fail are parked together in the next try; a try may bring others to light.
REFUSALS_MAX = 8
JOURNAL = (
    "INSERT INTO journal (id, sha256, agent, epoch, first, count, received_us, payload, fate, contents)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
BOX = (
    "INSERT INTO boxes (agent, commit_no, heard_us) VALUES (?, 1, ?) ON CONFLICT (agent)"
    " DO UPDATE SET commit_no = commit_no + 1, heard_us = excluded.heard_us RETURNING commit_no"
)
INBOX = (
    "INSERT INTO inbox (key, device, arrived_us, why) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)


@dataclass(slots=True)
class Batch:
    """One transaction's work: envelopes by their hash in order of arrival, poison by its hash, and what they changed."""

    filings: dict[bytes, Filing] = field(default_factory=dict[bytes, Filing])
    poison: dict[bytes, Poison] = field(default_factory=dict[bytes, Poison])
    kept: set[bytes] = field(default_factory=set[bytes])  # poison that may be receipted
    touched: set[str] = field(default_factory=set[str])  # boxes whose commit number rises
    commits: dict[str, int] = field(default_factory=dict[str, int])
    alerts: dict[bytes, list[str]] = field(default_factory=dict[bytes, list[str]])


class Ingester:
    """Files batches of deliveries. One thread at a time."""

    def __init__(self, engine: Engine, tenant: str, store: str) -> None:
        """File into an open store."""
        self._writer = Writer(engine)
        self._tenant = tenant
        self._store = store
        self._journal = Journal()

    def ingest(self, deliveries: Sequence[Delivery], desk: Desk) -> list[Verdict]:
        """One verdict for each delivery, in their order. Raises StoreError, and then nothing of them is filed.

        A failure on data halves the batch, down to the reading that is at fault, which is parked.
        """
        # What waited while the store was away is as old as it is: judged as of when it came, it would page in the night.
        as_of_now = [replace(one, received=max(one.received, desk.now)) for one in deliveries]
        return self._attempt([arrive(self._tenant, delivery) for delivery in as_of_now], desk)

    def close(self) -> None:
        """Let go of the store."""
        self._writer.close()

    def _attempt(
        self, arrivals: Sequence[Arrival], desk: Desk, tries: int = REFUSALS_MAX
    ) -> list[Verdict]:
        if not arrivals:
            return []
        try:
            return self._transact(arrivals, desk)
        except (StoreError, MemoryError):
            raise
        except RefusedError as refused:
            if tries:
                return self._attempt(_refuse(arrivals, refused.places), desk, tries - 1)
            fault: Exception = refused
        except Exception as error:  # noqa: BLE001 whatever data can cause is that data's fault, and must not stop the rest
            fault = error
        if len(arrivals) > 1:
            half = len(arrivals) // 2
            return [*self._attempt(arrivals[:half], desk), *self._attempt(arrivals[half:], desk)]
        return self._isolate(arrivals[0], desk, fault)

    def _isolate(self, arrival: Arrival, desk: Desk, fault: Exception) -> list[Verdict]:
        """Park the readings of one envelope that can't be filed; the whole of it, if no reading is to blame."""
        if not isinstance(arrival, Sealed):
            raise fault
        why = f"{type(fault).__name__}: {fault}"
        positions = range(len(arrival.envelope.observations))
        guilty = self._guilty(arrival, desk, positions)
        try:
            return self._transact([without(arrival, dict.fromkeys(guilty, why))], desk)
        except (StoreError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 the same
            return self._transact([poisoned(arrival, why)], desk)

    def _guilty(self, sealed: Sealed, desk: Desk, suspects: Sequence[int]) -> list[int]:
        """Which of these positions fail even without all others: by halves, in transactions that are undone."""
        others = set(range(len(sealed.envelope.observations))).difference(suspects)
        trial = without(sealed, dict.fromkeys(others, "left out of a trial"))
        try:
            self._transact([trial], desk, undo=True)
        except _UndoneError:
            return []
        except (StoreError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 the same
            if len(suspects) <= 1:
                return list(suspects)
            half = len(suspects) // 2
            return [
                *self._guilty(sealed, desk, suspects[:half]),
                *self._guilty(sealed, desk, suspects[half:]),
            ]
        return []

    def _transact(
        self, arrivals: Sequence[Arrival], desk: Desk, *, undo: bool = False
    ) -> list[Verdict]:
        batch = Batch()
        with self._writer.writing() as connection:
            self._file(connection, arrivals, batch, desk)
            if undo:
                raise _UndoneError
        verdicts = [self._verdict(arrival, batch) for arrival in arrivals]
        # Envelopes and their rows point at each other: let go here, or the collector would have to.
        for filing in batch.filings.values():
            filing.rows.clear()
        return verdicts

    def _file(
        self, connection: Connection, arrivals: Sequence[Arrival], batch: Batch, desk: Desk
    ) -> None:
        cursor = cursor_of(connection)
        # 1. Equal envelopes: the first wins.
        for arrival in arrivals:
            match arrival:
                case Sealed():
                    batch.filings.setdefault(arrival.came.sha256, file_of(arrival))
                case Poison():
                    batch.poison.setdefault(arrival.came.sha256, arrival)
                case Stray():
                    park_stray(cursor, arrival)
        filings = list(batch.filings.values())
        # 2. Numbers, against the ledger and within the batch. SQLite's write lock stands for the boxes' and subjects' row locks.
        groups = settle(cursor, self._journal, filings)
        _number_journal(cursor, filings, batch)
        anew = [row for row in each_row(filings) if row.seen is not None and not row.repeats]
        # 3. Subjects, by the bindings, and their states.
        own(cursor, anew)
        states, unreadable = readable_states(cursor, {row.subject for row in anew})
        # 4. Keys.
        claim(cursor, self._journal, anew)
        repeat_outcomes(groups)
        # 5. Assessment of what is stored.
        stored = stored_rows(filings)
        after = assess(desk.thresholds, stored, states)
        # 6. Journal and fate, ledger, flags, alerts, what is due, states.
        _write_journal(cursor, filings)
        write_ledger(cursor, self._journal, groups)
        write_conflicts(cursor, stored, desk.now_us)
        for row in stored:
            _write_findings(connection, desk, row, batch)
            if row.unbound and row.seen is not None:
                came = row.filing.sealed.came
                cursor.execute(
                    INBOX, (row.seen.key, row.seen.device, came.received_us, row.unbound)
                )
        save_states(cursor, after)
        if unreadable:
            set_aside(cursor, stored, desk.now_us)
        for sha256, poison in batch.poison.items():
            kept, new = park_poison(cursor, poison)
            batch.kept |= {sha256} if kept else set()
            batch.touched |= {poison.branch.agent} if new else set()
        _count_commits(cursor, batch, desk)

    def _verdict(self, arrival: Arrival, batch: Batch) -> Verdict:
        sha256, branch = arrival.came.sha256, arrival.branch
        commit = batch.commits.get(branch.agent, 0) if branch is not None else 0
        match arrival:
            case Stray():
                return Verdict(None, branch, (), 0)
            case Poison():
                given = poison_receipt(arrival, self._store, commit)
                news = (News("box", (arrival.branch.agent,)),)
                return Verdict(given if sha256 in batch.kept else None, branch, news, 0)
            case Sealed():
                filing = batch.filings[sha256]
                given = receipt(filing, self._store, commit)
                if filing.sealed is not arrival:  # the same bytes twice in one batch
                    return Verdict(given, branch, (), 0)
                keys = [row.seen.key for row in stored_rows([filing]) if row.seen is not None]
                changed = batch.alerts.get(sha256, [])
                news = (News("reading", tuple(keys)),) if keys else ()
                news += (News("alert", tuple(changed)),) if changed else ()
                return Verdict(given, branch, news, len(keys))


class _UndoneError(Exception):
    """A trial went well and is undone."""


def _refuse(arrivals: Iterable[Arrival], places: Mapping[tuple[bytes, int], str]) -> list[Arrival]:
    by_envelope: dict[bytes, dict[int, str]] = {}
    for (sha256, position), why in places.items():
        by_envelope.setdefault(sha256, {})[position] = why
    return [
        without(arrival, by_envelope[arrival.came.sha256])
        if isinstance(arrival, Sealed) and arrival.came.sha256 in by_envelope
        else arrival
        for arrival in arrivals
    ]


def _number_journal(cursor: Cursor, filings: Iterable[Filing], batch: Batch) -> None:
    """Give each envelope that brings anything its row's id; nobody else can draw one in this transaction."""
    found = cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    last = found[0] if found else 0
    for filing in filings:
        if not all(row.repeats for row in filing.rows):
            last += 1
            filing.journal = last
            batch.touched.add(filing.agent)


def _write_journal(cursor: Cursor, filings: Iterable[Filing]) -> None:
    for filing in filings:
        if filing.journal:
            came, header = filing.sealed.came, filing.sealed.envelope.header
            fates = encode_fates([row.fate() for row in filing.rows])
            place = (header.agent, header.epoch, header.first, header.count)
            told = (came.received_us, came.payload, fates, encode_contents(filing))
            cursor.execute(JOURNAL, (filing.journal, came.sha256, *place, *told))


def _write_findings(connection: Connection, desk: Desk, row: Row, batch: Batch) -> None:
    told = row.assessment
    if told is None or row.seen is None or not told.findings:
        return
    changed = write_findings(
        connection, desk, row.seen.key, row.subject, at_us=told.at_us, findings=told.findings
    )
    if changed:
        batch.alerts.setdefault(row.filing.sealed.came.sha256, []).extend(changed)


def _count_commits(cursor: Cursor, batch: Batch, desk: Desk) -> None:
    agents = {filing.agent for filing in batch.filings.values()}
    agents |= {poison.branch.agent for poison in batch.poison.values()}
    for agent in sorted(agents):
        if agent in batch.touched:
            found = cursor.execute(BOX, (agent, desk.now_us)).fetchone()
        else:
            found = cursor.execute(
                "SELECT commit_no FROM boxes WHERE agent = ?", (agent,)
            ).fetchone()
        batch.commits[agent] = found[0] if found else 0
