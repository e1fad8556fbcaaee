"""Below the worklist: people with their latest values, the inbox, boxes and devices. Builds view models; renders nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_ingest.console.trends import LIMITS, SPARK_POINTS, Spark, Trends, spark
from cloud_ingest.console.values import is_own, kind_words, marks, show
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.worklist import box_name, heard_us, is_away, is_silent, parse_us, person
from cloud_ingest.stores.records.views import BoxRow, PatientRow, Placed, RecordsViews
from cloud_ingest.stores.series import Point
from gateway.model.kinds import GLUCOSE, KETONE
from gateway.model.observation import Observation

LOOK_BACK = 8  # newest points among which the person's own is looked for
# Of what a meter measures any point may be control solution: all that a small trend draws is looked at, and some in their place.
METERED = frozenset({GLUCOSE.name, KETONE.name})
METERED_LOOK_BACK = SPARK_POINTS + LOOK_BACK


@dataclass(frozen=True, slots=True)
class Latest:
    """A person's newest value of one kind, and how it came to that."""

    kind: str
    name: str  # of the kind, where the unit does not say it
    value: str
    unit: str
    note: str
    measured: str
    marks: Sequence[str]
    severity: str
    trend: Spark | None


@dataclass(frozen=True, slots=True)
class Person:
    """One person's card."""

    id: str
    name: str
    condition: str
    devices: int
    latest: Sequence[Latest]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A reading of the inbox."""

    key: str
    value: str
    unit: str
    device: str
    profile: str
    measured: str
    arrived_us: int
    why: str


@dataclass(frozen=True, slots=True)
class Box:
    """An edge box. `clock_off_s`: what its clock lacks to ours, where that is worth saying."""

    agent: str
    away: bool
    heard_us: int | None
    pending: int
    oldest_us: int | None
    version: str
    told: bool
    clock_off_s: float | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its box sees it, and whose it is."""

    device: str
    profile: str
    box_name: str
    wearer: str
    heard_us: int | None
    reading_us: int | None
    silent: bool
    trouble: str


@dataclass(frozen=True, slots=True)
class Ward:
    """Everything below the worklist."""

    people: Sequence[Person]
    people_in_all: int
    inbox: Sequence[Waiting]
    inbox_in_all: int
    boxes: Sequence[Box]
    devices: Sequence[Device]
    charts_away: bool


def build_ward(views: RecordsViews, trends: Trends, viewer: Viewer) -> Ward:
    """People, inbox, boxes and devices, as of now."""
    now_us = viewer.times.now_us
    totals = views.totals(viewer.times.day)
    bound = views.bound(now_us)
    boxes = views.boxes()
    wearers = views.patients_by_id([one for those in bound.values() for one in those])
    return Ward(
        people=[_person(one, bound, views, trends, viewer) for one in views.patients()],
        people_in_all=totals.patients,
        inbox=_inbox(views, boxes, viewer),
        inbox_in_all=totals.inbox,
        boxes=[_box(box, now_us) for box in boxes],
        devices=_devices(boxes, bound, wearers, viewer),
        charts_away=trends.away,
    )


def measured(observation: Observation, viewer: Viewer, *, seconds: bool = False) -> str:
    """When a measurement was taken, or that nobody knows."""
    if not observation.time.known:
        return viewer.words("time.unknown")
    us = parse_us(observation.time.utc)
    return viewer.times.at(us, seconds=seconds) if us is not None else observation.time.utc


def _person(
    patient: PatientRow,
    bound: Mapping[str, Sequence[str]],
    views: RecordsViews,
    trends: Trends,
    viewer: Viewer,
) -> Person:
    now_us = viewer.times.now_us
    kinds = dict.fromkeys((*LIMITS, *views.kinds_judged(patient.id)))
    series = {kind: trends.recent(kind, patient.id, now_us) for kind in kinds}
    places = views.places(
        key for kind, points in series.items() for key in looked_back(kind, points, trends)
    )
    return Person(
        id=patient.id,
        name=person(patient, patient.id, viewer),
        condition=patient.condition,
        devices=sum(patient.id in those for those in bound.values()),
        latest=[
            latest
            for kind, points in series.items()
            if (
                latest := _latest(
                    kind, own_points(kind, points, places, trends), places, views, viewer
                )
            )
        ],
    )


