"""Makes anew, from the journal, what the rules remember of a subject whose row can't be read; then judges what was set aside for it.

The journal is looked through outside any lock, and so is the subject's past judged again: while its row can't be read, nothing is
judged for it, given to it or taken from it, so that past stands still. Under the lock remains what came meanwhile.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from cloud_ingest.live import News
from cloud_ingest.rules.again import again
from cloud_ingest.rules.judge import SECOND_US, judge, when
from cloud_ingest.rules.state import StateError, SubjectState, decode_state, encode_state
from cloud_ingest.rules.thresholds import Thresholds
from cloud_ingest.stores.fate import STORED, decode_fates, encode_fates
from cloud_ingest.stores.records.alerts import Desk, write_findings
from cloud_ingest.stores.records.assign import places_of, repoint
from cloud_ingest.stores.records.journal import JournalRow, check
from cloud_ingest.stores.records.open import reading, writing
from cloud_ingest.stores.records.schema import due, journal, repoints, rule_state
from cloud_ingest.stores.records.setaside import UNJUDGED
from cloud_ingest.stores.records.sittings import held_rows, sittings
from cloud_ingest.stores.records.subjects import load_states, save_states
from cloud_ingest.stores.records.txn import cursor_of
from gateway.runtime.errors import StoreError

CHUNK = 1_000  # journal rows whose fates are looked at together
SUBJECTS_MAX = 200  # mended in one call
READINGS_MAX = 200  # judged in one transaction; the rest in the next
AGAIN_S = 600  # until what could not be mended is tried again


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done for a subject: how many readings were judged, how many could not be, and why."""

    subject: str
    judged: int = 0
    left: int = 0
    why: str = ""
    news: tuple[News, ...] = ()

    def facts(self) -> dict[str, object]:
        """For the log. The subject is an id of ours; nothing that was measured is told."""
        return {
            "subject": self.subject,
            "judged": self.judged,
            "not_judged": self.left,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Remade:
    """A state made anew, in place of the row that read `damaged`."""

    state: SubjectState
    damaged: bytes
    why: str


def unjudged(connection: Connection) -> int:
    """How many readings are stored, and not judged."""
    mine = (due.c.what == UNJUDGED) & (due.c.about != "")
    return connection.scalar(select(func.count()).select_from(due).where(mine)) or 0


def mend_waiting(engine: Engine, desk: Desk) -> list[Mended]:
    """Mend every subject for which something was set aside by now. Raises StoreError where the store is away."""
    mine = (due.c.what == UNJUDGED) & (due.c.at_us <= desk.now_us)
    query = select(due.c.subject).where(mine).distinct().order_by(due.c.subject)
    with reading(engine) as connection:
        subjects = connection.execute(query.limit(SUBJECTS_MAX)).scalars().all()
    if not subjects:
        return []
    rows = _rows_of(engine, subjects)
    return [_mend_or_wait(engine, desk, subject, rows[subject]) for subject in subjects]


def mend(engine: Engine, desk: Desk, subject: str) -> Mended:
    """Mend one subject, as somebody waits for it. Raises what the rules raise, or StoreError."""
    return _mend(engine, desk, subject, _rows_of(engine, [subject])[subject])


def _mend_or_wait(engine: Engine, desk: Desk, subject: str, rows: "array[int]") -> Mended:
    try:
        return _mend(engine, desk, subject, rows)
    except (StoreError, MemoryError):
        raise
    except Exception as fault:  # noqa: BLE001 whatever the rules raise on one subject's past must not stop the others
        with writing(engine) as connection:
            left = _put_off(connection, desk, subject)
        return Mended(subject, left=left, why=f"{type(fault).__name__}: {fault}")


def _mend(engine: Engine, desk: Desk, subject: str, rows: "array[int]") -> Mended:
    with reading(engine) as connection:
        made = remade(connection, desk.thresholds, subject, rows)
    with writing(engine) as connection:
        return judge_aside(connection, desk, subject, made)


def _rows_of(engine: Engine, subjects: Sequence[str]) -> Mapping[str, "array[int]"]:
    """In which rows of the journal each has readings. Fates alone are decoded: a hundred times what payloads would allow."""
    found = {subject: array("q") for subject in subjects}
    after = 0
    while True:
        query = select(journal.c.id, journal.c.fate).where(journal.c.id > after)
        with reading(engine) as connection:
            rows = connection.execute(query.order_by(journal.c.id).limit(CHUNK)).all()
        if not rows:
            return found
        for row in rows:
            for subject in _subjects(row.fate) & found.keys():
                found[subject].append(row.id)
        after = rows[-1].id


def _subjects(fates: bytes) -> set[str]:
    try:
        return {fate.subject for fate in decode_fates(fates)}
    except msgspec.MsgspecError:
        return set()


def remade(
    connection: Connection, thresholds: Thresholds, subject: str, rows: "array[int]"
) -> Remade | None:
    """What a subject's row should say, where it can't be read; None where it can. `rows`: as for `take_out`."""
    query = select(rule_state.c.state).where(rule_state.c.subject == subject)
    data = connection.execute(query).scalar()
    try:
        decode_state(data)
    except StateError as fault:
        assert data is not None
        held = held_rows(connection, subject, rows)
        seats = sittings(connection, subject, held)
        mine = [one for one in seats if held[one.journal].fates[one.position].placed]
        state = again(thresholds, mine).state
        second, slots = _used(connection, subject, held)
        state = msgspec.structs.replace(state, second=second, slots=slots)
        return Remade(state, data, fault.why)
    return None


def _used(
    connection: Connection, subject: str, held: Mapping[int, JournalRow]
) -> tuple[int | None, int]:
    """The newest second with a point, and the last slot: of all that was ever placed, also where that point is yet to be erased."""
    leaving = select(repoints.c.old_time_us).where(repoints.c.old_subject == subject)
    times: list[int] = [*connection.execute(leaving).scalars()]
    times += [
        fate.time_us
        for row in held.values()
        for fate in row.fates
        if fate.subject == subject and fate.outcome == STORED and not fate.aside
    ]
    if not times:
        return None, 0
    return max(time // SECOND_US for time in times), max(time % SECOND_US for time in times)


def judge_aside(connection: Connection, desk: Desk, subject: str, made: Remade | None) -> Mended:
    """Put the state in its place, and judge what was set aside, as of now, in the order in which it came."""
    if made is not None:
        mine = (rule_state.c.subject == subject) & (rule_state.c.state == made.damaged)
        connection.execute(update(rule_state).where(mine).values(state=encode_state(made.state)))
    waits = (due.c.subject == subject) & (due.c.what == UNJUDGED)
    # What was put off goes last: else that alone would be tried, over and over, where there are many.
    query = select(due.c.id, due.c.about).where(waits).order_by(due.c.at_us > desk.now_us, due.c.id)
    rows = connection.execute(query.limit(READINGS_MAX)).all()
    if not rows:
        return Mended(subject, why=made.why if made else "")
    turn = _Turn(load_states(cursor_of(connection), (subject,))[subject])
    for row in rows:
        try:
            _judge_key(connection, desk, subject, row.about, turn)
        except (StoreError, MemoryError):
            raise
        except Exception as fault:  # noqa: BLE001 as in `assess`: what the rules raise is that reading's fault
            turn.left, turn.why = turn.left + 1, f"{type(fault).__name__}: {fault}"
            connection.execute(update(due).where(due.c.id == row.id).values(_later(desk)))
        else:
            connection.execute(delete(due).where(due.c.id == row.id))
    save_states(cursor_of(connection), {subject: turn.state})
    news = (News("reading", tuple(turn.keys)),) if turn.keys else ()
    news += (News("alert", tuple(turn.alerts)),) if turn.alerts else ()
    return Mended(subject, len(turn.keys), turn.left, turn.why or (made.why if made else ""), news)


@dataclass(slots=True)
class _Turn:
    """One subject's set-aside readings, one after another."""

    state: SubjectState
    keys: list[str] = field(default_factory=list[str])
    alerts: list[str] = field(default_factory=list[str])
    left: int = 0
    why: str = ""


def _judge_key(connection: Connection, desk: Desk, subject: str, key: str, turn: _Turn) -> None:
    for identity, position in places_of(connection, key):
        row = check(connection.execute(select(journal).where(journal.c.id == identity)).one())
        seen, fate = row.observation(position), row.fate(position)
        if fate is not None and not (fate.counts and fate.aside and fate.subject == subject):
            continue
        if seen is None or fate is None:
            raise ValueError(f"the journal's row {identity} is damaged")
        told = judge(
            desk.thresholds, seen, when(seen), turn.state, desk.now_us, told_us=row.received_us
        )
        fates = [*row.fates]
        fates[position] = fate = msgspec.structs.replace(
            fate, time_us=told.time_us, suspect_of=told.suspect_of, aside=False
        )
        new = {"fate": encode_fates(fates)}
        connection.execute(update(journal).where(journal.c.id == identity).values(new))
        connection.execute(insert(repoints), repoint(identity, position, seen, fate))
        turn.state = told.state
        turn.keys.append(key)
        turn.alerts += write_findings(
            connection, desk, key, subject, at_us=told.at_us, findings=told.findings
        )


def _put_off(connection: Connection, desk: Desk, subject: str) -> int:
    mine = (due.c.subject == subject) & (due.c.what == UNJUDGED)
    return connection.execute(update(due).where(mine).values(_later(desk))).rowcount


def _later(desk: Desk) -> dict[str, int]:
    return {"at_us": desk.now_us + AGAIN_S * SECOND_US}
