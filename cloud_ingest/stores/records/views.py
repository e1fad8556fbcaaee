"""What the console shows of the records: queries into frozen rows. Reads only; wording and units are the console's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select

from cloud_ingest.rules.judge import SECOND_US
from cloud_ingest.rules.state import StateError, decode_state
from cloud_ingest.rules.thresholds import Thresholds
from cloud_ingest.stores.records.criteria import Voided, Voiding
from cloud_ingest.stores.records.journal import JournalRow, read_rows
from cloud_ingest.stores.records.mending import unjudged
from cloud_ingest.stores.records.open import reading
from cloud_ingest.stores.records.schema import (
    alert_events,
    alerts,
    bindings,
    boxes,
    conflicts,
    flags,
    inbox,
    journal,
    keys,
    parked,
    patients,
    projection,
    rule_state,
    voided,
    voidings,
)
from gateway.model.alert import AlertState, Severity
from gateway.wire.status import Status, decode_status

PATIENTS_MAX = 60
INBOX_MAX = 50
KEYS_MAX = 2_000  # in one question for places
JOURNAL_CACHE = 512  # envelopes kept decoded: what was received never changes (fates do, and are not shown from here)


class ConsoleRecords(Protocol):
    """What the console needs of the records."""

    @property
    def engine(self) -> Engine:
        """For its queries."""
        ...

    @property
    def thresholds(self) -> Thresholds:
        """What its rules are."""
        ...

    def acknowledge(self, alert: str, who: str) -> bool:
        """`who` has it now. False where there is nothing to acknowledge."""
        ...

    def resolve(self, alert: str, who: str) -> bool:
        """`who` has dealt with it. False where there is nothing to end."""
        ...


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert and the person it is about."""

    id: str
    patient: str
    condition: str
    severity: str
    state: str
    how: str
    key: str
    shown: str
    why: str
    source: str
    measured_us: int
    opened_us: int
    answer_by_us: int
    last_key: str
    readings: int
    acknowledged_us: int | None
    acknowledged_by: str | None
    resolved_us: int | None


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something that happened to an alert, and by whom."""

    at_us: int
    what: str
    who: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class PatientRow:
    """A person in care."""

    id: str
    name: str
    born: str | None
    condition: str


@dataclass(frozen=True, slots=True)
class FlagRow:
    """A reading that crosses a rule's limit."""

    key: str
    rule: str
    severity: str
    measured_us: int
    shown: str
    limit: str
    how: str
    confirmed: bool


@dataclass(frozen=True, slots=True)
class BoxRow:
    """An edge box. `status` is None where it never told of itself, or what it told can't be read."""

    agent: str
    heard_us: int | None
    status: Status | None
    status_us: int | None


