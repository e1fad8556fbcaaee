"""Flags, alerts and what is due, inside a transaction that somebody else began. Rows are few here: SQLAlchemy Core writes most of them.

One unresolved alert for each patient and condition; `gateway.model.alert.FOLLOWS` says which state may follow which.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from sqlalchemy import Connection, RowMapping, exists, insert, select, update

from cloud_ingest.rules.judge import SECOND_US, Cause, Finding, micros
from cloud_ingest.rules.thresholds import Rule, Thresholds
from cloud_ingest.rules.worktime import answer_by
from cloud_ingest.stores.records.schema import alert_events, alerts, due, flags
from cloud_ingest.stores.records.subjects import is_patient
from cloud_ingest.stores.records.txn import cursor_of
from gateway.model.alert import AlertState, Severity, may_follow
from gateway.runtime.clock import random_hex

ALERT_ID_BITS = 64
SYSTEM = "the system"  # who did it, where no person did
UNCONFIRMED, UNANSWERED = "unconfirmed", "unanswered"  # due.what
LIVE, LATE = "live", "late"  # flags.how, alerts.how
BELONGS = ("opened", "joined", "paged-late")  # events that name a reading of the alert
DOUBTED = "the device says that the measurement failed"  # in an alert's `why`
_ONE_LOWER = {
    Severity.HIGH: Severity.MEDIUM,
    Severity.MEDIUM: Severity.LOW,
    Severity.LOW: Severity.LOW,
    Severity.INFO: Severity.INFO,
}

# Each finding asks these two, so they are text: what Core makes of them is seldom in the processor's caches, and took 100 us each.
# The same key with other content (a conflict) may have flagged this rule already: what confirms one value confirms the measurement.
_FLAG = (
    'INSERT INTO flags (key, rule, severity, subject, measured_us, shown, "limit", how, confirmed)'
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 OR EXISTS"
    " (SELECT 1 FROM flags WHERE key = ?1 AND rule = ?2 AND subject = ?4 AND confirmed))"
    " ON CONFLICT (key, rule, subject, shown) DO UPDATE SET confirmed = confirmed OR excluded.confirmed"
)
# Whether somebody was called for this measurement already, by a value that contradicts the one that comes now.
_CALLED = (
    "SELECT 1 FROM flags WHERE key = ? AND rule = ? AND subject = ? AND confirmed AND how = 'live'"
)
# The state stands in it: were it bound, SQLite would plan anew each time whether the index of the unresolved ones will do.
_UNRESOLVED = "SELECT * FROM alerts WHERE patient = ? AND condition = ? AND state != 'resolved'"
_ALERT = insert(alerts)
_DUE = insert(due)
_EVENT = insert(alert_events)


@dataclass(frozen=True, slots=True)
class Desk:
    """What alerts are written with: the thresholds, the zone of working hours (None: this machine's), and now."""

    thresholds: Thresholds
    zone: tzinfo | None
    now: datetime

    @property
    def now_us(self) -> int:
        """Now, as columns hold it."""
        return micros(self.now)


@dataclass(frozen=True, slots=True)
class Order:
    """What an alert is to say. `key` is the reading that was just judged; `cause` the one that completes the condition."""

    patient: str
    condition: str
    severity: Severity
    live: bool
    key: str
    cause: Cause
    why: str
    source: str
    readings: int = 1  # that the condition took


def write_findings(
    connection: Connection,
    desk: Desk,
    key: str,
    subject: str,
    *,
    at_us: int,
    findings: Iterable[Finding],
) -> list[str]:
    """Flags of one reading, the alerts that it opens or joins, what it makes due. Ids of the alerts that changed.

    A value that contradicts one for which somebody was called stands on the worklist, and calls nobody a second time.
    """
    changed: list[str] = []
    for finding in findings:
        called = _called(connection, key, subject, finding)
        _write_flag(connection, key, subject, at_us, finding)
        if not is_patient(subject):
            continue  # an alert is a person's: it opens when somebody says whose reading this is
        if finding.wait_until_us is not None:
            _make_due(connection, subject, finding.wait_until_us, UNCONFIRMED, key)
        if finding.doubted and has_unresolved(connection, subject, finding.rule.id):
            continue  # somebody is asked to look already, for better reasons
        if finding.alert is not None and finding.doubted:
            order = order_in_doubt(desk, finding, subject, key, finding.alert)
            changed.append(raise_alert(connection, desk, order))
        elif finding.alert is not None:
            order = order_of(desk, finding, subject, key, finding.alert)
            order = replace(order, live=order.live and not called)
            changed.append(raise_alert(connection, desk, order))
            changed += _supersede(connection, desk, subject, finding.rule, key)
    return changed


def raise_alert(connection: Connection, desk: Desk, order: Order) -> str:
    """Open an alert, or let the reading join the one that stands. Its id."""
    held = unresolved(connection, order.patient, order.condition)
    if held is None:
        return _open(connection, desk, order)
    state = AlertState(held["state"])
    if order.live and (held["how"] == LATE or _is_long_seen(desk, order, held)):
        if may_follow(state, AlertState.OPEN):
            _reopen(connection, desk, order, held["id"])
            return held["id"]
        # Somebody has seen the stale finding, or those of another day; nobody has seen this one.
        end(connection, desk, held["id"], SYSTEM, order.key)
        return _open(connection, desk, order)
    values = {"last_key": order.key, "readings": held["readings"] + 1}
    connection.execute(update(alerts).where(alerts.c.id == held["id"]).values(values))
    tell(connection, desk, held["id"], "joined", key=order.key)
    return held["id"]


def _is_long_seen(desk: Desk, order: Order, held: RowMapping) -> bool:
    """Whether it was acknowledged for so long that whatever is live now was measured since.

    What nobody ended would else keep every later finding of its condition from everybody.
    """
    seen_us, live_s = held["acknowledged_us"], desk.thresholds.live_for_s[order.severity]
    return seen_us is not None and desk.now_us - seen_us > live_s * SECOND_US


def end(connection: Connection, desk: Desk, alert: str, who: str, key: str | None = None) -> None:
    """Resolve an alert that is not resolved."""
    _resolve(connection, desk, alert)
    tell(connection, desk, alert, "resolved", who=who, key=key)


def end_voided(connection: Connection, desk: Desk, alert: str, who: str, why: str) -> None:
    """Resolve an alert that is not resolved, since the readings that it stood on were voided by `who` for this reason."""
    _resolve(connection, desk, alert)
    tell(connection, desk, alert, "voided", who=who, why=why)


def _resolve(connection: Connection, desk: Desk, alert: str) -> None:
    values = {"state": AlertState.RESOLVED.value, "resolved_us": desk.now_us}
    connection.execute(update(alerts).where(alerts.c.id == alert).values(values))


def tell(
    connection: Connection,
    desk: Desk,
    alert: str,
    what: str,
    *,
    who: str = SYSTEM,
    key: str | None = None,
    why: str | None = None,
) -> None:
    """Add to an alert's story."""
    row = {"alert": alert, "at_us": desk.now_us, "what": what, "who": who, "key": key, "why": why}
    connection.execute(_EVENT, row)


def has_unresolved(connection: Connection, patient: str, condition: str) -> bool:
    """Whether an alert of this condition stands."""
    return unresolved(connection, patient, condition) is not None


def order_of(desk: Desk, finding: Finding, patient: str, key: str, cause: Cause) -> Order:
    """For a finding that is sure: by itself, or by a second reading."""
    rule = finding.rule
    minutes = rule.confirm.within_s / 60 if rule.confirm else 0
    twice = f", twice within {minutes:g} min" if rule.confirm else ""
    return Order(
        patient,
        rule.id,
        rule.severity,
        finding.alert_live,
        key,
        cause,
        f"{rule.limit}{twice}",
        sources(desk.thresholds, rule),
        1 + len(finding.partners),
    )


def order_in_doubt(desk: Desk, finding: Finding, patient: str, key: str, cause: Cause) -> Order:
    """For a finding that the device itself doubts."""
    rule = finding.rule
    severity = rule.confirm.unconfirmed if rule.confirm else _ONE_LOWER[rule.severity]
    return Order(
        patient,
        rule.unconfirmed_condition,
        severity,
        finding.alert_live,
        key,
        cause,
        f"{rule.limit}: {DOUBTED}, so one level lower",
        sources(desk.thresholds, rule),
    )


def order_unconfirmed(
    desk: Desk, rule: Rule, patient: str, key: str, at_us: int, *, shown: str, live: bool
) -> Order:
    """For a finding to which no second reading came."""
    confirm = rule.confirm
    assert confirm is not None
    why = (
        f"{rule.limit}: no second reading within {confirm.within_s / 60:g} min, so one level lower"
    )
    return Order(
        patient,
        rule.unconfirmed_condition,
        confirm.unconfirmed,
        live,
        key,
        Cause(key, at_us, shown),
        why,
        sources(desk.thresholds, rule),
    )


def sources(thresholds: Thresholds, rule: Rule) -> str:
    """On whose word: `ADA (ADA Standards of Care section 6)`."""
    return "; ".join(f"{name} ({thresholds.titles[name]})" for name in rule.sources)


def _called(connection: Connection, key: str, subject: str, finding: Finding) -> bool:
    place = (key, finding.rule.id, subject)
    return cursor_of(connection).execute(_CALLED, place).fetchone() is not None


def _write_flag(
    connection: Connection, key: str, subject: str, at_us: int, finding: Finding
) -> None:
    rule, how = finding.rule, LIVE if finding.live else LATE
    place = (key, rule.id, rule.severity.value, subject, at_us)
    row = (*place, finding.shown, rule.limit, how, finding.confirmed)
    cursor_of(connection).execute(_FLAG, row)
    if finding.partners:
        both = flags.c.key.in_((key, *finding.partners)) & (flags.c.rule == rule.id)
        mine = both & (flags.c.subject == subject)
        connection.execute(update(flags).where(mine).values(confirmed=True))


def unresolved(connection: Connection, patient: str, condition: str) -> RowMapping | None:
    """The one alert of this condition that nobody has ended."""
    return connection.exec_driver_sql(_UNRESOLVED, (patient, condition)).mappings().one_or_none()


def _open(connection: Connection, desk: Desk, order: Order) -> str:
    alert = f"a{random_hex(ALERT_ID_BITS)}"
    row = {
        "id": alert,
        "patient": order.patient,
        "condition": order.condition,
        "source": order.source,
        "opened_us": desk.now_us,
        "last_key": order.key,
        "readings": order.readings,
        **_face(desk, order),
    }
    connection.execute(_ALERT, row)
    tell(connection, desk, alert, "opened", key=order.key)
    _await_answer(connection, desk, order, alert)
    return alert


def _reopen(connection: Connection, desk: Desk, order: Order, alert: str) -> None:
    values = {
        **_face(desk, order),
        "last_key": order.key,
        "readings": alerts.c.readings + 1,
        "acknowledged_us": None,
        "acknowledged_by": None,
    }
    connection.execute(update(alerts).where(alerts.c.id == alert).values(values))
    tell(connection, desk, alert, "paged-late", key=order.key)
    _await_answer(connection, desk, order, alert)


def _face(desk: Desk, order: Order) -> dict[str, str | int]:
    return {
        "severity": order.severity.value,
        "state": (AlertState.OPEN if order.live else AlertState.LATE).value,
        "how": LIVE if order.live else LATE,
        "key": order.cause.key,
        "shown": order.cause.shown,
        "why": order.why,
        "measured_us": order.cause.at_us,
        "answer_by_us": _answer_by_us(desk, order),
    }


def _answer_by_us(desk: Desk, order: Order) -> int:
    by = answer_by(desk.thresholds, order.severity, desk.now, desk.zone, live=order.live)
    return micros(by)


def _await_answer(connection: Connection, desk: Desk, order: Order, alert: str) -> None:
    _make_due(connection, order.patient, _answer_by_us(desk, order), UNANSWERED, alert)


def named_before(connection: Connection, patient: str, condition: str, key: str) -> bool:
    """Whether an alert of this condition has named this measurement, unless a voiding ended it."""
    mine = (alerts.c.patient == patient) & (alerts.c.condition == condition)
    end = alert_events.alias()
    ended = exists().where(end.c.alert == alerts.c.id, end.c.what == "voided")
    named = alert_events.c.what.in_(BELONGS) & (alert_events.c.key == key)
    found = select(alerts.c.id).join(alert_events, alert_events.c.alert == alerts.c.id)
    return connection.execute(found.where(mine & named & ~ended).limit(1)).first() is not None


def _make_due(connection: Connection, subject: str, at_us: int, what: str, about: str) -> None:
    row = {"subject": subject, "at_us": at_us, "what": what, "about": about}
    connection.execute(_DUE, row)


def _supersede(connection: Connection, desk: Desk, patient: str, rule: Rule, key: str) -> list[str]:
    """The second reading came after all: what was raised without it ends."""
    held = unresolved(connection, patient, rule.unconfirmed_condition)
    if held is None:
        return []
    end(connection, desk, held["id"], SYSTEM, key)
    return [held["id"]]
