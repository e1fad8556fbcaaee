"""The worklist: what stands in the first lines, and one row for each decision. Builds view models; renders nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloud_ingest.console.contradicted import other_values, own_place
from cloud_ingest.console.earlier import perhaps_earlier
from cloud_ingest.console.masking import masked
from cloud_ingest.console.times import age_in_years
from cloud_ingest.console.trends import Trends
from cloud_ingest.console.values import limit_words, own_unit, plain, show
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.words import Words
from cloud_ingest.stores.records.alerts import DOUBTED
from cloud_ingest.stores.records.views import (
    AlertRow,
    BoxRow,
    FlagRow,
    PatientRow,
    Placed,
    RecordsViews,
    Totals,
)
from gateway.model.alert import RANK, AlertState, Severity
from gateway.runtime.clock import from_iso

BOX_SILENT_S = 900  # a box that said nothing for so long is away, whatever its last word was
DEVICE_SILENT_S = 24 * 3_600
LAG_SHOWN_S = 5.0  # below that charts count as up to date
UNSURE = "?"  # a condition that ends so was not confirmed by a second reading
TOGETHER_US = 10 * 60 * 1_000_000  # readings that confirm each other lie within this

ALERTS_MAX = 300  # on one page; the rest are counted


@dataclass(frozen=True, slots=True)
class Row:
    """One decision. `version` changes when anything but the passing of time does."""

    id: str
    severity: str
    state: str
    late: bool
    name: str
    about: str
    value: str
    unit: str
    note: str
    why: Sequence[str]
    measured: str
    earlier: str
    opened_us: int
    measured_us: int
    answer_by_us: int
    holder: str | None
    patient: str
    kind: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """What is missing: boxes that are away, devices not heard from, readings not yet in the charts."""

    boxes: Sequence[tuple[str, int | None]]
    devices: int
    lag_s: float | None
    series_away: bool


@dataclass(frozen=True, slots=True)
class Worklist:
    """The top of the page. `late_in_all` counts, and `unshown` is how many rows of both lists a page has no room for."""

    rows: Sequence[Row]
    late: Sequence[Row]
    late_in_all: int
    unshown: int
    needing: int
    held: int
    totals: Totals
    silence: Silence
    boxes: int

    @property
    def empty_system(self) -> bool:
        """Nothing has ever come: say what to do next."""
        return not (self.totals.readings or self.rows or self.late)


def build_worklist(views: RecordsViews, trends: Trends, viewer: Viewer) -> Worklist:
    """Everything above the patients, as of now."""
    standing = _standing(views)
    alerts = standing[:ALERTS_MAX]
    first = views.places(alert.key for alert in alerts)
    further = views.contradicting(alert.key for alert in alerts)
    people = views.patients_by_id([alert.patient for alert in alerts])
    rows = [
        _row(
            alert,
            people.get(alert.patient),
            own_place(alert, first, further),
            views,
            viewer,
            contradicted=other_values(alert, first, further, viewer),
        )
        for alert in alerts
    ]
    boxes = views.boxes()
    live = [alert for alert in standing if not is_late(alert)]
    open_for = {alert.patient for alert in live if alert.state == AlertState.OPEN}
    held_for = {alert.patient for alert in live if alert.state == AlertState.ACKNOWLEDGED}
    return Worklist(
        rows=[row for row in rows if not row.late],
        late=[row for row in rows if row.late],
        late_in_all=len(standing) - len(live),
        unshown=len(standing) - len(alerts),
        needing=len(open_for),
        held=len(held_for - open_for),
        totals=views.totals(viewer.times.day),
        silence=silence(views, trends, boxes, viewer),
        boxes=len(boxes),
    )


def silence(
    views: RecordsViews, trends: Trends, boxes: Sequence[BoxRow], viewer: Viewer
) -> Silence:
    """What is not there today, and should be."""
    now_us = viewer.times.now_us
    since_us = views.behind_since_us()
    lag_s = (now_us - since_us) / 1e6 if since_us is not None else None
    return Silence(
        boxes=[
            (box_name(box.agent, viewer.words), heard_us(box))
            for box in boxes
            if is_away(box, now_us)
        ],
        devices=sum(
            1
            for box in boxes
            for device in (box.status.devices if box.status else ())
            if is_silent(device.last_heard, now_us)
        ),
        lag_s=lag_s if lag_s is not None and lag_s > LAG_SHOWN_S else None,
        series_away=trends.away,
    )


def heard_us(box: BoxRow) -> int | None:
    """When a box last said anything."""
    return max((us for us in (box.heard_us, box.status_us) if us is not None), default=None)


def is_away(box: BoxRow, now_us: int) -> bool:
    """Its last will was told, or it has been silent for too long."""
    heard = heard_us(box)
    gone = box.status is not None and not box.status.online
    return gone or heard is None or now_us - heard > BOX_SILENT_S * 1_000_000


def is_silent(last_heard: str | None, now_us: int) -> bool:
    """A device that its box has not heard for DEVICE_SILENT_S, or never."""
    heard = parse_us(last_heard)
    return heard is None or now_us - heard > DEVICE_SILENT_S * 1_000_000


def parse_us(told: str | None) -> int | None:
    """A moment that a box told of; None for none, or for one that can't be read."""
    try:
        return int(from_iso(told).timestamp() * 1_000_000) if told else None
    except (ValueError, OverflowError):
        return None


