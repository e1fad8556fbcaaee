"""Takes one subject's readings out, in a transaction that somebody else began: fates, points, flags, state, alerts. Deletes none."""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cloud_ingest.rules.again import History, Sitting, Told, again
from cloud_ingest.rules.judge import Finding
from cloud_ingest.stores.fate import Fate, encode_fates
from cloud_ingest.stores.records.alerts import LATE, LIVE, Desk
from cloud_ingest.stores.records.assign import repoint
from cloud_ingest.stores.records.journal import IDS_MAX, JournalRow, check
from cloud_ingest.stores.records.mending import judge_aside, remade
from cloud_ingest.stores.records.schema import (
    flags,
    inbox,
    journal,
    repoints,
    unprojected,
    voided,
)
from cloud_ingest.stores.records.sittings import Place, held_rows, sittings
from cloud_ingest.stores.records.subjects import is_patient, load_states, save_states
from cloud_ingest.stores.records.txn import cursor_of
from cloud_ingest.stores.records.unraise import Case, forget_due, settle


@dataclass(frozen=True, slots=True)
class Taken:
    """What was done to one subject. `moved`: readings that are somebody else's by now, and whose."""

    subject: str
    readings: int
    keys: tuple[str, ...]
    ended: tuple[str, ...]
    changed: tuple[str, ...]
    moved: tuple[tuple[str, Place], ...]


def take_out(
    connection: Connection,
    desk: Desk,
    about: tuple[int, str, str],
    subject: str,
    places: Sequence[Place],
    *,
    rows: "array[int]",
) -> Taken:
    """Void these readings, as far as they are still the subject's. `about`: the voiding's id, who, and why.

    `rows`: the journal rows in which the subject had readings when they were looked for; later ones are looked at here.
    """
    judge_aside(connection, desk, subject, remade(connection, desk.thresholds, subject, rows))
    held = held_rows(connection, subject, rows)
    every = sittings(connection, subject, held)
    mine = [one for one in every if _fate(held, one).placed]
    by_place = {(one.journal, one.position): one for one in mine}
    out = [place for place in sorted(set(places)) if place in by_place]
    moved = _moved(connection, [place for place in places if place not in by_place], held)
    if not out:
        return Taken(subject, 0, (), (), (), moved)
    gone = set(out)
    before = again(desk.thresholds, mine)
    after = again(desk.thresholds, [o for o in mine if (o.journal, o.position) not in gone])
    taken = [by_place[place] for place in out]
    _write_fates(connection, held, taken, before, after, voiding=about[0])
    _write_voided(connection, subject, taken, voiding=about[0])
    names = {one.seen.key for one in taken} - {one.key for one in after.told}
    _write_flags(connection, subject, taken, before, after)
    _write_state(connection, subject, after)
    forget_due(connection, subject, sorted(names | (_waiting(before) - _waiting(after))))
    _forget_waiting(connection, sorted(names))
    told = tuple(one.seen.key for one in taken)
    if not is_patient(subject):
        return Taken(subject, len(taken), told, (), (), moved)
    ever = before if len(every) == len(mine) else again(desk.thresholds, every)
    voided_now = frozenset(names)
    case = Case(connection, desk, subject, voided_now, ever, before, after, about[1], about[2])
    settle(case)
    return Taken(subject, len(taken), told, tuple(case.ended), tuple(case.changed), moved)


def _forget_waiting(connection: Connection, names: Sequence[str]) -> None:
    for start in range(0, len(names), IDS_MAX):
        mine = inbox.c.key.in_(names[start : start + IDS_MAX])
        connection.execute(delete(inbox).where(mine & inbox.c.patient.is_(None)))


def _moved(
    connection: Connection, places: Sequence[Place], held: Mapping[int, JournalRow]
) -> tuple[tuple[str, Place], ...]:
    found: list[tuple[str, Place]] = []
    for row, position in places:
        read = held.get(row)
        if read is None:
            one = connection.execute(select(journal).where(journal.c.id == row)).first()
            read = check(one) if one is not None else None
        fate = read.fate(position) if read is not None else None
        if fate is not None and fate.counts:
            found.append((fate.subject, (row, position)))
    return tuple(found)


