"""What the events of alerts say: which readings belong to one, by now or before. Reads only, in somebody's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from cloud_ingest.stores.records.alerts import BELONGS, SYSTEM
from cloud_ingest.stores.records.schema import alert_events, alerts, voided

PARTED = "parted"  # a reading that belonged to the alert supports it no more, after a voiding


def keys_of(connection: Connection, alert: str, here: Collection[str]) -> frozenset[str]:
    """The readings that an alert names. Those that a voiding took support it no more, unless another value under their key is `here`."""
    named = alert_events.outerjoin(voided, voided.c.key == alert_events.c.key)
    columns = (alert_events.c.key, alert_events.c.what, voided.c.key.is_not(None))
    mine = (alert_events.c.alert == alert) & alert_events.c.what.in_((*BELONGS, PARTED))
    query = select(*columns).select_from(named).where(mine).order_by(alert_events.c.id)
    held = set[str]()
    for key, what, gone in connection.execute(query):
        if what == PARTED:
            held.discard(key)
        elif key is not None and (not gone or key in here):
            held.add(key)
    return frozenset(held)


@dataclass(frozen=True, slots=True)
class Named:
    """The readings that alerts of one condition named, but for those that a voiding ended. `ended`: for each that the system ended by a better one, when."""

    keys: frozenset[str]
    ended: Sequence[tuple[str, int]]

    def hushed(self, since_us: int) -> frozenset[str]:
        """Those of which the alert gave way since then."""
        return frozenset(key for key, at_us in self.ended if at_us >= since_us)


def named_in(connection: Connection, patient: str, condition: str) -> Named:
    """All that alerts of this condition have named, and not parted with."""
    mine = (alerts.c.patient == patient) & (alerts.c.condition == condition)
    query = select(alert_events).join(alerts, alerts.c.id == alert_events.c.alert).where(mine)
    events = connection.execute(query.order_by(alert_events.c.id)).mappings().all()
    by = {row["alert"]: row for row in events if row["what"] == "resolved"}
    gone = {row["alert"] for row in events if row["what"] == "voided"}
    told = dict[tuple[str, str], None]()
    for row in events:
        if row["key"] is None or row["alert"] in gone:
            continue
        if row["what"] == PARTED:
            told.pop((row["key"], row["alert"]), None)
        elif row["what"] in BELONGS:
            told[row["key"], row["alert"]] = None
    gave_way = [
        (key, by[alert]["at_us"])
        for key, alert in told
        if alert in by and by[alert]["who"] == SYSTEM
    ]
    return Named(frozenset(key for key, _ in told), gave_way)
