"""A chart's numbers: readings in the reader's unit, band and limits, and which of them raised an alert. No drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloud_ingest.console.trends import DAY_US, DRAWN_MAX, FUTURE_US, LIMITS, Trends, in_unit
from cloud_ingest.console.values import converted, is_own, marks, own_glucose_unit, show, unit_name
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.ward import METERED
from cloud_ingest.stores.records.views import RecordsViews
from cloud_ingest.stores.series import Point
from gateway.model.kinds import BLOOD_PRESSURE, CONTINUOUS_GLUCOSE, GLUCOSE, KINDS
from gateway.model.observation import Observation

DETAILED_MAX = 1_000  # newest readings that are looked up in the journal for digits and marks
DETAILED_CHUNK = 1_000  # looked up at a time
IN_GLUCOSE_UNIT = (GLUCOSE.name, CONTINUOUS_GLUCOSE.name)  # drawn in the unit that the reader chose
EVER_US = 100 * 366 * DAY_US
USUAL_DAYS, SHORT_DAYS = 30, 7  # who was measured for less than the short ones is shown whole


@dataclass(frozen=True, slots=True)
class Dot:
    """One reading. `high` is absent for a single value; both are absent for a value off the scale (`beyond`)."""

    at: float  # POSIX seconds
    low: float | None
    high: float | None
    beyond: str | None
    shown: str
    marks: Sequence[str]
    severity: str
    known: bool
    own: bool  # False for a control solution: not the person's


@dataclass(frozen=True, slots=True)
class Line:
    """A limit of an alert rule. What lies beyond the `outermost` one is shaded."""

    at: float
    label: str
    outermost: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of so many `days`, 0 for all. `start` and `end` are POSIX seconds; `band` is None for a kind without one; `away` says that the time series can't be read now."""

    kind: str
    days: int
    unit: str
    start: float
    end: float
    band: tuple[float, float] | None
    limits: Sequence[Line]
    dots: Sequence[Dot]
    away: bool


def build_chart(
    views: RecordsViews,
    trends: Trends,
    viewer: Viewer,
    *,
    patient: str,
    kind: str,
    days: int | None,
) -> Chart:
    """One person's readings of one kind over so many days; 0 is all there are, None what suits them. `kind` is one of LIMITS."""
    now_us = viewer.times.now_us
    days, points = _reaching(trends, kind, patient, now_us, days)
    reach_us = days * DAY_US if days else EVER_US
    told = _told(views, kind, points)
    flags = {flag.key: flag.severity for flag in views.flags(patient, now_us - reach_us)}
    unit = _unit(kind, viewer, [one for one in told.values() if one])
    band = LIMITS[kind].band
    first_us = min((point.time_us for point in points), default=now_us)
    return Chart(
        kind=kind,
        days=days,
        unit=unit_name(unit),
        # Where it holds no more than it can draw, it begins with what it draws: no gap that was none.
        start=(first_us if days == 0 or len(points) >= DRAWN_MAX else now_us - reach_us) / 1e6,
        end=max(now_us, *(point.time_us for point in points)) / 1e6 if points else now_us / 1e6,
        band=(in_unit(band[0], unit), in_unit(band[1], unit)) if band else None,
        limits=[
            Line(in_unit(limit, unit), viewer.words(f"limit.{kind}.{turn}"), outermost=turn == 0)
            for turn, limit in enumerate(LIMITS[kind].alert)
        ],
        dots=[
            _dot(point, told.get(str(point.fields.get("key"))), flags, unit, viewer)
            for point in points
        ],
        away=trends.away,
    )


def _told(
    views: RecordsViews, kind: str, points: Sequence[Point]
) -> Mapping[str, Observation | None]:
    """What the journal says of the newest; of what a meter measures, of all: any may be control solution."""
    keys = [str(point.fields.get("key")) for point in points]
    wanted = keys if kind in METERED else keys[-DETAILED_MAX:]
    return {
        key: placed.row.observation(placed.position)
        for start in range(0, len(wanted), DETAILED_CHUNK)
        for key, placed in views.places(wanted[start : start + DETAILED_CHUNK]).items()
    }


def _reaching(
    trends: Trends, kind: str, patient: str, now_us: int, days: int | None
) -> tuple[int, Sequence[Point]]:
    def within(days: int) -> Sequence[Point]:
        reach_us = days * DAY_US if days else EVER_US
        return trends.points(kind, patient, now_us - reach_us, now_us + FUTURE_US)

    if days is not None:
        return days, within(days)
    usual = within(USUAL_DAYS)
    if not usual or usual[0].time_us < now_us - SHORT_DAYS * DAY_US:
        return USUAL_DAYS, usual
    everything = within(0)
    return (0, everything) if len(everything) == len(usual) else (USUAL_DAYS, usual)


def _unit(kind: str, viewer: Viewer, told: Sequence[Observation]) -> str:
    if kind not in IN_GLUCOSE_UNIT:
        return KINDS[kind].parts[LIMITS[kind].part]
    return viewer.unit or (own_glucose_unit(told[-1]) if told else "mg/dL")


def _dot(
    point: Point,
    observation: Observation | None,
    flags: Mapping[str, str],
    unit: str,
    viewer: Viewer,
) -> Dot:
    low, high = _ends(point, unit)
    beyond = next((str(v) for name, v in point.fields.items() if name.endswith("_beyond")), None)
    shown = show(observation, viewer.words, viewer.unit).text if observation else ""
    number = _plain(low, high) or (viewer.words(f"value.{beyond}") if beyond else "?")
    return Dot(
        at=point.time_us / 1e6,
        low=low,
        high=high,
        beyond=beyond,
        shown=shown or f"{number} {unit_name(unit)}",
        marks=marks(observation, viewer.words) if observation else (),
        severity=flags.get(str(point.fields.get("key")), ""),
        known=point.fields.get("time_known") is not False,
        own=observation is None or is_own(observation),
    )


def _ends(point: Point, unit: str) -> tuple[float | None, float | None]:
    if point.kind == BLOOD_PRESSURE.name:
        return _number(point, "diastolic"), _number(point, "systolic")
    value = _number(point, LIMITS[point.kind].part)
    if value is None or point.kind not in IN_GLUCOSE_UNIT:
        return value, None
    return converted(value, unit), None


def _number(point: Point, name: str) -> float | None:
    value = point.fields.get(name)
    return float(value) if isinstance(value, int | float) else None


def _plain(low: float | None, high: float | None) -> str:
    return " / ".join(f"{one:g}" for one in (high, low) if one is not None)
