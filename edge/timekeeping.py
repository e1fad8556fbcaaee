"""A device's stored time -> UTC with method and uncertainty. Pure: no clock, no zone but the one it is given.

What a clock pair proves is the distance between the device's clock and UTC *now*, and nothing about zones. So a stored time is
corrected by that one distance, and daylight saving only widens the interval: a person may have moved the clock since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.model.observation import Moment, TimeMethod
from gateway.runtime.clock import iso

DAY_S = 86_400.0
YEAR_MIN = 1582  # the first that the Bluetooth and ISO/IEEE date formats know
LATENCY_S = 2.0  # from the device's looking at its clock to the box's hearing of it, where it was not measured
FUTURE_S = 60.0  # a stored time that lies further ahead of its own arrival is none
AGE_MAX_S = 10 * 365 * DAY_S  # older than any of these devices' memories: the clock was never set
# A cuff offers a new measurement for about this long before it stores it and sleeps.
PUSH_WINDOW_S = 180.0
TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class ClockPair:
    """The device's clock showed `shown` (naive) when the box's stood at `box_s` (POSIX), at most `latency_s` later."""

    box_s: float
    shown: datetime
    latency_s: float = LATENCY_S


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a reading reached the box (aware), the zone of the device's clock, and whether the box doubts its own clock."""

    at: datetime
    zone: ZoneInfo
    box_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class _Resolved:
    utc: datetime
    early_s: float
    late_s: float
    method: TimeMethod


def moment_of(
    reading: Reading, profile: Profile, arrival: Arrival, pair: ClockPair | None
) -> Moment:
    """When a reading was taken.

    `pair` is the one of this visit, None where the clock could not be read. A stored time that is missing, impossible, near
    a reset epoch, in the future or absurdly old gives the moment of arrival instead, marked unknown; the measurement stays.
    A time near a reset epoch is not corrected even with a pair: it may come from before an earlier reset.
    """
    told = reading.taken.isoformat() if reading.taken else _text(reading.raw_time)
    zone = arrival.zone.key
    resolved = _resolve(reading, profile, arrival, pair) if is_trusted(reading, profile) else None
    if resolved is None:
        return Moment(
            utc=iso(arrival.at),
            method=TimeMethod.ARRIVAL,
            known=False,
            early_s=PUSH_WINDOW_S if reading.pushed else None,
            device=told,
            zone=zone,
            box_in_doubt=arrival.box_in_doubt,
        )
    assert reading.taken is not None
    return Moment(
        utc=iso(resolved.utc),
        method=resolved.method,
        early_s=round(resolved.early_s, 3),
        late_s=round(resolved.late_s, 3),
        device=told,
        offset_s=(resolved.utc.replace(tzinfo=None) - reading.taken).total_seconds(),
        zone=zone,
        box_in_doubt=arrival.box_in_doubt,
    )


def is_trusted(reading: Reading, profile: Profile) -> bool:
    """Whether the stored time may name the record: a property of record and profile, never of the visit (plan, section 6)."""
    taken = reading.taken
    if taken is None or taken.tzinfo is not None or reading.raw_time is not None:
        return False
    if taken.year < YEAR_MIN:
        return False
    span = timedelta(seconds=profile.identity.reset_span_s)
    return not any(timedelta() <= taken - epoch <= span for epoch in profile.identity.reset_epochs)


def _text(told: str | None) -> str | None:
    # As on the wire: no control characters, and no longer than a line.
    return told if told is None else "".join(filter(str.isprintable, told))[:TEXT_CHARS_MAX]


def _resolve(
    reading: Reading, profile: Profile, arrival: Arrival, pair: ClockPair | None
) -> _Resolved | None:
    assert reading.taken is not None
    try:
        local = reading.taken + (reading.offset or timedelta())
        if pair is None:
            resolved = _assume(local, profile, arrival.zone)
        else:
            resolved = _correct(local, profile, arrival.zone, pair)
        age_s = (arrival.at - resolved.utc).total_seconds()
    except (OverflowError, ValueError):
        # A time at the edge of the calendar can't be moved by an offset.
        return None
    if age_s < -(FUTURE_S + resolved.early_s) or age_s > AGE_MAX_S:
        return None
    return resolved


def _correct(local: datetime, profile: Profile, zone: ZoneInfo, pair: ClockPair) -> _Resolved:
    box = datetime.fromtimestamp(pair.box_s, UTC)
    ahead = pair.shown - box.replace(tzinfo=None)
    utc = (local - ahead).replace(tzinfo=UTC)
    age_s = abs((box - utc).total_seconds())
    # Both times are cut to the clock's resolution; `shown` was true up to the latency ago.
    clock = profile.clock
    unsure_s = clock.resolution_s + pair.latency_s + clock.drift_s_per_day * age_s / DAY_S
    switched = utc + (_offset(zone, box) - _offset(zone, utc))
    return _widen(utc, [switched], unsure_s, TimeMethod.CORRECTED)


def _assume(local: datetime, profile: Profile, zone: ZoneInfo) -> _Resolved:
    # Fold 0 and 1 differ where the clock was put back (twice this time) or forward (never this time).
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    unsure_s = profile.clock.trust_s + profile.clock.resolution_s
    return _widen(first, [second], unsure_s, TimeMethod.ASSUMED)


def _widen(
    utc: datetime, others: Iterable[datetime], unsure_s: float, method: TimeMethod
) -> _Resolved:
    early_s = late_s = 0.0
    for other in others:
        apart_s = (other - utc).total_seconds()
        early_s, late_s = max(early_s, -apart_s), max(late_s, apart_s)
    return _Resolved(utc, early_s + unsure_s, late_s + unsure_s, method)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
