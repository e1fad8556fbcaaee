"""Keeps what could not be filed: poison with its numbers, strays within a quota. Speaks sqlite3; judges nothing."""

from cloud_ingest.stores.records.arrival import Came, Poison, Stray
from cloud_ingest.stores.records.numbers import APART, ranges_within
from cloud_ingest.stores.records.work import Cursor, told_parked
from gateway.wire.receipts import Receipt

# Of what one sender's topic brought and nobody can be answered for. Beyond it bytes are counted, not kept.
PARKED_PER_AGENT_MAX = 1_000
PARKED_BYTES_PER_AGENT_MAX = 32_000_000
NOBODY = ""  # the sender of a topic that names none
BEYOND_QUOTA = "parked_beyond_quota"  # a count in `meta`
RAW = (
    "INSERT INTO parked (sha256, topic, agent, why, received_us, payload)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)


def park_stray(cursor: Cursor, stray: Stray) -> None:
    """Keep it once, if the sender's quota has room."""
    agent = stray.branch.agent if stray.branch is not None else NOBODY
    if _kept(cursor, stray.came):
        return
    if _room(cursor, agent, stray.came):
        _keep(cursor, agent, stray.came, stray.why)
    else:
        _count(cursor)


def park_poison(cursor: Cursor, poison: Poison) -> tuple[bool, bool]:
    """Keep its bytes and set its numbers apart, where no key holds them. Gives whether it is kept, and whether anything is new.

    An oversized one has a quota, since no correct box makes it: beyond it, it is not kept, and must not be receipted.
    """
    agent = poison.branch.agent
    kept = _kept(cursor, poison.came)
    if not kept:
        if poison.oversized and not _room(cursor, agent, poison.came):
            _count(cursor)
            return False, False
        _keep(cursor, agent, poison.came, poison.why)
    # The same bytes may have come on another's topic before: its numbers are then still to be set apart.
    return True, _set_apart(cursor, poison) or not kept


def _set_apart(cursor: Cursor, poison: Poison) -> bool:
    place, numbers = (poison.branch.agent, poison.header.epoch), poison.header.numbers
    apart = cursor.execute(
        "SELECT n FROM ledger_apart WHERE agent = ? AND epoch = ? AND n BETWEEN ? AND ?",
        (*place, numbers[0], numbers[-1]),
    ).fetchall()
    taken = {n for (n,) in apart}
    for held in ranges_within(cursor, place, numbers[0], numbers[-1]):
        taken.update(range(max(held.first, numbers[0]), min(held.last, numbers[-1]) + 1))
    anew = [n for n in numbers if n not in taken]
    for n in anew:
        cursor.execute(APART, (*place, n, "", None, poison.why))
    return bool(anew)


def poison_receipt(poison: Poison, store: str, commit: int) -> Receipt:
    """All of its numbers are parked."""
    header = poison.header
    return Receipt(
        envelope=poison.came.sha256.hex(),
        agent=header.agent,
        epoch=header.epoch,
        store=store,
        commit=commit,
        parked=told_parked([(n, poison.why) for n in header.numbers]),
    )


def _kept(cursor: Cursor, came: Came) -> bool:
    return (
        cursor.execute("SELECT 1 FROM parked WHERE sha256 = ?", (came.sha256,)).fetchone()
        is not None
    )


def _room(cursor: Cursor, agent: str, came: Came) -> bool:
    count, size = cursor.execute(
        "SELECT count(*), coalesce(sum(length(payload)), 0) FROM parked WHERE agent = ?", (agent,)
    ).fetchone()
    return count < PARKED_PER_AGENT_MAX and size + len(came.payload) <= PARKED_BYTES_PER_AGENT_MAX


def _keep(cursor: Cursor, agent: str, came: Came, why: str) -> None:
    cursor.execute(RAW, (came.sha256, came.topic, agent, why, came.received_us, came.payload))


def _count(cursor: Cursor) -> None:
    cursor.execute(
        "INSERT INTO meta (name, value) VALUES (?, '1')"
        " ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        (BEYOND_QUOTA,),
    )
