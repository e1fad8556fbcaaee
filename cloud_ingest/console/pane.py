"""The pane beside the list: one person, one alert or one reading, with chart, evidence and latest values. View models only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_ingest.console.contradicted import other_values, own_place
from cloud_ingest.console.earlier import perhaps_earlier
from cloud_ingest.console.trends import DAY_US, LIMITS, TREND_DAYS, Trends
from cloud_ingest.console.values import kind_words, limit_words, marks, own_unit, plain, show
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.ward import measured
from cloud_ingest.console.worklist import TOGETHER_US, parse_us, person, why
from cloud_ingest.stores.records.criteria import Voided
from cloud_ingest.stores.records.views import (
    AlertEvent,
    AlertRow,
    FlagRow,
    Placed,
    RecordsViews,
)
from gateway.model.alert import AlertState
from gateway.model.kinds import CONTINUOUS_GLUCOSE, HEART_RATE
from gateway.model.observation import Observation, TimeMethod

RECENT_MAX = 12
STREAM_ROWS_MAX = 4  # of a kind that is measured every few minutes: it must not hide the others
STREAMS = frozenset({CONTINUOUS_GLUCOSE.name, HEART_RATE.name})
RAW_CHARS_MAX = 400
RANGES = (7, 30, 90, 0)  # days; 0 is all


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of evidence."""

    name: str
    told: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Recent:
    """A row of the latest values."""

    key: str
    measured: str
    value: str
    unit: str
    more: str
    marks: Sequence[str]
    severity: str
    kind: str = ""  # in words, where the unit does not say it
    voided: str = ""  # the reason


@dataclass(frozen=True, slots=True)
class Pane:
    """What stands in the pane. `alert` is absent for a person or a reading that nobody is asked to look at."""

    title: str
    about: str
    severity: str
    patient: str | None
    kinds: Sequence[str]
    kind: str
    alert: AlertRow | None
    may_acknowledge: bool
    may_resolve: bool
    why: Sequence[str]
    earlier: str
    events: Sequence[AlertEvent]
    facts: Sequence[Fact]
    recent: Sequence[Recent]
    key: str | None


def alert_pane(views: RecordsViews, trends: Trends, viewer: Viewer, identity: str) -> Pane | None:
    """The pane of an alert; None where there is none."""
    alert = views.alert(identity)
    if alert is None:
        return None
    placed = own_place(alert, views.places([alert.key]), views.contradicting([alert.key]))
    observation = placed.row.observation(placed.position) if placed else None
    return _pane(
        views,
        trends,
        viewer,
        patient=alert.patient,
        kind=observation.kind if observation else "",
        key=alert.key,
        alert=alert,
        extra=[alert.key, alert.last_key],
    )


def patient_pane(views: RecordsViews, trends: Trends, viewer: Viewer, identity: str) -> Pane | None:
    """The pane of a person; None where there is none."""
    if identity not in views.patients_by_id([identity]):
        return None
    return _pane(views, trends, viewer, patient=identity, kind="", key=None, alert=None, extra=[])


def reading_facts(views: RecordsViews, viewer: Viewer, key: str) -> Sequence[Fact] | None:
    """Where a reading came from; None where no journal row holds it."""
    placed = views.places([key]).get(key)
    observation = placed.row.observation(placed.position) if placed else None
    if placed is None or observation is None:
        return None
    return _evidence(views, placed, observation, viewer)


def _evidence(
    views: RecordsViews, placed: Placed, observation: Observation, viewer: Viewer
) -> Sequence[Fact]:
    key = observation.key
    return evidence(placed, observation, views.flags_of(key), viewer, views.voided([key]).get(key))


