"""What a record of a sensor makes of a reading: limits, marks, its time by the session that it belongs to. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from drivers.gatt.cgm.codec import Feature, Number, Record, Start
from drivers.gatt.glucose.codec import CONTROL_TYPE, LOCATIONS, TYPES
from gateway.sdk import Limit, Quantity, Reading, Special

# Interstitial glucose follows that of the blood by minutes: it is never told as `glucose`.
KIND = "continuous_glucose"
PART, TREND = "value", "trend"
UNIT, TREND_UNIT = "mg/dL", "mg/dL/min"
SUBCUTANEOUS = 5

# Sensors say how good a value is in percent, and the standard not from where on it is good: this figure is our own choice.
QUALITY_GOOD_MIN = Decimal(80)

TOO_LOW, TOO_HIGH = 1 << 22, 1 << 23
SESSION_STOPPED = 1 << 0
STATUS_MARKS: Mapping[int, str] = {
    SESSION_STOPPED: "session_stopped",
    1 << 1: "battery_low",
    1 << 2: "sensor_type_incorrect",
    1 << 3: "sensor_malfunction",
    1 << 4: "device_specific_alert",
    1 << 5: "general_device_fault",
    1 << 8: "time_sync_required",
    1 << 9: "calibration_not_allowed",
    1 << 10: "calibration_recommended",
    1 << 11: "calibration_required",
    1 << 12: "temperature_too_high",
    1 << 13: "temperature_too_low",
    1 << 14: "calibration_pending",
    1 << 16: "below_patient_low",
    1 << 17: "above_patient_high",
    1 << 18: "below_hypo",
    1 << 19: "above_hyper",
    1 << 20: "falling_too_fast",
    1 << 21: "rising_too_fast",
    TOO_LOW: "result_too_low",
    TOO_HIGH: "result_too_high",
}
_LIMITS: Mapping[Number, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}
_LIMIT_BITS: Mapping[int, Limit] = {TOO_HIGH: Limit.ABOVE, TOO_LOW: Limit.BELOW}

START_UNKNOWN = "session_start_unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from: the start by which its session is named (None: unknown), what the sensor says of it, and of itself."""

    named: datetime | None
    start: Start
    feature: Feature


def reading(told: Record, raw: bytes, origin: Origin) -> Reading:
    """One record. Session start and minutes since then name it: the number is the minutes, and the time the sum."""
    taken = _taken(told, origin)
    parts = {PART: _part(told), TREND: _number(told.trend, TREND_UNIT)}
    return Reading(
        kind=KIND,
        parts={name: part for name, part in parts.items() if part is not None},
        taken=taken,
        raw_time=f"{origin.start.time.text} + {told.offset_min} min" if taken is None else None,
        sequence=told.offset_min,
        context=dict(_context(told, parts[PART], origin)),
        marks=frozenset(_marks(told, parts, origin, taken)),
        raw=raw,
    )


def _taken(told: Record, origin: Origin) -> datetime | None:
    if origin.named is None:
        return None
    try:
        return origin.named + timedelta(minutes=told.offset_min)
    except OverflowError:
        return None


def _part(told: Record) -> Quantity | Limit | None:
    """LO and HI come as an infinity, or as a bit beside NaN or the number that the range ends with."""
    if told.glucose in _LIMITS:
        return _LIMITS[told.glucose]
    beyond = _LIMIT_BITS.get(told.annunciation & (TOO_HIGH | TOO_LOW))
    return beyond or _number(told.glucose, UNIT)


def _number(told: Number | None, unit: str) -> Quantity | Limit | None:
    if told is None or isinstance(told, Special):
        return _LIMITS.get(told) if told is not None else None
    return Quantity(told, unit)


def _marks(
    told: Record,
    parts: Mapping[str, Quantity | Limit | None],
    origin: Origin,
    taken: datetime | None,
) -> Iterator[str]:
    for bit, mark in STATUS_MARKS.items():
        if told.annunciation & bit:
            yield mark
    if parts[PART] is None:
        yield f"not_available:{PART}"
    if told.trend is not None and parts[TREND] is None:
        yield f"not_available:{TREND}"
    if origin.feature.type == CONTROL_TYPE:
        yield "control"
    if taken is None:
        yield START_UNKNOWN
    match told.quality:
        case Special():
            yield "quality_unknown"
        case Decimal() as percent if percent < QUALITY_GOOD_MIN:
            yield "quality_low"
        case _:
            pass


def _context(
    told: Record, part: Quantity | Limit | None, origin: Origin
) -> Iterator[tuple[str, str]]:
    kind, place = origin.feature.type, origin.feature.location
    yield "sample_type", TYPES.get(kind, f"reserved_{kind}")
    yield "sample_location", _LOCATIONS.get(place, f"reserved_{place}")
    yield "session_minutes", f"{told.offset_min}"
    if isinstance(told.quality, Decimal):
        yield "quality", f"{told.quality:f} %"
    if isinstance(part, Limit) and isinstance(told.glucose, Decimal):
        yield "sent", f"{told.glucose:f} {UNIT}"
    if origin.start.ahead is not None:
        yield "session_zone_min", f"{int(origin.start.ahead.total_seconds()) // 60}"


_LOCATIONS: Mapping[int, str] = {**LOCATIONS, SUBCUTANEOUS: "subcutaneous_tissue"}
