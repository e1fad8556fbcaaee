"""Settles numbers: which an envelope brings anew, which are held with their key, which with another. Speaks sqlite3; claims no key.

A number is taken by (agent, epoch, n) together with its key, so differently cut envelopes settle number by number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cloud_ingest.stores.fate import DUPLICATE, PARKED, STORED
from cloud_ingest.stores.records.filed import Journal
from cloud_ingest.stores.records.work import (
    ANOTHER_KEY,
    FIRST_KEY,
    HELD,
    Cursor,
    Filing,
    Row,
    each_row,
)
from gateway.model.identity import ledger_digest

LEDGER = "INSERT INTO ledger (agent, epoch, first, last, digest, journal) VALUES (?, ?, ?, ?, ?, ?)"
APART = (
    "INSERT INTO ledger_apart (agent, epoch, n, key, journal, why) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Range:
    """A row of the ledger: numbers that one envelope brought, each with its key."""

    first: int
    last: int
    digest: str
    journal: int


@dataclass(slots=True)
class Taken:
    """A key that a number is held with: by the row of this batch, or by an envelope of the journal."""

    journal: int
    outcome: str
    row: Row | None = None
    first: bool = True


@dataclass(slots=True)
class Group:
    """What is held of the numbers that this batch touches in one epoch of one box."""

    agent: str
    epoch: str
    filings: list[Filing]
    ranges: dict[int, Range] = field(default_factory=dict[int, Range])
    keys: dict[int, dict[str, Taken]] = field(default_factory=dict[int, dict[str, Taken]])
    parked: set[int] = field(default_factory=set[int])
    contested: set[int] = field(default_factory=set[int])
    unparked: set[int] = field(default_factory=set[int])


def ranges_within(cursor: Cursor, place: tuple[str, str], first: int, last: int) -> list[Range]:
    """The ledger's rows of one epoch of a box that hold any number from `first` to `last`, the highest first."""
    cursor.execute(
        "SELECT first, last, digest, journal FROM ledger"
        " WHERE agent = ? AND epoch = ? AND first <= ? ORDER BY first DESC",
        (*place, last),
    )
    found: list[Range] = []
    # Ranges don't overlap: the first that ends before ours begins is the last to look at.
    while (row := cursor.fetchone()) is not None and row[1] >= first:
        found.append(Range(*row))
    return found


def settle(cursor: Cursor, journal: Journal, filings: Sequence[Filing]) -> list[Group]:
    """Decide each position's number. Rows that repeat a held number with its key are marked; the others are to be claimed."""
    groups: dict[tuple[str, str], Group] = {}
    for filing in filings:
        place = (filing.agent, filing.epoch)
        groups.setdefault(place, Group(*place, [])).filings.append(filing)
    for place in sorted(groups):
        group = groups[place]
        # Not `any`: every envelope's ranges are loaded.
        overlaps = [_load(cursor, journal, group, filing) for filing in group.filings]
        if any(overlaps) or _overlap(group.filings):
            for filing in group.filings:
                if not _repeated(cursor, journal, filing):
                    _settle(group, filing)
    return list(groups.values())


def repeat_outcomes(groups: Sequence[Group]) -> None:
    """Give rows that repeat a held number the outcome that it had. After the claims."""
    for group in groups:
        for row in each_row(group.filings):
            if row.repeats and not row.outcome and row.seen is not None:
                taken = group.keys[row.n][row.seen.key]
                outcome = taken.row.outcome if taken.row is not None else taken.outcome
                row.outcome = DUPLICATE
                row.why = HELD if outcome == STORED else ""


def write_ledger(cursor: Cursor, journal: Journal, groups: Sequence[Group]) -> None:
    """The numbers that are held now, in ranges; and apart the parked ones and those with two keys."""
    for group in groups:
        if group.contested:
            _set_apart(cursor, journal, group)
        for n in sorted(group.unparked):
            cursor.execute(
                "DELETE FROM ledger_apart WHERE agent = ? AND epoch = ? AND n = ? AND key = ''",
                (group.agent, group.epoch, n),
            )
        for filing in group.filings:
            if filing.journal:
                _write_filing(cursor, group, filing)


def _load(cursor: Cursor, journal: Journal, group: Group, filing: Filing) -> bool:
    """Read what the ledger holds of an envelope's numbers; whether it holds any."""
    place, last = (group.agent, group.epoch), filing.last
    known = len(group.ranges)
    for held in ranges_within(cursor, place, filing.first, last):
        group.ranges[held.first] = held
    fresh = list(group.ranges.values())[known:]
    for held in fresh:
        filed = journal.read(cursor, held.journal)
        fates = filed.fates
        for n in range(held.first, held.last + 1):
            position = n - filed.first
            seen = filed.observation(position)
            key = seen.key if seen is not None else ""
            outcome = fates[position].outcome if position < len(fates) else STORED
            group.keys.setdefault(n, {})[key] = Taken(held.journal, outcome)
    apart = cursor.execute(
        "SELECT n, key, journal, why FROM ledger_apart"
        " WHERE agent = ? AND epoch = ? AND n BETWEEN ? AND ?",
        (*place, filing.first, last),
    ).fetchall()
    for n, key, row, why in apart:
        if key:
            outcome = _outcome(cursor, journal, n, row)
            group.keys.setdefault(n, {})[key] = Taken(row, outcome, first=why == FIRST_KEY)
            group.contested.add(n)
        else:
            group.parked.add(n)
    return bool(apart) or any(
        held.first <= last and held.last >= filing.first for held in group.ranges.values()
    )


