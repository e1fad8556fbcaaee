"""A person's readings over time, from the time series: kept for seconds, and "away" rather than an error when it is down."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from cloud_ingest.stores.series import Point, Series
from gateway.model.kinds import (
    BLOOD_PRESSURE,
    BODY_COMPOSITION,
    BODY_TEMPERATURE,
    BODY_WEIGHT,
    CONTINUOUS_GLUCOSE,
    GLUCOSE,
    HEART_RATE,
    KETONE,
    MGDL_PER_MMOLL,
    PULSE_OXIMETRY,
)
from gateway.runtime.clock import Clock
from gateway.runtime.errors import StoreError

TREND_DAYS = 30
KEEP_S = 5.0  # how old a trend may be before the time series is asked again
AWAY_S = (
    5.0  # after a failure it is left alone for so long: a page must not wait for it once per person
)
KEPT_MAX = 500
SORTED_MAX = 20_000  # readings of which is remembered whether they are the person's own
READ_MAX = 10_000  # what a time series gives at once: the oldest of what was asked for
DRAWN_MAX = 20_000  # what one chart draws: the newest
SPARK_POINTS = 24
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 110, 34, 4
DAY_US = 86_400 * 1_000_000
FUTURE_US = DAY_US  # a device's clock may run ahead


@dataclass(frozen=True, slots=True)
class Limits:
    """What a chart draws besides the readings, in stored units. `part` is the one that a small trend follows.

    A kind without a published range that holds for everybody has no `band` and no `alert`.
    """

    part: str
    band: tuple[float, float] | None
    alert: tuple[float, ...]


# Alert limits: rules BP-CRISIS (AHA-2017, AHA-2025, CN-BPHS-HTN) and GLU-L2 (ADA); bands: home blood pressure below 135/85
# (CN-HTN-2024, ESH: BP-HOME-MEAN), time in range 70-180 mg/dL (CGM-2019), oxygen saturation from 95 % (NHS-OXI), temperature and
# resting heart rate without a point of NEWS2. A kind without an alert limit here has no rule that runs.
LIMITS = {
    BLOOD_PRESSURE.name: Limits("systolic", (85.0, 135.0), (180.0, 120.0)),
    GLUCOSE.name: Limits("value", (70.0, 180.0), (54.0,)),
    KETONE.name: Limits("value", None, ()),
    BODY_WEIGHT.name: Limits("weight", None, ()),
    PULSE_OXIMETRY.name: Limits("spo2", (95.0, 100.0), ()),
    BODY_TEMPERATURE.name: Limits("temperature", (36.1, 38.0), ()),
    HEART_RATE.name: Limits("heart_rate", (51.0, 90.0), ()),
    CONTINUOUS_GLUCOSE.name: Limits("value", (70.0, 180.0), ()),
    BODY_COMPOSITION.name: Limits("body_fat", None, ()),
}
# The same limits as they are published in mmol/L: a converted 70 (3.885) is not the printed 3.9.
PUBLISHED_MMOL = {54.0: 3.0, 70.0: 3.9, 180.0: 10.0}


@dataclass(frozen=True, slots=True)
class Spark:
    """A small trend as SVG coordinates. `limit_y` is None where the kind has no limit."""

    line: str
    limit_y: float | None
    x: float
    y: float


class Trends:
    """Reads of the time series for screens. Safe to use from several threads."""

    def __init__(self, series: Series, clock: Clock) -> None:
        """Ask `series`."""
        self._series, self._clock = series, clock
        self._kept: dict[tuple[str, str, int], tuple[float, Sequence[Point]]] = {}
        self._own: dict[str, bool] = {}
        self._away_until = 0.0
        self._lock = Lock()

    @property
    def name(self) -> str:
        """What the time series is called."""
        return self._series.name

    @property
    def away(self) -> bool:
        """Whether it failed just now."""
        return self._clock.monotonic() < self._away_until

    def points(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        """Points of one subject, oldest first, of more than DRAWN_MAX the newest; none while the time series is away."""

        def ask() -> Sequence[Point]:
            found: list[Point] = []
            at_us = since_us
            while len(page := self._series.read(kind, subject, at_us, until_us)) >= READ_MAX:
                # Those of the last microsecond come again with the next page: not all of them may have been in this one.
                last_us = page[-1].time_us
                whole = [point for point in page if point.time_us < last_us] or page
                found = [*found, *whole][-DRAWN_MAX:]
                at_us = last_us if len(whole) < len(page) else last_us + 1
            return [*found, *page][-DRAWN_MAX:]

        return self._unless_away(ask)

    def newest(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        """The newest points of one subject, oldest first: all of them, or those since a later moment where they are too many."""

        def ask() -> Sequence[Point]:
            since, until = since_us, until_us
            points = self._series.read(kind, subject, since, until)
            while len(points) >= READ_MAX and until - since > 1:
                middle = (since + until) // 2
                points = self._series.read(kind, subject, middle, until)
                if points:
                    since = middle
                else:
                    until = middle
                    points = self._series.read(kind, subject, since, until)
            return points

        return self._unless_away(ask)

    def _unless_away(self, ask: Callable[[], Sequence[Point]]) -> Sequence[Point]:
        if self.away:
            return ()
        try:
            return ask()
        except StoreError:
            self._away_until = self._clock.monotonic() + AWAY_S
            return ()

    def recent(
        self, kind: str, subject: str, now_us: int, days: int = TREND_DAYS
    ) -> Sequence[Point]:
        """The last days' newest points, at most KEEP_S old."""
        now_s = self._clock.monotonic()
        place = (kind, subject, days)
        with self._lock:
            kept = self._kept.get(place)
        if kept and now_s - kept[0] < KEEP_S:
            return kept[1]
        points = self.newest(kind, subject, now_us - days * DAY_US, now_us + FUTURE_US)
        with self._lock:
            self._kept.pop(place, None)
            self._kept[place] = (now_s, points)
            if len(self._kept) > KEPT_MAX:
                self._kept.pop(next(iter(self._kept)))
        return points

    def own(self, key: str) -> bool | None:
        """Whether a reading is the person's, and no control solution; None where nobody has looked. It never changes."""
        return self._own.get(key)

    def note_own(self, told: Mapping[str, bool]) -> None:
        """Remember it of these readings."""
        with self._lock:
            self._own.update(told)
            while len(self._own) > SORTED_MAX:
                self._own.pop(next(iter(self._own)))

    def forget(self) -> None:
        """Something new has come: ask again."""
        with self._lock:
            self._kept.clear()


