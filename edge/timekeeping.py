"""A device's stored time -> UTC with method and uncertainty. Pure: no clock, no zone but the one it is given.

What a clock pair proves is the distance between the device's clock and UTC *now*, and nothing about zones. So a stored time is
corrected by that one distance, and daylight saving only widens the interval: a person may have moved the clock since. A record
from before the clock was set is corrected by the distance that was seen then; where both fit, the interval covers both.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge.clock_history import (
    BOX_STEP_S,
    DAY_S,
    NOTHING,
    ClockMemory,
    ClockPair,
    Stretch,
    seen,
)
from gateway.contract.profile import ClockRule, Profile
from gateway.contract.session import Reading
from gateway.contract.stamping import is_dated
from gateway.model.observation import SPAN_S_MAX, Moment, TimeMethod
from gateway.runtime.clock import iso

FUTURE_S = 60.0  # a stored time that lies further ahead of its own arrival is none
AGE_MAX_S = 10 * 365 * DAY_S  # older than any of these devices' memories: the clock was never set
FRESH_S = 3_600.0  # the shortest time for which a rule still pages
APART_S = 600.0  # by less than this it does not matter which it was
TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a reading reached the box (aware), the zone of the device's clock, and whether the box doubts its own clock.

    `box_off_s`: what the box's clock lacks to the true time, where the cloud has said so.
    """

    at: datetime
    zone: ZoneInfo
    box_in_doubt: bool = False
    box_off_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Resolved:
    """One way to read a stored time. `off_s`: how far it lies outside the time in which it can hold; `likely`: 0 to 1.

    `disproved`: it can hold, but what visits saw all but rules it out.
    """

    utc: datetime
    early_s: float
    late_s: float
    method: TimeMethod
    off_s: float = 0.0
    likely: float = 1.0
    disproved: bool = False


def moment_of(
    reading: Reading,
    profile: Profile,
    arrival: Arrival,
    pair: ClockPair | None,
    memory: ClockMemory = NOTHING,
) -> Moment:
    """When a reading was taken.

    `pair` is the one of this visit, None where the clock could not be read; `memory` is what the visits before it left. A
    stored time that is missing, impossible, near a reset epoch, in the future or absurdly old gives the moment of arrival
    instead, marked unknown unless the visit saw it being made; the measurement stays. A time near a reset epoch is not corrected even with a pair: it may come
    from before an earlier reset.
    """
    if pair is None:
        resolved = _assume(reading, profile, arrival)
    else:
        known = remembered(memory, pair, profile, arrival.zone, arrival.box_off_s)
        resolved = _resolve(reading, profile, arrival, known)
    if resolved is None:
        return _unknown(reading, arrival, memory)
    assert reading.taken is not None
    return Moment(
        utc=iso(resolved.utc),
        method=resolved.method,
        early_s=_span(resolved.early_s),
        late_s=round(resolved.late_s, 3),
        device=_told(reading),
        offset_s=(resolved.utc.replace(tzinfo=None) - reading.taken).total_seconds(),
        zone=arrival.zone.key,
        box_in_doubt=arrival.box_in_doubt,
    )


def remembered(
    memory: ClockMemory, pair: ClockPair, profile: Profile, zone: ZoneInfo, box_off_s: float = 0.0
) -> ClockMemory:
    """The memory with this visit's pair; where the profile lets the agent set the clock, also that it is about to.

    It is set to the true local time: by the box's clock, that lies `box_off_s` further ahead.
    """
    set_to_s = None
    if profile.clock.settable:
        true = datetime.fromtimestamp(pair.box_s + box_off_s, UTC)
        set_to_s = _offset(zone, true).total_seconds() + box_off_s
    return seen(memory, pair, profile.clock, set_to_s)


