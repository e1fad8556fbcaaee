"""The cloud's answer to "what do you hold of me?", compared with what is kept here. Runs in short steps; sends nothing."""

import sqlite3
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from edge.outbox.records import LedgerVerdict
from edge.outbox.schema import DAMAGED, PENDING, translated, writing
from gateway.model.identity import DIGEST_MODULUS, ledger_digest
from gateway.wire.receipts import RANGES_MAX, Answer, Held, HeldEpoch

STEP_ROWS = 500  # between two steps a reading may be accepted
NAMED_MAX = 100  # ranges that a verdict names
LISTED_MAX = 1_000_000

Steps = Generator[None, None, LedgerVerdict]


class AnswerError(ValueError):
    """An answer that contradicts itself: nothing is concluded from it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    id: int
    number: int
    key: str
    state: int
    mark: int
    era: int


@dataclass(frozen=True, slots=True)
class _Removed:
    first: int
    last: int
    digest: int


@dataclass(frozen=True, slots=True)
class _Bounds:
    mark: int
    era: int


@dataclass(slots=True)
class _Findings:
    owed: list[int] = field(default_factory=list[int])
    lost: list[str] = field(default_factory=list[str])
    differs: list[str] = field(default_factory=list[str])
    unissued: bool = False


@dataclass(slots=True)
class _Sum:
    """What this box knows of one range that the cloud holds."""

    held: Held
    digest: int = 0
    known: int = 0
    ids: list[int] = field(default_factory=list[int])
    blind: bool = False


def next_era(db: sqlite3.Connection) -> None:
    """Forget the commit numbers of a cloud that is another now, and let rows be sent again once more."""
    db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('era', ?)", (str(_era(db) + 1),))
    db.execute("DELETE FROM meta WHERE name IN ('store', 'commit')")


def last_commit(db: sqlite3.Connection) -> tuple[str, int] | None:
    """Store and highest commit number that a receipt showed in this era."""
    told = dict(
        db.execute("SELECT name, value FROM meta WHERE name IN ('store', 'commit')").fetchall()
    )
    return (told["store"], int(told["commit"])) if len(told) == len(("store", "commit")) else None


def compare(db: sqlite3.Connection, answer: Answer, mark: int) -> Steps:
    """Find what the cloud lacks or holds otherwise, and owe it again, once in an era. Raises AnswerError, StoreError.

    Rows that a receipt settled after `mark` was taken are left alone: the answer may be older than that receipt.
    """
    held = {epoch.epoch: epoch for epoch in answer.epochs}
    for epoch in answer.epochs:
        _check(epoch)
    with translated():
        epochs = db.execute("SELECT epoch, issued FROM epochs ORDER BY id").fetchall()
        era = _era(db)
    found = _Findings()
    for epoch, _ in epochs:
        told = held.get(epoch) or HeldEpoch(epoch=epoch, ranges=())
        yield from _compare_epoch(db, told, _Bounds(mark, era), found)
    current, issued = epochs[-1]
    found.unissued = current in held and _highest(held[current]) > issued
    yield from _owe(db, found.owed, era)
    return LedgerVerdict(
        owed=len(found.owed),
        lost=tuple(found.lost[:NAMED_MAX]),
        differs=tuple(found.differs[:NAMED_MAX]),
        unissued=found.unissued,
    )


def _compare_epoch(
    db: sqlite3.Connection, told: HeldEpoch, bounds: _Bounds, found: _Findings
) -> Generator[None, None, None]:
    sums = [_Sum(held) for held in sorted(told.ranges, key=lambda held: held.first)]
    listed = frozenset(told.parked) | frozenset(told.two_keys)
    _lay_removed(_removed(db, told.epoch), sums, listed, (told.epoch, found))
    at = after = 0
    while rows := _page(db, told.epoch, after):
        for row in rows:
            while at < len(sums) and sums[at].held.last < row.number:
                at += 1
            inside = at < len(sums) and sums[at].held.first <= row.number
            if row.number in listed:
                # Counted as known so that the range around it can still be checked.
                if inside:
                    sums[at].known += 1
            elif inside:
                _add(sums[at], row, bounds)
            else:
                _lacking(row, bounds, (told.epoch, found))
        after = rows[-1].number
        yield
    for total in sums:
        _judge(total, (told.epoch, found))


def _lay_removed(
    removed: Sequence[_Removed],
    sums: Sequence[_Sum],
    listed: frozenset[int],
    into: tuple[str, _Findings],
) -> None:
    epoch, found = into
    for gone in removed:
        covered = 0
        for total in sums:
            first, last = max(gone.first, total.held.first), min(gone.last, total.held.last)
            if first > last:
                continue
            covered += last - first + 1
            if (first, last) == (gone.first, gone.last):
                total.digest += gone.digest
                total.known += last - first + 1
            else:
                total.blind = True
        own = sum(1 for number in listed if gone.first <= number <= gone.last)
        outside = gone.last - gone.first + 1 - covered
        if own:
            _blind(sums, gone)
        if outside > own:
            found.lost.append(f"{epoch}:{gone.first}-{gone.last} ({outside - own} of them)")


def _blind(sums: Sequence[_Sum], gone: _Removed) -> None:
    # The sum over what was removed holds the keys of numbers that the cloud sums apart: it proves nothing.
    for total in sums:
        if total.held.first <= gone.last and gone.first <= total.held.last:
            total.blind = True


def _add(total: _Sum, row: _Kept, bounds: _Bounds) -> None:
    if row.state == DAMAGED:
        return
    total.known += 1
    total.digest += ledger_digest([(row.number, row.key)])
    if row.state != PENDING and row.mark <= bounds.mark and row.era != bounds.era:
        total.ids.append(row.id)


def _lacking(row: _Kept, bounds: _Bounds, into: tuple[str, _Findings]) -> None:
    epoch, found = into
    if row.state in (PENDING, DAMAGED) or row.mark > bounds.mark:
        return
    if row.era != bounds.era:
        found.owed.append(row.id)
    else:
        found.differs.append(f"{epoch}:{row.number}-{row.number}")


def _judge(total: _Sum, into: tuple[str, _Findings]) -> None:
    epoch, found = into
    whole = total.known == total.held.last - total.held.first + 1
    if total.blind or not whole or total.digest % DIGEST_MODULUS == int(total.held.digest, 16):
        return
    if total.ids:
        found.owed.extend(total.ids)
    else:
        found.differs.append(f"{epoch}:{total.held.first}-{total.held.last}")


def _owe(db: sqlite3.Connection, ids: Sequence[int], era: int) -> Generator[None, None, None]:
    for start in range(0, len(ids), STEP_ROWS):
        with writing(db):
            db.executemany(
                "UPDATE rows SET state = 0, why = NULL, settled = NULL, mark = NULL, live = 0, era = ?"
                " WHERE id = ?",
                ((era, row_id) for row_id in ids[start : start + STEP_ROWS]),
            )
        yield


def _page(db: sqlite3.Connection, epoch: str, after: int) -> list[_Kept]:
    with translated():
        rows = db.execute(
            "SELECT id, n, key, state, coalesce(mark, 0), era FROM rows"
            " WHERE epoch = ? AND n > ? ORDER BY n LIMIT ?",
            (epoch, after, STEP_ROWS),
        ).fetchall()
    return [_Kept(*row) for row in rows]


def _removed(db: sqlite3.Connection, epoch: str) -> list[_Removed]:
    with translated():
        rows = db.execute(
            "SELECT first, last, digest FROM removed WHERE epoch = ? ORDER BY first", (epoch,)
        ).fetchall()
    return [_Removed(first, last, int(digest, 16)) for first, last, digest in rows]


def _era(db: sqlite3.Connection) -> int:
    found = db.execute("SELECT value FROM meta WHERE name = 'era'").fetchone()
    return int(found[0]) if found else 0


def _highest(held: HeldEpoch) -> int:
    return max(
        (*(kept.last for kept in held.ranges), *held.parked, *held.two_keys),
        default=0,
    )


def _check(held: HeldEpoch) -> None:
    if len(held.ranges) > RANGES_MAX or len(held.parked) + len(held.two_keys) > LISTED_MAX:
        raise AnswerError(f"epoch {held.epoch[:32]!r}: {len(held.ranges)} ranges; {RANGES_MAX} fit")
    last = 0
    for kept in sorted(held.ranges, key=lambda kept: kept.first):
        if not last < kept.first <= kept.last:
            raise AnswerError(f"range {kept.first}-{kept.last} overlaps, or starts after its end")
        last = kept.last
        try:
            int(kept.digest, 16)
        except ValueError as error:
            raise AnswerError(f"digest {kept.digest[:32]!r} is not hexadecimal") from error