def person(patient: PatientRow | None, identity: str, viewer: Viewer) -> str:
    """A masked name and an age; the id where the person is not in the records."""
    if patient is None:
        return identity
    age = age_in_years(patient.born, viewer.times.now)
    return masked(patient.name) + (f", {age}" if age is not None else "")


def box_name(agent: str, words: Words) -> str:
    """`box Yulin-3`; of a box that is called box-1, the name alone."""
    return agent if agent.lower().startswith("box") else words("row.box", box=agent)


def _row(
    alert: AlertRow,
    patient: PatientRow | None,
    placed: Placed | None,
    views: RecordsViews,
    viewer: Viewer,
    *,
    contradicted: Sequence[str],
) -> Row:
    observation = placed.row.observation(placed.position) if placed else None
    shown = show(observation, viewer.words, viewer.unit) if observation else None
    known = observation is None or observation.time.known
    box = box_name(placed.row.agent, viewer.words) if placed else ""
    row = Row(
        id=alert.id,
        severity=alert.severity,
        state=alert.state,
        late=is_late(alert),
        name=person(patient, alert.patient, viewer),
        about=" · ".join(told for told in (patient.condition if patient else "", box) if told),
        value=shown.value if shown else plain(alert.shown),
        unit=shown.unit if shown else "",
        note=shown.note if shown else "",
        why=(
            *why(
                alert,
                views.flags(alert.patient, alert.measured_us - TOGETHER_US),
                viewer,
                own_unit(observation) if observation else "",
            ),
            *contradicted,
        ),
        measured=viewer.times.at(alert.measured_us) if known else viewer.words("time.unknown"),
        earlier=perhaps_earlier(alert, placed, views, viewer),
        opened_us=alert.opened_us,
        measured_us=alert.measured_us,
        answer_by_us=alert.answer_by_us,
        holder=viewer.words.maybe("who", alert.acknowledged_by) if alert.acknowledged_by else None,
        patient=alert.patient,
        kind=observation.kind if observation else "",
    )
    told = hashlib.blake2b(repr((row, alert.readings, alert.last_key)).encode(), digest_size=8)
    return replace(row, version=told.hexdigest())


def why(alert: AlertRow, flags: Sequence[FlagRow], viewer: Viewer, unit: str = "") -> Sequence[str]:
    """Why someone is asked to look: the limit in words (in `unit`), how it was confirmed, whose limit it is."""
    words = viewer.words
    rule = alert.condition.removesuffix(UNSURE)
    own = [flag for flag in flags if flag.rule == rule and flag.measured_us <= alert.measured_us]
    limits = {flag.key: flag.limit for flag in own}
    told = [
        limit_words(limits[alert.key], words, unit) if alert.key in limits else plain(alert.why)
    ]
    if alert.condition.endswith(UNSURE):
        told.append(words("why.doubted" if DOUBTED in alert.why else "why.unconfirmed"))
    elif len(limits) > 1:  # measurements: one may have been told with several values
        minutes = max(1, round((own[-1].measured_us - own[0].measured_us) / 60e6))
        told.append(words("why.confirmed", n=len(limits), minutes=minutes))
    if alert.source:
        # "ADA (ADA Standards of Care section 6); …": the names here, the titles in the pane.
        names = ", ".join(one.partition(" (")[0] for one in alert.source.split("; "))
        told.append(words("why.source", source=names))
    if alert.readings > max(len(limits), 1):
        told.append(words.count("why.more", alert.readings))
    return told


def is_late(alert: AlertRow) -> bool:
    """Whether it paged nobody: it came too late for that."""
    return alert.how == "late"


def _standing(views: RecordsViews) -> Sequence[AlertRow]:
    """Everything that nobody has ended, the most urgent first: what a page has no room for must not be what pages."""
    return sorted(views.unresolved(), key=_urgency)


def _urgency(alert: AlertRow) -> tuple[bool, bool, int, int]:
    late = is_late(alert)
    return (
        late,
        not late and alert.state == AlertState.ACKNOWLEDGED,
        0 if late else -RANK[Severity(alert.severity)],
        alert.answer_by_us,
    )