def _unknown(reading: Reading, arrival: Arrival, memory: ClockMemory) -> Moment:
    early_s = None
    seen_s = reading.within_s if reading.within_s is not None else -1.0
    known = 0 <= seen_s <= AGE_MAX_S
    if known:
        # The visit saw it being made: it needs no clock of the device's.
        early_s = round(seen_s, 3)
    elif reading.pushed and memory.emptied_s is not None:
        # A device that tells by itself, and had told all: this was measured since then, whenever it is told.
        since_s = max(0.0, arrival.at.timestamp() - memory.emptied_s) + BOX_STEP_S
        early_s = _span(since_s)
    return Moment(
        utc=iso(arrival.at),
        method=TimeMethod.ARRIVAL,
        known=known,
        early_s=early_s,
        device=_told(reading),
        zone=arrival.zone.key,
        box_in_doubt=arrival.box_in_doubt,
    )


def _span(seconds: float) -> float | None:
    # A box that has been in another century since says nothing of it, and no envelope carries such an interval.
    return round(seconds, 3) if seconds <= SPAN_S_MAX else None


def _told(reading: Reading) -> str | None:
    if reading.taken is not None:
        return reading.taken.isoformat()
    # As on the wire: no control characters, and no longer than a line.
    told = reading.raw_time
    return told if told is None else "".join(filter(str.isprintable, told))[:TEXT_CHARS_MAX]


def _resolve(
    reading: Reading, profile: Profile, arrival: Arrival, memory: ClockMemory
) -> _Resolved | None:
    """By the stretch in which it was stored; where several can have been, by the likeliest, within an interval over all."""
    if not is_dated(reading, profile):
        return None
    found = list(_ways(reading, profile, arrival, memory))
    # Where none can be, something happened that no visit saw: the interval then says how little is known.
    ways = [way for way in found if way.off_s == 0] or found
    if not ways:
        return None
    best = _best(ways, arrival, pushed=reading.pushed)
    early_s, late_s = best.early_s, best.late_s
    for way in ways:
        apart_s = (way.utc - best.utc).total_seconds()
        early_s = max(early_s, way.early_s - apart_s)
        late_s = max(late_s, way.late_s + apart_s)
    if best.off_s > 0:
        # It was stored by a clock that no visit saw, such as one that was set twice: at any time since the device had told all.
        late_s = max(late_s, (arrival.at - best.utc).total_seconds())
        since_s = -math.inf if memory.emptied_s is None else memory.emptied_s - BOX_STEP_S
        early_s = max(early_s, best.utc.timestamp() - since_s)
    return _Resolved(best.utc, early_s, late_s, best.method)


def _best(ways: Sequence[_Resolved], arrival: Arrival, *, pushed: bool) -> _Resolved:
    # The later of equals: `ways` are in the order of the stretches.
    best = max(enumerate(ways), key=lambda at: (-at[1].off_s, at[1].likely, at[0]))[1]
    if not pushed or _is_fresh(best, arrival):
        return best
    # A device that tells by itself mostly tells soon after measuring: what may be fresh is not hidden as stale. However
    # little likely it is: `likely` knows nothing of that, and spreads over days a step that a person makes with the device in
    # hand. Played with such, the fresh ways of less than a thousandth of the other's share were true the most often.
    fresh = [
        way
        for way in ways
        if way.off_s == 0
        and not way.disproved
        and _is_fresh(way, arrival)
        and (way.utc - best.utc).total_seconds() > APART_S
    ]
    return max(fresh, key=lambda way: way.likely, default=best)


def _is_fresh(way: _Resolved, arrival: Arrival) -> bool:
    return (arrival.at - way.utc).total_seconds() <= FRESH_S


def _ways(
    reading: Reading, profile: Profile, arrival: Arrival, memory: ClockMemory
) -> Iterator[_Resolved]:
    for stretch in memory.stretches:
        try:
            way = _correct(_local(reading), profile.clock, arrival, stretch)
        except (OverflowError, ValueError):
            # A time at the edge of the calendar can't be moved.
            continue
        if way is not None:
            yield _placed(way, stretch, memory.emptied_s)


