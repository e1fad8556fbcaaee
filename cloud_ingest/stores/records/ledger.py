"""Answers a box's question: which of its numbers are held, in ranges that can be checked. Reads only."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from cloud_ingest.stores.records.schema import boxes, ledger, ledger_apart
from gateway.model.identity import DIGEST_MODULUS
from gateway.runtime.clock import iso
from gateway.wire.receipts import LISTED_MAX, RANGES_MAX, Answer, Held, HeldEpoch, Question

# What each box asks whenever it connects: made once.
_COMMIT = select(boxes.c.commit_no).where(boxes.c.agent == bindparam("agent"))
_RANGES = (
    select(ledger.c.epoch, ledger.c.first, ledger.c.last, ledger.c.digest, ledger.c.journal)
    .where(ledger.c.agent == bindparam("agent"))
    .order_by(ledger.c.epoch, ledger.c.first)
)
_APART = (
    select(ledger_apart.c.epoch, ledger_apart.c.n, ledger_apart.c.key)
    .where(ledger_apart.c.agent == bindparam("agent"))
    .order_by(ledger_apart.c.n.desc())
    .limit(LISTED_MAX)
)


def answer(
    connection: Connection, store: str, agent: str, question: Question, now: datetime
) -> Answer:
    """What is held of a box, as of one snapshot, and what time it is. At most RANGES_MAX ranges: the newest."""
    mine = {"agent": agent}
    commit = connection.execute(_COMMIT, mine).scalar()
    ranges: dict[str, list[Held]] = {}
    newest: dict[str, int] = {}
    for epoch, first, last, digest, journal in connection.execute(_RANGES, mine):
        _append(ranges.setdefault(epoch, []), first, last, int(digest, 16))
        newest[epoch] = max(newest.get(epoch, 0), journal)
    parked: dict[str, set[int]] = {}
    two_keys: dict[str, set[int]] = {}
    for epoch, n, key in connection.execute(_APART, mine):
        (two_keys if key else parked).setdefault(epoch, set()).add(n)
    epochs = [
        HeldEpoch(
            epoch=epoch,
            ranges=ranges.get(epoch, []),
            parked=_sorted(parked.get(epoch, ()), but=two_keys.get(epoch, ())),
            two_keys=_sorted(two_keys.get(epoch, ())),
        )
        for epoch in sorted({*ranges, *parked, *two_keys})
    ]
    return Answer(
        nonce=question.nonce,
        agent=agent,
        store=store,
        commit=commit or 0,
        epochs=_newest(epochs, newest),
        at=iso(now),
    )


def _append(held: list[Held], first: int, last: int, digest: int) -> None:
    # Digests are additive, so neighbours make one range.
    if held and held[-1].last + 1 == first:
        before = held.pop()
        first, digest = before.first, (int(before.digest, 16) + digest) % DIGEST_MODULUS
    held.append(Held(first, last, f"{digest:016x}"))


def _sorted(numbers: Iterable[int], but: Iterable[int] = ()) -> list[int]:
    return sorted(set(numbers).difference(but))


def _newest(epochs: Sequence[HeldEpoch], newest: Mapping[str, int]) -> Sequence[HeldEpoch]:
    """What fits. `newest`: the last row of the journal that brought something of an epoch."""
    total = sum(len(epoch.ranges) for epoch in epochs)
    if total <= RANGES_MAX:
        return epochs
    # A box without a disk that lasts draws an epoch at each start: they alone can be too many for any broker's message.
    by_age = sorted((epoch.epoch for epoch in epochs), key=lambda name: newest.get(name, 0))
    kept = frozenset(by_age[-RANGES_MAX:])
    each = RANGES_MAX // len(kept)
    return [
        HeldEpoch(
            epoch=epoch.epoch,
            ranges=epoch.ranges[-each:],
            parked=epoch.parked,
            two_keys=epoch.two_keys,
        )
        for epoch in epochs
        if epoch.epoch in kept
    ]