def _latest(
    kind: str,
    own: Sequence[Point],
    places: Mapping[str, Placed],
    views: RecordsViews,
    viewer: Viewer,
) -> Latest | None:
    placed = places.get(_key(own[-1])) if own else None
    observation = placed.row.observation(placed.position) if placed else None
    if observation is None:
        return None
    shown = show(observation, viewer.words, viewer.unit)
    flags = views.flags_of(observation.key)
    return Latest(
        kind=kind,
        name=kind_words(observation, viewer.words),
        value=shown.value,
        unit=shown.unit,
        note=shown.note,
        measured=measured(observation, viewer),
        marks=marks(observation, viewer.words),
        severity=flags[0].severity if flags else "",
        trend=spark(kind, own),
    )


def looked_back(kind: str, points: Sequence[Point], trends: Trends) -> Sequence[str]:
    """Keys of the newest points, and of those behind them that `own_points` has yet to hear of."""
    older = points[-METERED_LOOK_BACK:-LOOK_BACK] if kind in METERED else ()
    unknown = [key for key in map(_key, older) if trends.own(key) is None]
    return [*unknown, *map(_key, points[-LOOK_BACK:])]


def own_points(
    kind: str, points: Sequence[Point], places: Mapping[str, Placed], trends: Trends
) -> Sequence[Point]:
    """Without readings of control solution: they are the meter's, not the person's. Of a meter's, only what was looked at."""
    seen = {key: placed.row.observation(placed.position) for key, placed in places.items()}
    trends.note_own({key: is_own(told) for key, told in seen.items() if told})
    known = points[-METERED_LOOK_BACK:] if kind in METERED else points
    return [point for point in known if trends.own(_key(point)) is not False]


def _key(point: Point) -> str:
    return str(point.fields.get("key"))


def _inbox(views: RecordsViews, boxes: Sequence[BoxRow], viewer: Viewer) -> Sequence[Waiting]:
    rows = views.inbox()
    places = views.places(row.key for row in rows)
    profiles = {
        device.device: device.profile
        for box in boxes
        for device in (box.status.devices if box.status else ())
    }
    waiting: list[Waiting] = []
    for row in rows:
        placed = places.get(row.key)
        observation = placed.row.observation(placed.position) if placed else None
        shown = show(observation, viewer.words, viewer.unit) if observation else None
        waiting.append(
            Waiting(
                key=row.key,
                value=shown.value if shown else "?",
                unit=shown.unit if shown else "",
                device=row.device,
                profile=profiles.get(row.device, observation.profile if observation else ""),
                measured=measured(observation, viewer) if observation else "",
                arrived_us=row.arrived_us,
                why=viewer.words.maybe("inbox_why", row.why),
            )
        )
    return waiting


def _box(box: BoxRow, now_us: int) -> Box:
    status = box.status
    return Box(
        agent=box.agent,
        away=is_away(box, now_us),
        heard_us=heard_us(box),
        pending=status.pending if status else 0,
        oldest_us=parse_us(status.oldest_pending) if status else None,
        version=status.version if status else "",
        told=status is not None,
        clock_off_s=status.clock_off_s if status else None,
    )


def _devices(
    boxes: Sequence[BoxRow],
    bound: Mapping[str, Sequence[str]],
    wearers: Mapping[str, PatientRow],
    viewer: Viewer,
) -> Sequence[Device]:
    now_us = viewer.times.now_us
    return [
        Device(
            device=device.device,
            profile=device.profile,
            box_name=box_name(box.agent, viewer.words),
            wearer=" / ".join(
                person(wearers.get(one), one, viewer) for one in bound.get(device.device, ())
            ),
            heard_us=parse_us(device.last_heard),
            reading_us=parse_us(device.last_reading),
            silent=is_silent(device.last_heard, now_us),
            trouble=device.trouble or "",
        )
        for box in boxes
        for device in (box.status.devices if box.status else ())
    ]
