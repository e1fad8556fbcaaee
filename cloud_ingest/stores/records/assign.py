"""The attribution inbox: readings that belong to nobody yet, and giving one to a patient, with that patient's rules. One transaction each."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from cloud_ingest.live import News
from cloud_ingest.rules.judge import Assessment, forget, judge, when
from cloud_ingest.rules.limits import shown
from cloud_ingest.rules.state import StateError
from cloud_ingest.stores.fate import Fate, encode_fates
from cloud_ingest.stores.records.alerts import Desk, write_findings
from cloud_ingest.stores.records.filed import Filed, Journal
from cloud_ingest.stores.records.patients import known_patient
from cloud_ingest.stores.records.schema import conflicts, flags, inbox, journal, keys, repoints
from cloud_ingest.stores.records.subjects import (
    DEVICE_SUBJECT,
    is_patient,
    load_states,
    save_states,
)
from cloud_ingest.stores.records.txn import cursor_of
from cloud_ingest.stores.records.types import Unassigned
from gateway.model.observation import Observation


def unassigned(connection: Connection, limit: int) -> list[Unassigned]:
    """Readings that wait, newest arrival first."""
    mine = (
        select(inbox, keys.c.journal, keys.c.position)
        .join(keys, keys.c.key == inbox.c.key)
        .where(inbox.c.patient.is_(None))
        .order_by(inbox.c.arrived_us.desc(), inbox.c.key)
        .limit(limit)
    )
    rows = connection.execute(mine).mappings().all()
    book, cursor = Journal(), cursor_of(connection)
    found: list[Unassigned] = []
    for row in rows:
        seen = book.read(cursor, row["journal"]).observation(row["position"])
        found.append(
            Unassigned(
                row["key"],
                row["device"],
                seen.kind if seen else "",
                shown(seen) if seen else "the journal's row is damaged",
                when(seen).at_us if seen else row["arrived_us"],
                seen.time.known if seen else False,
                row["arrived_us"],
                row["why"],
            )
        )
    return found


def assign(
    connection: Connection, desk: Desk, key: str, patient: str, who: str
) -> tuple[News, ...]:
    """Give a waiting reading to a patient; its time stays. Raises ValueError where it does not wait, or nobody is so called."""
    known_patient(connection, patient)
    waiting = connection.execute(select(inbox).where(inbox.c.key == key)).mappings().one_or_none()
    if waiting is None:
        raise ValueError(f"no reading {key!r} waits in the inbox")
    if waiting["patient"] is not None:
        raise ValueError(f"reading {key!r} was given to {waiting['patient']} already")
    taken = {"patient": patient, "assigned_us": desk.now_us, "assigned_by": who}
    connection.execute(update(inbox).where(inbox.c.key == key).values(taken))
    # The rules run anew for this person: what they said of the device alone goes.
    nobody = f"{DEVICE_SUBJECT}{waiting['device']}"
    connection.execute(delete(flags).where(flags.c.key == key, flags.c.subject == nobody))
    changed: list[str] = []
    for row, position in places_of(connection, key):
        changed += _move(connection, desk, row, position, patient=patient)
    news = (News("reading", (key,)),)
    return (*news, News("alert", tuple(changed))) if changed else news


def places_of(connection: Connection, key: str) -> list[tuple[int, int]]:
    """Where the journal has readings of this key: the first, and those in conflict with it."""
    first = select(keys.c.journal, keys.c.position).where(keys.c.key == key)
    others = select(conflicts.c.journal, conflicts.c.position).where(conflicts.c.key == key)
    return [(row[0], row[1]) for row in connection.execute(first.union_all(others))]


def _move(
    connection: Connection, desk: Desk, row: int, position: int, *, patient: str
) -> list[str]:
    cursor = cursor_of(connection)
    filed = Journal().read(cursor, row)
    seen, fate = filed.observation(position), filed.fate(position)
    if seen is None or fate is None or not fate.counts or is_patient(fate.subject):
        return []  # also one that a binding gave to somebody else: it never waited
    if fate.aside:
        raise StateError("this reading is not judged yet", fate.subject)
    states = load_states(cursor, (fate.subject, patient))
    told = judge(
        desk.thresholds,
        seen,
        when(seen),
        states[patient],
        desk.now_us,
        told_us=filed.received_us,
    )
    before = forget(states[fate.subject], seen.key)
    save_states(cursor, {fate.subject: before, patient: told.state})
    _rewrite(connection, filed, row, position, _fate(fate, patient, told))
    _repoint(connection, row, position, seen, fate)
    return write_findings(
        connection, desk, seen.key, patient, at_us=told.at_us, findings=told.findings
    )


def _fate(before: Fate, patient: str, told: Assessment) -> Fate:
    # A repeat of what this person has. What it was suspected of before may be nobody's: then two would suspect each other.
    return msgspec.structs.replace(
        before, subject=patient, time_us=told.time_us, suspect_of=told.suspect_of
    )


def _rewrite(connection: Connection, filed: Filed, row: int, position: int, fate: Fate) -> None:
    fates = [*filed.fates]
    fates[position] = fate
    connection.execute(update(journal).where(journal.c.id == row).values(fate=encode_fates(fates)))


def _repoint(
    connection: Connection, row: int, position: int, seen: Observation, before: Fate
) -> None:
    connection.execute(insert(repoints), repoint(row, position, seen, before))


def repoint(row: int, position: int, seen: Observation, before: Fate) -> dict[str, object]:
    """What the projection is to do: erase the point that stood by `before`, and write what the journal says by then."""
    return {
        "journal": row,
        "position": position,
        "kind": seen.kind,
        "old_subject": before.subject,
        "old_device": seen.device,
        "old_time_us": before.time_us,
    }