def evidence(
    placed: Placed,
    observation: Observation,
    flags: Sequence[FlagRow],
    viewer: Viewer,
    voided: Voided | None = None,
) -> Sequence[Fact]:
    """From the device's clock to the journal's position."""
    words, row = viewer.words, placed.row
    shown = show(observation, words, viewer.unit)
    told = [
        Fact(words("fact.value"), " · ".join(one for one in (shown.text, shown.note) if one)),
        *_why_voided(voided, viewer),
        Fact(words("fact.measured"), _when(observation, viewer)),
        Fact(words("fact.certainty"), _certainty(observation, viewer)),
        Fact(words("fact.marks"), ", ".join(marks(observation, words)) or words("fact.none")),
        Fact(
            words("fact.accepted"),
            words("fact.accepted_by", at=_at(observation.accepted, viewer), box=row.agent),
        ),
        Fact(words("fact.arrived"), viewer.times.at(row.received_us, seconds=True)),
        Fact(words("fact.device"), f"{observation.profile} · {observation.device}"),
        *_stated(observation, viewer),
        Fact(
            words("fact.driver"),
            f"{observation.driver} · {observation.transport} · {words.maybe('source', observation.source)}",
        ),
    ]
    told += [
        Fact(
            words("fact.rule"),
            f"{flag.rule}: {limit_words(flag.limit, words, own_unit(observation))}",
        )
        for flag in flags
    ]
    told += [
        _filed(placed, viewer),
        Fact(words("fact.intact"), words("fact.yes" if row.intact else "fact.damaged")),
        Fact(words("fact.key"), observation.key, code=True),
    ]
    if observation.raw:
        raw = observation.raw
        cut = "…" if len(raw) > RAW_CHARS_MAX else ""
        told.append(Fact(words("fact.raw"), raw[:RAW_CHARS_MAX] + cut, code=True))
    return told


def _filed(placed: Placed, viewer: Viewer) -> Fact:
    words, row, position = viewer.words, placed.row, placed.position
    n = row.first + position
    told = words("fact.position", row=row.id, position=position, n=n, epoch=row.epoch)
    return Fact(words("fact.journal"), told)


def _why_voided(voided: Voided | None, viewer: Viewer) -> Sequence[Fact]:
    if voided is None:
        return ()
    at = viewer.times.at(voided.at_us)
    told = viewer.words("fact.voided_by", reason=voided.reason, who=voided.who, at=at)
    return (Fact(viewer.words("fact.voided"), told),)


def _stated(observation: Observation, viewer: Viewer) -> Sequence[Fact]:
    """What the device stated of itself."""
    model = " ".join(text for text in (observation.maker, observation.model) if text)
    if observation.firmware:
        told = viewer.words("fact.firmware", version=observation.firmware)
        model = f"{model} · {told}" if model else told
    return (Fact(viewer.words("fact.stated"), model),) if model else ()


def _pane(
    views: RecordsViews,
    trends: Trends,
    viewer: Viewer,
    *,
    patient: str,
    kind: str,
    key: str | None,
    alert: AlertRow | None,
    extra: Sequence[str],
) -> Pane:
    now_us = viewer.times.now_us
    # A kind that is not known here has no chart, but its latest values are shown as they came.
    others = [one for one in views.kinds_judged(patient) if one not in LIMITS]
    points = {one: trends.recent(one, patient, now_us) for one in (*LIMITS, *others)}
    since_us = now_us - TREND_DAYS * DAY_US
    flags = {flag.key: flag for flag in views.flags(patient, since_us)}
    voided = {one.key: one for one in views.voided_of(patient, since_us, RECENT_MAX)}
    wanted = {str(p.fields.get("key")) for those in points.values() for p in those[-RECENT_MAX:]}
    places = views.places([*wanted, *voided, *extra])
    voided.update(views.voided(extra))
    recent = _recent(places, flags, voided, viewer)
    kinds = [one for one in LIMITS if points[one] or one == kind]
    shown = key or (recent[0].key if recent else None)
    further = views.contradicting([alert.key]) if alert else {}
    placed = own_place(alert, places, further) if alert else places.get(shown) if shown else None
    observation = placed.row.observation(placed.position) if placed else None
    who = views.patients_by_id([patient]).get(patient)
    wanted_kind = kind or (observation.kind if observation else "")
    return Pane(
        title=person(who, patient, viewer),
        about=who.condition if who else "",
        severity=alert.severity if alert else "",
        patient=patient,
        kinds=kinds,
        kind=wanted_kind if wanted_kind in LIMITS else kinds[0] if kinds else "",
        alert=alert,
        may_acknowledge=alert is not None and alert.state in {AlertState.OPEN, AlertState.LATE},
        may_resolve=alert is not None and alert.state == AlertState.ACKNOWLEDGED,
        why=_asked(views, viewer, alert, observation, other_values(alert, places, further, viewer))
        if alert
        else (),
        earlier=perhaps_earlier(alert, placed, views, viewer) if alert else "",
        events=views.events(alert.id) if alert else (),
        facts=_evidence(views, placed, observation, viewer) if placed and observation else (),
        recent=recent,
        key=shown,
    )