def _write_fates(
    connection: Connection,
    held: Mapping[int, JournalRow],
    taken: Sequence[Sitting],
    before: History,
    after: History,
    *,
    voiding: int,
) -> None:
    """Mark what is voided, and unmark what was held for a repeat of it. The points of the first are to be erased."""
    changes: dict[int, dict[int, Fate]] = defaultdict(dict)
    for one in taken:
        was = _fate(held, one)
        changes[one.journal][one.position] = msgspec.structs.replace(was, voided=voiding)
        connection.execute(insert(repoints), repoint(one.journal, one.position, one.seen, was))
        place = (unprojected.c.journal == one.journal) & (unprojected.c.position == one.position)
        connection.execute(delete(unprojected).where(place))
    suspects = {_place(one): one.suspect_of for one in before.told}
    for one in after.told:
        if one.suspect_of != suspects[_place(one)]:
            was = _fate(held, one.sitting)
            fate = msgspec.structs.replace(was, suspect_of=one.suspect_of)
            changes[one.sitting.journal][one.sitting.position] = fate
    for row, by_position in changes.items():
        fates = [by_position.get(at, fate) for at, fate in enumerate(held[row].fates)]
        new = {"fate": encode_fates(fates)}
        connection.execute(update(journal).where(journal.c.id == row).values(new))


def _write_voided(
    connection: Connection, subject: str, taken: Sequence[Sitting], *, voiding: int
) -> None:
    rows = [
        {
            "journal": one.journal,
            "position": one.position,
            "key": one.seen.key,
            "subject": subject,
            "measured_us": one.moment.at_us,
            "voiding": voiding,
        }
        for one in taken
    ]
    connection.execute(insert(voided), rows)


def _write_flags(
    connection: Connection,
    subject: str,
    taken: Sequence[Sitting],
    before: History,
    after: History,
) -> None:
    """Only what differs: a flag that an earlier table of rules made stays as it is."""
    touched = {one.seen.key for one in taken}
    stays = {
        (one.key, finding.rule.id, finding.shown): (one, finding)
        for one, finding in _findings(after)
    }
    for one, finding in _findings(before):
        place = (one.key, finding.rule.id)
        mine = (flags.c.key == one.key) & (flags.c.rule == finding.rule.id)
        mine &= (flags.c.subject == subject) & (flags.c.shown == finding.shown)
        value = (*place, finding.shown)
        if value not in stays:
            connection.execute(delete(flags).where(mine))
        elif one.key in touched or before.confirmed[place] != after.confirmed[place]:
            new = _flag(*stays[value], confirmed=after.confirmed[place])
            connection.execute(update(flags).where(mine).values(new))


def _waiting(history: History) -> frozenset[str]:
    """The readings that wait for a second one, or did."""
    waits = (one.key for one, finding in _findings(history) if finding.wait_until_us is not None)
    return frozenset(waits)


def _findings(history: History) -> Iterator[tuple[Told, Finding]]:
    for one in history.told:
        for finding in one.findings:
            yield one, finding


def _flag(one: Told, finding: Finding, *, confirmed: bool) -> dict[str, object]:
    return {
        "measured_us": one.sitting.moment.at_us,
        "shown": finding.shown,
        "how": LIVE if finding.live else LATE,
        "confirmed": confirmed,
    }


def _write_state(connection: Connection, subject: str, after: History) -> None:
    """What is remembered, as though the voided had never come; slots that were used stay used."""
    cursor = cursor_of(connection)
    now = load_states(cursor, (subject,))[subject]
    kept = {"recent": after.state.recent, "crossings": after.state.crossings}
    save_states(cursor, {subject: msgspec.structs.replace(now, **kept)})


def _fate(held: Mapping[int, JournalRow], one: Sitting) -> Fate:
    return held[one.journal].fates[one.position]


def _place(one: Told) -> Place:
    return one.sitting.journal, one.sitting.position
