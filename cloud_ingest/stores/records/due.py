"""What a clock or a person does to alerts: unconfirmed findings, missing answers, acknowledging, resolving. Each in its own transaction."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, bindparam, delete, select, update

from cloud_ingest.live import News
from cloud_ingest.rules.judge import SECOND_US, second_reading_came
from cloud_ingest.rules.state import StateError
from cloud_ingest.rules.thresholds import Rule
from cloud_ingest.stores.records.alerts import (
    LIVE,
    UNANSWERED,
    UNCONFIRMED,
    Desk,
    end,
    has_unresolved,
    named_before,
    order_unconfirmed,
    raise_alert,
    tell,
)
from cloud_ingest.stores.records.open import reading, writing
from cloud_ingest.stores.records.schema import alerts, due, flags
from cloud_ingest.stores.records.setaside import UNJUDGED, ask_to_mend
from cloud_ingest.stores.records.subjects import load_states
from cloud_ingest.stores.records.txn import cursor_of
from gateway.model.alert import AlertState, may_follow
from gateway.runtime.errors import StoreError

DUE_MAX = 200  # rows acted on in one call; the rest wait for the next
STUCK_MAX = 10 * DUE_MAX  # rows that can't be acted on, beyond which nobody looks in one call

# Looked for each second: made once.
_WAITING = (
    select(due.c.id)
    .where(
        due.c.at_us <= bindparam("now_us"),
        due.c.what != UNJUDGED,
        due.c.id.not_in(bindparam("stuck", expanding=True)),
    )
    .order_by(due.c.at_us)
    .limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Acted:
    """News of the alerts that changed; how many rows could not be acted on, and why the last of them."""

    news: tuple[News, ...] = ()
    left: int = 0
    why: str = ""


def act_on_due(engine: Engine, desk: Desk) -> Acted:
    """Look at what is due by now, each row again under the lock. What can't be acted on stays due, and holds up no other."""
    changed: list[str] = []
    stuck: dict[int, str] = {}
    while len(stuck) < STUCK_MAX:
        asked = {"now_us": desk.now_us, "most": DUE_MAX, "stuck": list(stuck)}
        with reading(engine) as connection:
            ids = connection.execute(_WAITING, asked).scalars().all()
        for row in ids:
            try:
                with writing(engine) as connection:
                    changed += _act(connection, desk, row)
            except StateError as fault:  # acted on once that is mended
                stuck[row] = str(fault)
                with writing(engine) as connection:
                    ask_to_mend(cursor_of(connection), fault.subject, desk.now_us)
            except (StoreError, MemoryError):
                raise
            except Exception as fault:  # noqa: BLE001 as in `assess`: what the rules raise is that row's fault
                stuck[row] = f"{type(fault).__name__}: {fault}"
        if len(ids) < DUE_MAX or not stuck.keys() >= set(ids):
            break
    news = (News("alert", tuple(changed)),) if changed else ()
    return Acted(news, len(stuck), next(reversed(stuck.values()), ""))


def acknowledge(engine: Engine, desk: Desk, alert: str, who: str) -> bool:
    """False where it is unknown, seen already, or resolved."""
    with writing(engine) as connection:
        if not _may(connection, alert, AlertState.ACKNOWLEDGED):
            return False
        values = {
            "state": AlertState.ACKNOWLEDGED.value,
            "acknowledged_us": desk.now_us,
            "acknowledged_by": who,
        }
        connection.execute(update(alerts).where(alerts.c.id == alert).values(values))
        tell(connection, desk, alert, "acknowledged", who=who)
        return True


def resolve(engine: Engine, desk: Desk, alert: str, who: str) -> bool:
    """False where it is unknown or resolved already."""
    with writing(engine) as connection:
        if not _may(connection, alert, AlertState.RESOLVED):
            return False
        end(connection, desk, alert, who)
        return True


def _may(connection: Connection, alert: str, after: AlertState) -> bool:
    state = connection.execute(select(alerts.c.state).where(alerts.c.id == alert)).scalar()
    return state is not None and may_follow(AlertState(state), after)


def _act(connection: Connection, desk: Desk, row: int) -> list[str]:
    task = connection.execute(select(due).where(due.c.id == row)).mappings().one_or_none()
    if task is None:
        return []
    connection.execute(delete(due).where(due.c.id == row))
    act = {UNANSWERED: _unanswered, UNCONFIRMED: _unconfirmed}[task["what"]]
    return act(connection, desk, task)


def _unanswered(connection: Connection, desk: Desk, task: RowMapping) -> list[str]:
    alert = task["about"]
    held = connection.execute(select(alerts).where(alerts.c.id == alert)).mappings().one_or_none()
    unseen = {AlertState.OPEN.value, AlertState.LATE.value}
    # Another time was promised since, with a row of its own.
    if held is None or held["state"] not in unseen or held["answer_by_us"] != task["at_us"]:
        return []
    tell(connection, desk, alert, "overdue", key=held["key"])
    return [alert]


def _unconfirmed(connection: Connection, desk: Desk, task: RowMapping) -> list[str]:
    mine = (flags.c.key == task["about"]) & (flags.c.subject == task["subject"])
    # Another value under this key waits with it: it is told of here.
    also = (due.c.subject == task["subject"]) & (due.c.what == UNCONFIRMED)
    connection.execute(delete(due).where(also & (due.c.about == task["about"])))
    query = select(flags).where(mine & ~flags.c.confirmed).order_by(flags.c.id.desc())
    changed: list[str] = []
    told = set[str]()
    # Of values that contradict each other the last to come: who was called for another one is not called again.
    for flag in connection.execute(query).mappings().all():
        rule = desk.thresholds.rule(flag["rule"])
        if rule is None or rule.id in told:
            continue
        told.add(rule.id)
        if not _answered(connection, task["subject"], rule, flag):
            called = named_before(
                connection, flag["subject"], rule.unconfirmed_condition, flag["key"]
            )
            order = order_unconfirmed(
                desk,
                rule,
                flag["subject"],
                flag["key"],
                flag["measured_us"],
                shown=flag["shown"],
                live=flag["how"] == LIVE and not called and _is_recent(desk, rule, task),
            )
            changed.append(raise_alert(connection, desk, order))
    return changed


def _is_recent(desk: Desk, rule: Rule, task: RowMapping) -> bool:
    """Whether what waited may still page: no ingester may have run when it was due, and by now it is the middle of the night.

    Counted from when it began to wait, and not from its measurement: the box may have doubted its clock.
    """
    within_s = rule.confirm.within_s if rule.confirm else 0
    waited_us = desk.now_us - task["at_us"] + round(within_s * SECOND_US)
    return waited_us <= desk.thresholds.live_for_s[rule.severity] * SECOND_US


def _answered(connection: Connection, patient: str, rule: Rule, flag: RowMapping) -> bool:
    """Whether the condition stands confirmed by others, or a second reading came and did not confirm this one."""
    if rule.confirm is None or has_unresolved(connection, patient, rule.id):
        return True
    state = load_states(cursor_of(connection), (patient,))[patient]
    return second_reading_came(state, rule.kind, flag["key"], flag["measured_us"], rule.confirm)