def _asked(
    views: RecordsViews,
    viewer: Viewer,
    alert: AlertRow,
    observation: Observation | None,
    contradicted: Sequence[str],
) -> Sequence[str]:
    unit = own_unit(observation) if observation else ""
    flags = views.flags(alert.patient, alert.measured_us - TOGETHER_US)
    return (*why(alert, flags, viewer, unit), *contradicted)


def _recent(
    places: Mapping[str, Placed],
    flags: Mapping[str, FlagRow],
    voided: Mapping[str, Voided],
    viewer: Viewer,
) -> Sequence[Recent]:
    found = [
        (observation, key)
        for key, placed in places.items()
        if (observation := placed.row.observation(placed.position)) is not None
    ]
    found.sort(key=_taken, reverse=True)
    rows: list[Recent] = []
    for observation, key in _spread(found):
        shown = show(observation, viewer.words, viewer.unit)
        rows.append(
            Recent(
                key=key,
                measured=measured(observation, viewer),
                value=shown.value,
                unit=shown.unit,
                more=shown.more,
                marks=marks(observation, viewer.words),
                severity=flags[key].severity if key in flags else "",
                kind=kind_words(observation, viewer.words),
                voided=voided[key].reason if key in voided else "",
            )
        )
    return rows


def _spread(found: Sequence[tuple[Observation, str]]) -> Sequence[tuple[Observation, str]]:
    """The newest, of each stream but a few."""
    told, kept = Counter[str](), list[tuple[Observation, str]]()
    for one in found:
        kind = one[0].kind
        told[kind] += 1
        if kind not in STREAMS or told[kind] <= STREAM_ROWS_MAX:
            kept.append(one)
    return kept[:RECENT_MAX]


def _taken(found: tuple[Observation, str]) -> str:
    return found[0].time.utc


def _when(observation: Observation, viewer: Viewer) -> str:
    words, time = viewer.words, observation.time
    told = [measured(observation, viewer, seconds=True)]
    if time.device is not None:
        told.append(words("fact.clock_showed", shown=time.device.replace("T", " ")))
    if time.method is TimeMethod.CORRECTED and time.offset_s is not None:
        told.append(words("fact.corrected", offset=f"{time.offset_s:+.0f}"))
    else:
        told.append(words.maybe("method", time.method))
    if time.zone:
        told.append(time.zone)
    return " · ".join(told)


def _certainty(observation: Observation, viewer: Viewer) -> str:
    words, time = viewer.words, observation.time
    early = words("fact.unbounded") if time.early_s is None else f"{time.early_s:g} s"
    told = words("fact.within", early=early, late=f"{time.late_s:g} s")
    told += f" · {words('fact.box_in_doubt')}" if time.box_in_doubt else ""
    if time.box_off_s is not None and abs(time.box_off_s) >= 1:
        how = "fact.box_behind" if time.box_off_s > 0 else "fact.box_ahead"
        told += f" · {words(how, span=viewer.times.age(abs(time.box_off_s)))}"
    return told


def _at(told: str, viewer: Viewer) -> str:
    us = parse_us(told)
    return viewer.times.at(us, seconds=True) if us is not None else plain(told)