def spark(kind: str, points: Sequence[Point]) -> Spark | None:
    """The last readings as a line with the first alert limit; None where there is no line to draw.

    A value off the device's scale lies on the edge.
    """
    limits = LIMITS.get(kind)
    if limits is None:
        return None
    told = [_height(point, limits.part) for point in points]
    heights = [one for one in told if one is not None][-SPARK_POINTS:]
    if len(heights) < 2:  # noqa: PLR2004 one point is no trend
        return None
    scaled = [one for one in heights if math.isfinite(one)]
    limit = limits.alert[0] if limits.alert else None
    bounds = scaled if limit is None else [*scaled, limit]
    low, high = min(bounds, default=0.0), max(bounds, default=0.0)

    def y(height: float) -> float:
        within = (high - min(max(height, low), high)) / ((high - low) or 1.0)
        return round(SPARK_EDGE + (SPARK_HEIGHT - 2 * SPARK_EDGE) * within, 1)

    step = (SPARK_WIDTH - 2 * SPARK_EDGE) / (len(heights) - 1)
    line = " ".join(f"{round(SPARK_EDGE + step * n, 1)},{y(one)}" for n, one in enumerate(heights))
    return Spark(
        line, None if limit is None else y(limit), SPARK_WIDTH - SPARK_EDGE, y(heights[-1])
    )


def _height(point: Point, part: str) -> float | None:
    value = point.fields.get(part)
    if isinstance(value, int | float):
        return float(value)
    beyond = {"below": -math.inf, "above": math.inf}
    return beyond.get(str(point.fields.get(f"{part}_beyond")))


def in_unit(number: float, unit: str) -> float:
    """A limit (stored unit) as it is published in the chart's unit."""
    if unit != "mmol/L":
        return number
    return PUBLISHED_MMOL.get(number, round(number / float(MGDL_PER_MMOLL), 1))