def _outcome(cursor: Cursor, journal: Journal, n: int, row: int) -> str:
    filed = journal.read(cursor, row)
    fate = filed.fate(n - filed.first)
    return fate.outcome if fate is not None else STORED


def _overlap(filings: Sequence[Filing]) -> bool:
    if len(filings) == 1:
        return False
    spans = sorted((filing.first, filing.last) for filing in filings)
    return any(one[1] >= other[0] for one, other in pairwise(spans))


def _repeated(cursor: Cursor, journal: Journal, filing: Filing) -> bool:
    """An envelope that is in the journal by its hash: each position has the outcome that it had."""
    found = cursor.execute(
        "SELECT id FROM journal WHERE sha256 = ?", (filing.sealed.came.sha256,)
    ).fetchone()
    if found is None:
        return False
    fates = journal.read(cursor, found[0]).fates
    for row, fate in zip(filing.rows, fates, strict=False):
        row.repeats, row.outcome, row.why = True, fate.outcome, fate.why
    for row in filing.rows[len(fates) :]:  # its fate is damaged: what the ledger holds is held
        row.repeats, row.outcome = True, STORED
    apart = cursor.execute(
        "SELECT n, key FROM ledger_apart"
        " WHERE agent = ? AND epoch = ? AND n BETWEEN ? AND ? AND why = ?",
        (filing.agent, filing.epoch, filing.first, filing.last, ANOTHER_KEY),
    ).fetchall()
    keys = {(row.n, row.seen.key) for row in filing.rows if row.seen is not None}
    filing.new_epoch = any((n, key) in keys for n, key in apart)
    return True


def _settle(group: Group, filing: Filing) -> None:
    for row in filing.rows:
        n, held = row.n, group.keys.get(row.n)
        if row.seen is None:
            continue
        if held is None:
            group.keys[n] = {row.seen.key: Taken(0, "", row)}
            if n in group.parked:
                group.unparked.add(n)
        elif row.seen.key in held:
            row.repeats = True
            filing.new_epoch |= not held[row.seen.key].first
        else:
            held[row.seen.key] = Taken(0, "", row, first=False)
            group.contested.add(n)
            filing.new_epoch = True


def _set_apart(cursor: Cursor, journal: Journal, group: Group) -> None:
    """Take numbers with two keys out of the ranges, and list each of their keys."""
    for held in list(group.ranges.values()):
        if any(n in group.contested for n in range(held.first, held.last + 1)):
            _split(cursor, journal, group, held)
    for n in sorted(group.contested):
        for key, taken in group.keys[n].items():
            row = taken.row.filing.journal if taken.row is not None else taken.journal
            why = FIRST_KEY if taken.first else ANOTHER_KEY
            cursor.execute(APART, (group.agent, group.epoch, n, key, row, why))


def _split(cursor: Cursor, journal: Journal, group: Group, held: Range) -> None:
    place = (group.agent, group.epoch)
    filed = journal.read(cursor, held.journal)
    cursor.execute(
        "DELETE FROM ledger WHERE agent = ? AND epoch = ? AND first = ?", (*place, held.first)
    )
    kept: list[tuple[int, str]] = []
    for n in range(held.first, held.last + 1):
        seen = filed.observation(n - filed.first)
        if n not in group.contested:
            if seen is not None:
                kept.append((n, seen.key))
            else:
                why = f"the journal's row {held.journal} is damaged"
                cursor.execute(APART, (*place, n, "", held.journal, why))
    _write_runs(cursor, place, kept, held.journal)


def _write_filing(cursor: Cursor, group: Group, filing: Filing) -> None:
    place = (group.agent, group.epoch)
    anew: list[tuple[int, str]] = []
    for n, row in enumerate(filing.rows, filing.first):
        if row.outcome == PARKED:
            if n not in group.keys and n not in group.parked:
                cursor.execute(APART, (*place, n, "", filing.journal, row.why))
        elif row.seen is not None and not row.repeats and n not in group.contested:
            anew.append((n, row.seen.key))
    _write_runs(cursor, place, anew, filing.journal)


def _write_runs(
    cursor: Cursor, place: tuple[str, str], numbered: Sequence[tuple[int, str]], journal: int
) -> None:
    """One row for each run of numbers without a gap."""
    start = 0
    for index in range(1, len(numbered) + 1):
        if index == len(numbered) or numbered[index][0] != numbered[index - 1][0] + 1:
            run = numbered[start:index]
            digest = f"{ledger_digest(run):016x}"
            cursor.execute(LEDGER, (*place, run[0][0], run[-1][0], digest, journal))
            start = index