@dataclass(frozen=True, slots=True)
class InboxRow:
    """A reading that belongs to nobody yet."""

    key: str
    device: str
    arrived_us: int
    why: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A reading's place in the journal."""

    row: JournalRow
    position: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts for the first two lines. `dated_today`: readings whose device dates them to the day that was asked for."""

    readings: bool
    patients: int
    inbox: int
    parked: int
    unjudged: int
    dated_today: int
    newest_us: int | None


class RecordsViews:
    """Queries over one engine. Safe to use from several threads."""

    def __init__(self, engine: Engine, thresholds: Thresholds) -> None:
        """Ask `engine`. Its alerts came of `thresholds`."""
        self.engine = engine
        self._thresholds = thresholds
        self._kept: dict[int, JournalRow] = {}
        self._lock = Lock()

    def unresolved(self) -> Sequence[AlertRow]:
        """Alerts that nobody has ended."""
        return self._alerts(select(alerts).where(alerts.c.state != AlertState.RESOLVED))

    def pages_for_us(self, alert: AlertRow) -> int:
        """How old a reading may be that pages for what this alert is about."""
        rule = self._thresholds.rule(alert.condition.removesuffix("?"))
        severity = rule.severity if rule else Severity(alert.severity)
        return round(self._thresholds.live_for_s[severity] * SECOND_US)

    def all_alerts(self) -> Sequence[AlertRow]:
        """Every alert there ever was, oldest first."""
        return self._alerts(select(alerts).order_by(alerts.c.opened_us, alerts.c.id))

    def alert(self, identity: str) -> AlertRow | None:
        """One alert."""
        found = self._alerts(select(alerts).where(alerts.c.id == identity))
        return found[0] if found else None

    def events(self, alert: str) -> Sequence[AlertEvent]:
        """What happened to an alert, oldest first."""
        told = alert_events.c
        query = select(told.at_us, told.what, told.who, told.why).where(told.alert == alert)
        with reading(self.engine) as connection:
            return tuple(AlertEvent(*row) for row in connection.execute(query.order_by(told.id)))

    def flags(self, subject: str, since_us: int) -> Sequence[FlagRow]:
        """Limits that a subject's readings crossed since then, oldest first."""
        return self._flags(and_(flags.c.subject == subject, flags.c.measured_us >= since_us))

    def flags_of(self, key: str) -> Sequence[FlagRow]:
        """Limits that one reading crosses."""
        return self._flags(flags.c.key == key)

    def patients(self) -> Sequence[PatientRow]:
        """Everyone in care, in the order in which they were added, at most PATIENTS_MAX."""
        query = select(patients).order_by(patients.c.created_us, patients.c.id).limit(PATIENTS_MAX)
        return self._patients(query)

    def all_patients(self) -> Sequence[PatientRow]:
        """Everyone in care."""
        return self._patients(select(patients).order_by(patients.c.id))

    def patients_by_id(self, wanted: Sequence[str]) -> Mapping[str, PatientRow]:
        """Those with these ids."""
        query = select(patients).where(patients.c.id.in_(sorted(set(wanted))))
        return {patient.id: patient for patient in self._patients(query)}

    def bound(self, now_us: int) -> Mapping[str, Sequence[str]]:
        """Device -> the patients whose readings it takes now (several where it has user slots)."""
        query = select(bindings.c.device, bindings.c.patient).where(
            or_(bindings.c.from_us.is_(None), bindings.c.from_us <= now_us),
            or_(bindings.c.to_us.is_(None), bindings.c.to_us > now_us),
        )
        found: dict[str, list[str]] = {}
        with reading(self.engine) as connection:
            for row in connection.execute(query.order_by(bindings.c.id)):
                found.setdefault(row.device, []).append(row.patient)
        return found

    def boxes(self) -> Sequence[BoxRow]:
        """Every box that was ever heard, by name."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(boxes).order_by(boxes.c.agent)).all()
        return tuple(
            BoxRow(row.agent, row.heard_us, _status(row.status), row.status_us) for row in rows
        )

    def inbox(self) -> Sequence[InboxRow]:
        """Readings that wait for a person to say whose they are, newest first, at most INBOX_MAX."""
        query = (
            select(inbox.c.key, inbox.c.device, inbox.c.arrived_us, inbox.c.why)
            .where(inbox.c.patient.is_(None))
            .order_by(inbox.c.arrived_us.desc())
            .limit(INBOX_MAX)
        )
        with reading(self.engine) as connection:
            return tuple(InboxRow(*row) for row in connection.execute(query))

    def totals(self, day: str) -> Totals:
        """Counts; `day` is YYYYMMDD, with which a key begins."""
        waiting = select(func.count()).select_from(inbox).where(inbox.c.patient.is_(None))
        # "~" sorts behind every character of a key.
        today = (
            select(func.count()).select_from(keys).where(keys.c.key.between(f"{day}-", f"{day}~"))
        )
        newest = select(journal.c.received_us).order_by(journal.c.id.desc()).limit(1)
        with reading(self.engine) as connection:
            received_us = connection.scalar(newest)
            return Totals(
                readings=received_us is not None,
                patients=connection.scalar(select(func.count()).select_from(patients)) or 0,
                inbox=connection.scalar(waiting) or 0,
                parked=connection.scalar(select(func.count()).select_from(parked)) or 0,
                unjudged=unjudged(connection),
                dated_today=connection.scalar(today) or 0,
                newest_us=received_us,
            )

    def behind_since_us(self) -> int | None:
        """When the oldest envelope that is not yet in the time series came; None where all are."""
        done = select(func.coalesce(func.min(projection.c.journal), 0)).scalar_subquery()
        query = (
            select(journal.c.received_us).where(journal.c.id > done).order_by(journal.c.id).limit(1)
        )
        with reading(self.engine) as connection:
            return connection.scalar(query)

    def places(self, wanted: Iterable[str]) -> Mapping[str, Placed]:
        """Readings' places in the journal, by key; those whose key or journal row is gone are absent."""
        query = select(keys).where(keys.c.key.in_(sorted(set(wanted))[:KEYS_MAX]))
        with reading(self.engine) as connection:
            found = connection.execute(query).all()
        rows = self._rows({row.journal for row in found})
        return {
            row.key: Placed(rows[row.journal], row.position) for row in found if row.journal in rows
        }

    def contradicting(self, wanted: Iterable[str]) -> Mapping[str, Sequence[Placed]]:
        """The further places of keys under which other content came, in the order in which it did."""
        asked = conflicts.c.key.in_(sorted(set(wanted))[:KEYS_MAX])
        query = select(conflicts).where(asked).order_by(conflicts.c.id)
        with reading(self.engine) as connection:
            told = connection.execute(query).all()
        rows = self._rows({row.journal for row in told}) if told else {}
        found: dict[str, list[Placed]] = {}
        for row in told:
            if row.journal in rows:
                found.setdefault(row.key, []).append(Placed(rows[row.journal], row.position))
        return found

    def kinds_judged(self, subject: str) -> Sequence[str]:
        """The kinds of the subject's last readings, as the rules remember them."""
        query = select(rule_state.c.state).where(rule_state.c.subject == subject)
        with reading(self.engine) as connection:
            held = connection.execute(query).scalar()
        try:
            state = decode_state(held)
        except StateError:  # the page says that it is to be mended, and shows everybody else
            return ()
        return sorted({entry.kind for entry in state.recent.readings()})

    def voided(self, wanted: Iterable[str]) -> Mapping[str, Voided]:
        """Of these readings, those that were voided, and why."""
        return {one.key: one for one in self._voided(voided.c.key.in_(sorted(set(wanted))))}

    def voided_of(self, subject: str, since_us: int, limit: int) -> Sequence[Voided]:
        """The newest readings of a subject that were voided."""
        mine = (voided.c.subject == subject) & (voided.c.measured_us >= since_us)
        return self._voided(mine, limit)

    def voidings(self) -> Sequence[Voiding]:
        """Every run that voided readings, newest first."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(voidings).order_by(voidings.c.id.desc())).mappings()
            return tuple(Voiding(**row) for row in rows)

    def _voided(self, which: ColumnElement[bool], limit: int = KEYS_MAX) -> Sequence[Voided]:
        columns = (voided.c.key, voided.c.journal, voided.c.position)
        query = (
            select(*columns, voidings.c.begun_us, voidings.c.who, voidings.c.reason)
            .join(voidings, voidings.c.id == voided.c.voiding)
            .where(which)
            .order_by(voided.c.measured_us.desc(), voided.c.key)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            return tuple(Voided(*row) for row in connection.execute(query))

    def _rows(self, wanted: set[int]) -> Mapping[int, JournalRow]:
        with self._lock:
            kept = {row: self._kept[row] for row in wanted if row in self._kept}
        read = read_rows(self.engine, wanted - kept.keys())
        with self._lock:
            self._kept.update(read)
            while len(self._kept) > JOURNAL_CACHE:
                self._kept.pop(next(iter(self._kept)))
        return {**kept, **read}

    def _alerts(self, query: Select[tuple[object, ...]]) -> Sequence[AlertRow]:
        with reading(self.engine) as connection:
            return tuple(AlertRow(**row) for row in connection.execute(query).mappings())

    def _flags(self, which: ColumnElement[bool]) -> Sequence[FlagRow]:
        columns = (
            flags.c.key,
            flags.c.rule,
            flags.c.severity,
            flags.c.measured_us,
            flags.c.shown,
            flags.c.limit,
            flags.c.how,
            flags.c.confirmed,
        )
        query = select(*columns).where(which).order_by(flags.c.measured_us, flags.c.id)
        with reading(self.engine) as connection:
            return tuple(FlagRow(*row) for row in connection.execute(query))

    def _patients(self, query: Select[tuple[object, ...]]) -> Sequence[PatientRow]:
        with reading(self.engine) as connection:
            return tuple(
                PatientRow(row.id, row.name, row.born, row.condition)
                for row in connection.execute(query)
            )


def _status(told: bytes | None) -> Status | None:
    try:
        return decode_status(told) if told else None
    except msgspec.MsgspecError:
        return None
