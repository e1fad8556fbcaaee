"""A person's readings over time, from the time series: kept for seconds, and "away" rather than an error when it is down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from cloud_ingest.stores.series import Point, Series
from gateway.model.kinds import (
    BLOOD_PRESSURE,
    BODY_WEIGHT,
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
# (CN-HTN-2024, ESH: BP-HOME-MEAN), time in range 70-180 mg/dL (CGM-2019).
LIMITS = {
    BLOOD_PRESSURE.name: Limits("systolic", (85.0, 135.0), (180.0, 120.0)),
    GLUCOSE.name: Limits("value", (70.0, 180.0), (54.0,)),
    KETONE.name: Limits("value", None, ()),
    BODY_WEIGHT.name: Limits("weight", None, ()),
    PULSE_OXIMETRY.name: Limits("spo2", None, ()),
    HEART_RATE.name: Limits("heart_rate", None, ()),
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
        """Points of one subject, oldest first; none while the time series is away."""
        if self.away:
            return ()
        try:
            return self._series.read(kind, subject, since_us, until_us)
        except StoreError:
            self._away_until = self._clock.monotonic() + AWAY_S
            return ()

    def recent(
        self, kind: str, subject: str, now_us: int, days: int = TREND_DAYS
    ) -> Sequence[Point]:
        """The last days' points, at most KEEP_S old."""
        now_s = self._clock.monotonic()
        place = (kind, subject, days)
        with self._lock:
            kept = self._kept.get(place)
        if kept and now_s - kept[0] < KEEP_S:
            return kept[1]
        points = self.points(kind, subject, now_us - days * DAY_US, now_us + FUTURE_US)
        with self._lock:
            self._kept.pop(place, None)
            self._kept[place] = (now_s, points)
            if len(self._kept) > KEPT_MAX:
                self._kept.pop(next(iter(self._kept)))
        return points

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
