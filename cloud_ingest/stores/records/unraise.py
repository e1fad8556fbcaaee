"""What becomes of a patient's alerts when readings are voided: as though they had never come. Inside somebody's transaction.

An alert that other readings support stays, on their word; one that none supports ends, with the reason. What the voided
readings hid comes to light, live only where it is recent enough now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, RowMapping, delete, exists, insert, select, update

from cloud_ingest.rules.again import History, Told
from cloud_ingest.rules.judge import SECOND_US, Finding
from cloud_ingest.rules.thresholds import Rule
from cloud_ingest.stores.records.alerts import (
    LATE,
    LIVE,
    SYSTEM,
    UNCONFIRMED,
    Desk,
    Order,
    end,
    end_voided,
    order_in_doubt,
    order_of,
    order_unconfirmed,
    raise_alert,
    tell,
    unresolved,
)
from cloud_ingest.stores.records.journal import IDS_MAX
from cloud_ingest.stores.records.schema import alert_events, alerts, due
from cloud_ingest.stores.records.stories import PARTED, keys_of, named_in
from gateway.model.alert import AlertState


@dataclass(slots=True)
class Case:
    """One patient: what the rules told with the voided readings, and what they tell without. `ever`: with those of earlier voidings."""

    connection: Connection
    desk: Desk
    patient: str
    voided: frozenset[str]
    ever: History
    before: History
    after: History
    who: str
    reason: str
    ended: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])


def settle(case: Case) -> None:
    """End, keep, or raise what follows from the difference. `case` says afterwards which alerts it touched."""
    for rules in case.desk.thresholds.rules.values():
        for rule in rules:
            _settle_rule(case, rule)
    known = {rule.id for rules in case.desk.thresholds.rules.values() for rule in rules}
    for held in _all_unresolved(case.connection, case.patient):
        if held["condition"].removesuffix("?") not in known:  # a rule of an earlier table
            keys = _keys(case, held["id"])
            if keys and keys <= case.voided:
                _end(case, held["id"])


def _settle_rule(case: Case, rule: Rule) -> None:
    ended_since = _settle_sure(case, rule)
    if rule.confirm is None and not _doubts(case, rule):
        return
    _settle_unsure(case, rule, ended_since)


def _settle_sure(case: Case, rule: Rule) -> int | None:
    """The alert of the condition itself. Since when it had stood, where it ends."""
    before = {one.key for one, finding in case.before.of(rule.id) if _raises(finding)}
    after = [(one, finding) for one, finding in case.after.of(rule.id) if _raises(finding)]
    fresh = [(one, finding) for one, finding in after if one.key not in before]
    held = unresolved(case.connection, case.patient, rule.id)
    if held is None:
        hidden = [pair for pair in fresh if not _was_seen(case, rule.id, pair[0].sitting.now_us)]
        _raise_sure(case, rule, hidden)
        return None
    keys = _keys(case, held["id"])
    since_us = _since(case, keys, held)
    # Not only of this voiding: the story still names what an earlier one left without its second reading.
    supported = _support(case.ever, rule) | _support(case.before, rule)
    lost = case.voided | (supported - _support(case.after, rule))
    stay = keys - lost
    new = [pair for pair in fresh if pair[0].sitting.now_us >= since_us and pair[0].key not in keys]
    if not stay and not new:
        _end(case, held["id"])
        return since_us
    _part(case, held["id"], keys & lost)
    if held["how"] == LATE and any(_pages(case, rule, *pair) for pair in new):
        # Hidden by what was voided: nobody was told that there is more than a stale finding.
        _raise_sure(case, rule, new)
        again = unresolved(case.connection, case.patient, rule.id)
        if again is None or again["id"] != held["id"]:
            return None  # somebody had seen the stale one: it gave way
        held, untold = again, []
    else:
        untold = new
    partners = {
        partner
        for one, finding in case.before.of(rule.id)
        if one.key in keys
        for partner in finding.partners
    }
    face = held["key"], held["shown"]  # a conflict's other value may stand under the same key
    gone = face in _faces(case.before, rule) and face not in _faces(case.after, rule)
    if (keys | partners) & lost or held["key"] in case.voided or new or gone:
        support = [pair for pair in after if pair[0].key in stay or pair in new]
        if support:
            _stand_on(case, rule, held, support, untold)
    return None


def _support(history: History, rule: Rule) -> set[str]:
    """What raises, and what confirms it. Which of two is which, nothing says any more where both were judged in one moment."""
    raising = [
        (one.key, *finding.partners) for one, finding in history.of(rule.id) if _raises(finding)
    ]
    return {key for keys in raising for key in keys}


def _faces(history: History, rule: Rule) -> set[tuple[str, str]]:
    found = (finding.alert for _, finding in history.of(rule.id) if _raises(finding))
    return {(cause.key, cause.shown) for cause in found if cause is not None}


def _stand_on(
    case: Case,
    rule: Rule,
    held: RowMapping,
    support: Sequence[tuple[Told, Finding]],
    new: Sequence[tuple[Told, Finding]],
) -> None:
    """Let an alert rest on the readings that are left. What was live by a voided one alone is a late finding again.

    Its story names those that are `new` to it: a later voiding has to know them.
    """
    live = [pair for pair in support if pair[1].alert_live]
    if held["state"] == AlertState.OPEN and held["how"] == LIVE and not live:
        _end(case, held["id"])
        _raise_sure(case, rule, support)
        return
    told, finding = (live or support)[0]
    assert finding.alert is not None
    order = order_of(case.desk, finding, case.patient, told.key, finding.alert)
    first = support[0][1]
    values = _face(order, support[-1][0].key, len(first.partners) + len(support))
    case.connection.execute(update(alerts).where(alerts.c.id == held["id"]).values(values))
    for one, _ in new:
        tell(case.connection, case.desk, held["id"], "joined", key=one.key)
    case.changed.append(held["id"])


def _raise_sure(
    case: Case,
    rule: Rule,
    pairs: Sequence[tuple[Told, Finding]],
) -> None:
    for told, finding in pairs:
        assert finding.alert is not None
        order = order_of(case.desk, finding, case.patient, told.key, finding.alert)
        order = replace(order, live=_pages(case, rule, told, finding))
        case.changed.append(raise_alert(case.connection, case.desk, order))
    unsure = (
        unresolved(case.connection, case.patient, rule.unconfirmed_condition) if pairs else None
    )
    if unsure is not None:
        end(case.connection, case.desk, unsure["id"], SYSTEM, pairs[-1][0].key)
        case.changed.append(unsure["id"])


def _settle_unsure(case: Case, rule: Rule, ended_since: int | None) -> None:
    """The alert of a condition that no second reading confirmed."""
    held = unresolved(case.connection, case.patient, rule.unconfirmed_condition)
    lone = {one.key: (one, finding) for one, finding in case.after.of(rule.id)}
    if held is not None:
        keys = _keys(case, held["id"])
        left = keys - case.voided
        stay = frozenset(key for key in left if not _answered_now(case, rule, key))
        if not stay:
            _end(case, held["id"])
        elif stay != keys or _another_value(case, rule, held):
            _part(case, held["id"], left - stay)
            _stand_on_lone(case, rule, held, [lone[k] for k in lone if k in stay])
    for told, finding in lone.values():
        if finding.wait_until_us is not None and finding.wait_until_us > case.desk.now_us:
            _wait(case.connection, case.patient, finding.wait_until_us, told.key)
    if unresolved(case.connection, case.patient, rule.id) is not None:
        return
    condition = rule.unconfirmed_condition
    known = named_in(case.connection, case.patient, condition)
    hushed = frozenset[str]() if ended_since is None else known.hushed(ended_since)
    for key, (told, finding) in lone.items():
        if key in hushed or (
            key not in known.keys and _comes_to_light(case, rule, told, finding, ended_since)
        ):
            _raise_unsure(case, rule, told, finding)


def _comes_to_light(
    case: Case, rule: Rule, told: Told, finding: Finding, ended_since: int | None
) -> bool:
    """Whether a finding stands alone now, and was hidden by what was voided."""
    if finding.doubted:
        return ended_since is not None and told.sitting.now_us >= ended_since
    confirm, wait_us = rule.confirm, finding.wait_until_us
    if confirm is None or wait_us is None or case.after.confirmed.get((told.key, rule.id)):
        return False
    if case.after.second_came(told, finding, confirm):
        return False
    was = next(one for one in case.before.told if one.sitting == told.sitting)
    was_finding = was.finding(rule.id)
    if case.before.confirmed.get((told.key, rule.id)) and not was.suspect_of:
        # Where somebody ended the alert that both stood on, this one was seen with it.
        return ended_since is not None
    # An earlier voiding may have brought it to light while the alert stood that ends now: it was not told of then.
    once = next(one for one in case.ever.told if one.sitting == told.sitting)
    hidden = bool(once.suspect_of) or case.ever.second_came(once, finding, confirm)
    stood = ended_since is not None and (wait_us >= ended_since or hidden)
    second = was_finding is not None and case.before.second_came(was, finding, confirm)
    return bool(was.suspect_of) or second or stood


def _raise_unsure(case: Case, rule: Rule, told: Told, finding: Finding) -> None:
    if finding.wait_until_us is not None and finding.wait_until_us > case.desk.now_us:
        return  # the clock will tell
    order = _unsure(case, rule, told, finding)
    live = order.live and _recent(case.desk, rule, told.fresh_from())
    case.changed.append(raise_alert(case.connection, case.desk, replace(order, live=live)))


def _unsure(case: Case, rule: Rule, told: Told, finding: Finding) -> Order:
    if finding.doubted:
        assert finding.alert is not None
        return order_in_doubt(case.desk, finding, case.patient, told.key, finding.alert)
    at_us = told.sitting.moment.at_us
    return order_unconfirmed(
        case.desk, rule, case.patient, told.key, at_us, shown=finding.shown, live=finding.live
    )


def _another_value(case: Case, rule: Rule, held: RowMapping) -> bool:
    """Whether of a conflict that value is gone which the alert shows."""
    face = held["key"], held["shown"]
    told = [
        {(one.key, finding.shown) for one, finding in history.of(rule.id)}
        for history in (case.before, case.after)
    ]
    return face in told[0] and face not in told[1]


def _stand_on_lone(
    case: Case,
    rule: Rule,
    held: RowMapping,
    support: Sequence[tuple[Told, Finding]],
) -> None:
    live = [pair for pair in support if pair[1].live]
    orders = [_unsure(case, rule, told, finding) for told, finding in (live or support)]
    if held["state"] == AlertState.OPEN and held["how"] == LIVE and not live:
        _end(case, held["id"])
        case.changed += [raise_alert(case.connection, case.desk, order) for order in orders]
        return
    values = _face(orders[0], support[-1][0].key, len(support))
    case.connection.execute(update(alerts).where(alerts.c.id == held["id"]).values(values))
    case.changed.append(held["id"])


def _face(order: Order, last_key: str, readings: int) -> dict[str, str | int]:
    return {
        "key": order.cause.key,
        "shown": order.cause.shown,
        "measured_us": order.cause.at_us,
        "why": order.why,
        "last_key": last_key,
        "readings": readings,
    }


def _answered_now(case: Case, rule: Rule, key: str) -> bool:
    """Whether a second reading counts now that did not before: it was held for a repeat of a voided one."""
    if rule.confirm is None:
        return False
    for one, finding in case.after.of(rule.id):
        if one.key == key and not finding.doubted:
            if not case.after.second_came(one, finding, rule.confirm):
                return False
            for history in (case.ever, case.before):
                was = next(old for old in history.told if old.sitting == one.sitting)
                if not history.second_came(was, finding, rule.confirm):
                    return True
    return False


def _doubts(case: Case, rule: Rule) -> bool:
    return any(finding.doubted for _, finding in case.before.of(rule.id))


def _raises(finding: Finding) -> bool:
    return finding.alert is not None and not finding.doubted


def _pages(case: Case, rule: Rule, told: Told, finding: Finding) -> bool:
    """Whether a finding that comes to light is recent enough now: by the freshest of those that complete the condition."""
    keys = {told.key, *finding.partners}
    freshest_us = max(one.fresh_from() for one in case.after.told if one.key in keys)
    return finding.alert_live and _recent(case.desk, rule, freshest_us)


def _recent(desk: Desk, rule: Rule, from_us: int) -> bool:
    return desk.now_us - from_us <= desk.thresholds.live_for_s[rule.severity] * SECOND_US


def _end(case: Case, alert: str) -> None:
    end_voided(case.connection, case.desk, alert, case.who, case.reason)
    case.ended.append(alert)


def _since(case: Case, keys: frozenset[str], held: RowMapping) -> int:
    """Since when the condition has stood: an alert that was opened as another was ended goes on from that."""
    mine = (alerts.c.patient == case.patient) & (alerts.c.condition == held["condition"])
    over = select(alerts.c.opened_us, alerts.c.resolved_us).where(
        mine & (alerts.c.id != held["id"])
    )
    since_us: int = held["opened_us"]
    for opened_us, resolved_us in case.connection.execute(
        over.order_by(alerts.c.resolved_us.desc())
    ):
        since_us = opened_us if resolved_us == since_us else since_us
    judged = [one.sitting.now_us for one in case.before.told if one.key in keys]
    return min([*judged, since_us])


def _keys(case: Case, alert: str) -> frozenset[str]:
    return keys_of(case.connection, alert, case.voided | {one.key for one in case.after.told})


def _part(case: Case, alert: str, keys: frozenset[str]) -> None:
    """Say of readings that they support an alert no more: no later voiding could find that out, which plays none between."""
    for key in sorted(keys - case.voided):
        tell(case.connection, case.desk, alert, PARTED, who=case.who, key=key, why=case.reason)


def _was_seen(case: Case, condition: str, at_us: int) -> bool:
    """Whether an alert of the condition stood when this reading was judged, and no voiding has ended it since."""
    mine = (alerts.c.patient == case.patient) & (alerts.c.condition == condition)
    over = (alerts.c.opened_us <= at_us) & (alerts.c.resolved_us >= at_us)
    by_voiding = exists().where(
        alert_events.c.alert == alerts.c.id, alert_events.c.what == "voided"
    )
    query = select(alerts.c.id).where(mine & over & ~by_voiding).limit(1)
    return case.connection.execute(query).first() is not None


def _all_unresolved(connection: Connection, patient: str) -> Sequence[RowMapping]:
    mine = (alerts.c.patient == patient) & (alerts.c.state != AlertState.RESOLVED.value)
    return connection.execute(select(alerts).where(mine).order_by(alerts.c.id)).mappings().all()


def _wait(connection: Connection, patient: str, at_us: int, key: str) -> None:
    mine = (due.c.subject == patient) & (due.c.what == UNCONFIRMED) & (due.c.about == key)
    if connection.execute(select(due.c.id).where(mine)).first() is None:
        row = {"subject": patient, "at_us": at_us, "what": UNCONFIRMED, "about": key}
        connection.execute(insert(due), row)


def forget_due(connection: Connection, subject: str, keys: Sequence[str]) -> None:
    """Nothing waits any more for a second reading to one of these."""
    mine = (due.c.subject == subject) & (due.c.what == UNCONFIRMED)
    for start in range(0, len(keys), IDS_MAX):
        about = due.c.about.in_(keys[start : start + IDS_MAX])
        connection.execute(delete(due).where(mine & about))