def _correct(
    local: datetime, clock: ClockRule, arrival: Arrival, stretch: Stretch
) -> _Resolved | None:
    seen_at = datetime.fromtimestamp(stretch.last_s, UTC)
    utc = (local - timedelta(seconds=stretch.ahead_s)).replace(tzinfo=UTC)
    at_s = utc.timestamp()
    drifting_s = max(abs(stretch.last_s - at_s), at_s - stretch.base_s)
    unsure_s = stretch.unsure_s + clock.drift_s_per_day * drifting_s / DAY_S
    if not _is_usable(utc, arrival, unsure_s + (0.0 if stretch.written else FUTURE_S)):
        return None
    others = [utc + timedelta(seconds=stretch.ahead_s - was) for was in _range(stretch)]
    others.append(utc + (_offset(arrival.zone, seen_at) - _offset(arrival.zone, utc)))
    return _widen(utc, others, unsure_s, TimeMethod.CORRECTED)


def _range(stretch: Stretch) -> Iterable[float]:
    # Wider than a memory reaches says nothing more, and no envelope carries it.
    return (
        max(stretch.low_s, stretch.ahead_s - AGE_MAX_S),
        min(stretch.high_s, stretch.ahead_s + AGE_MAX_S),
    )


def _placed(way: _Resolved, stretch: Stretch, emptied_s: float | None) -> _Resolved:
    at_s = way.utc.timestamp()
    earliest_s, latest_s = at_s - way.early_s, at_s + way.late_s
    off_s = max(
        0.0,
        0.0 if stretch.since_s is None else stretch.since_s - latest_s,
        0.0 if stretch.until_s is None else earliest_s - stretch.until_s,
        0.0 if emptied_s is None else emptied_s - BOX_STEP_S - latest_s,
    )
    disproved = stretch.ours_s is not None and at_s > stretch.ours_s
    likely = 0.0 if disproved else _likelihood(stretch, at_s)
    return replace(way, off_s=off_s, likely=likely, disproved=disproved)


def _likelihood(stretch: Stretch, at_s: float) -> float:
    """That the clock already, and still, ran so: a step may have come at any moment between two visits."""
    if stretch.written:
        return 0.0  # hardly any device measures while it is visited
    begun = ended = 1.0
    if stretch.since_s is not None and stretch.since_s < stretch.first_s:
        begun = (at_s - stretch.since_s) / (stretch.first_s - stretch.since_s)
    if stretch.until_s is not None and stretch.last_s < stretch.until_s:
        ended = (stretch.until_s - at_s) / (stretch.until_s - stretch.last_s)
    return max(0.0, min(begun, ended, 1.0))


def _assume(reading: Reading, profile: Profile, arrival: Arrival) -> _Resolved | None:
    if not is_dated(reading, profile):
        return None
    try:
        # Fold 0 and 1 differ where the clock was put back (twice this time) or forward (never this time).
        first, second = (
            _local(reading).replace(tzinfo=arrival.zone, fold=fold).astimezone(UTC)
            for fold in (0, 1)
        )
        unsure_s = profile.clock.trust_s + profile.clock.resolution_s
        resolved = _widen(first, [second], unsure_s, TimeMethod.ASSUMED)
    except (OverflowError, ValueError):
        return None
    if profile.advertised and resolved.utc + timedelta(seconds=resolved.late_s) < arrival.at:
        # What is advertised was measured just now: a clock that shows less than that is wrong by more than it is believed.
        return None
    return resolved if _is_usable(first, arrival, resolved.early_s + FUTURE_S) else None


def _local(reading: Reading) -> datetime:
    assert reading.taken is not None  # only then it dates anything
    return reading.taken + (reading.offset or timedelta())


def _is_usable(utc: datetime, arrival: Arrival, future_s: float) -> bool:
    return -future_s <= (arrival.at - utc).total_seconds() <= AGE_MAX_S


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
