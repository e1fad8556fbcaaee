"""Voids readings: finds them in the journal, takes each subject's out in one transaction, and leaves an audit row. Deletes none.

The journal's bytes, keys, ledger and receipts stay as they are: a voided reading that comes again is a repeat of a stored one.
It may be killed anywhere and run again: what is voided already is not found any more, and an unfinished run is gone on with.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from cloud_ingest.live import News
from cloud_ingest.rules.judge import when
from cloud_ingest.stores.records.alerts import Desk
from cloud_ingest.stores.records.criteria import (
    REASON_CHARS_MAX,
    WHO_CHARS_MAX,
    Criteria,
    Stated,
    VoidReport,
    stated,
)
from cloud_ingest.stores.records.journal import JournalRow, check
from cloud_ingest.stores.records.open import reading, writing
from cloud_ingest.stores.records.schema import journal, voidings
from cloud_ingest.stores.records.sittings import Place
from cloud_ingest.stores.records.subjects import is_patient
from cloud_ingest.stores.records.voiding_subject import Taken, take_out

CHUNK = 200  # envelopes read at a time
LOOKS_MAX = 20  # at what came or was given to somebody else meanwhile
OTHERS_MAX = 200  # different statements of devices that are remembered


@dataclass(slots=True)
class _Found:
    """What was found in the journal up to row `last`. `rows`: in which rows a subject has readings."""

    last: int = 0
    places: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    rows: "dict[str, array[int]]" = field(default_factory=lambda: defaultdict(lambda: array("q")))
    others: Counter[Stated] = field(default_factory=Counter[Stated])
    damaged: int = 0


class _UndoneError(Exception):
    """A trial went well and is undone."""


def void(
    engine: Engine, desk: Desk, criteria: Criteria, who: str, reason: str
) -> tuple[VoidReport, tuple[News, ...]]:
    """Take the readings out, subject by subject in sorted order. Raises ValueError for what can't be meant, or StoreError."""
    criteria.check()
    _check_words(who, reason)
    voiding = _begin(engine, desk, criteria, who, reason)
    done, found = list[Taken](), _Found()
    for _ in range(LOOKS_MAX):
        _look(engine, criteria, found)
        if not any(found.places.values()):
            break
        for subject in sorted(found.places):
            places = found.places.pop(subject)
            with writing(engine) as connection:
                taken = take_out(
                    connection,
                    desk,
                    (voiding, who, reason),
                    subject,
                    places,
                    rows=found.rows[subject],
                )
                _count(connection, voiding, taken)
            done.append(taken)
            for moved, place in taken.moved:
                found.places[moved].append(place)
    with writing(engine) as connection:
        over = update(voidings).where(voidings.c.id == voiding)
        connection.execute(over.values(finished_us=desk.now_us))
    report = _report(voiding, done, found)
    return report, _news(done)


def would_void(engine: Engine, desk: Desk, criteria: Criteria, who: str, reason: str) -> VoidReport:
    """What `void` would do: done in the same way, and undone. Raises the same."""
    criteria.check()
    _check_words(who, reason)
    found, done = _Found(), list[Taken]()
    _look(engine, criteria, found)
    for subject in sorted(found.places):
        try:
            with writing(engine) as connection:
                row = _row(desk, criteria, who, reason)
                voiding = connection.execute(insert(voidings).returning(voidings.c.id), row)
                about = (voiding.scalar_one(), who, reason)
                places, rows = found.places[subject], found.rows[subject]
                done.append(take_out(connection, desk, about, subject, places, rows=rows))
                raise _UndoneError  # noqa: TRY301 the transaction is to be undone
        except _UndoneError:
            pass
    return _report(0, done, found)


def _check_words(who: str, reason: str) -> None:
    for what, text, most in (("reason", reason, REASON_CHARS_MAX), ("name", who, WHO_CHARS_MAX)):
        if not 0 < len(text.strip()) <= most or not text.isprintable():
            raise ValueError(f"a {what} has 1 to {most} printable characters, not {len(text)}")


def _row(desk: Desk, criteria: Criteria, who: str, reason: str) -> dict[str, object]:
    return {
        "begun_us": desk.now_us,
        "who": who,
        "reason": reason,
        "criteria": msgspec.json.encode(criteria).decode(),
        "readings": 0,
        "alerts": 0,
    }


def _begin(engine: Engine, desk: Desk, criteria: Criteria, who: str, reason: str) -> int:
    """The audit row, before anything is done: a new one, or that of the same run that was interrupted."""
    row = _row(desk, criteria, who, reason)
    same = [voidings.c[name] == row[name] for name in ("who", "reason", "criteria")]
    with writing(engine) as connection:
        unfinished = select(voidings.c.id).where(*same, voidings.c.finished_us.is_(None))
        found = connection.execute(unfinished.order_by(voidings.c.id)).scalars().first()
        if found is not None:
            return found
        return connection.execute(insert(voidings).returning(voidings.c.id), row).scalar_one()


def _count(connection: Connection, voiding: int, taken: Taken) -> None:
    more = {
        "readings": voidings.c.readings + taken.readings,
        "alerts": voidings.c.alerts + len(taken.ended),
    }
    connection.execute(update(voidings).where(voidings.c.id == voiding).values(more))


def _look(engine: Engine, criteria: Criteria, found: _Found) -> None:
    """Read on in the journal."""
    for row in _rows(engine, found.last):
        found.last = row.id
        found.damaged += not row.intact
        for position, (seen, fate) in enumerate(zip(row.observations, row.fates, strict=False)):
            if seen is None or not fate.counts:
                continue
            held = found.rows[fate.subject]
            if not held or held[-1] != row.id:
                held.append(row.id)
            if not criteria.within(when(seen)):
                continue
            if criteria.of(seen):
                found.places[fate.subject].append((row.id, position))
            elif stated(seen) in found.others or len(found.others) < OTHERS_MAX:
                found.others[stated(seen)] += 1


def _rows(engine: Engine, after: int) -> Iterator[JournalRow]:
    while True:
        query = select(journal).where(journal.c.id > after).order_by(journal.c.id).limit(CHUNK)
        with reading(engine) as connection:
            rows = [check(row) for row in connection.execute(query)]
        yield from rows
        if not rows:
            return
        after = rows[-1].id


def _report(voiding: int, done: Sequence[Taken], found: _Found) -> VoidReport:
    touched = {taken.subject for taken in done if taken.readings}
    others: Mapping[Stated, int] = dict(found.others.most_common())
    return VoidReport(
        voiding,
        sum(taken.readings for taken in done),
        tuple(sorted(filter(is_patient, touched))),
        sum(not is_patient(subject) for subject in touched),
        tuple(alert for taken in done for alert in taken.ended),
        tuple(dict.fromkeys(alert for taken in done for alert in taken.changed)),
        others,
        found.damaged,
    )


def _news(done: Sequence[Taken]) -> tuple[News, ...]:
    keys = tuple(key for taken in done for key in taken.keys)
    alerts = tuple(alert for taken in done for alert in (*taken.ended, *taken.changed))
    news = (News("reading", keys),) if keys else ()
    return (*news, News("alert", alerts)) if alerts else news
