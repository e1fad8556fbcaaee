"""One reading against its subject's rules and state: where its point goes, what it crosses, what that is worth. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from cloud_ingest.rules.limits import crosses, shown
from cloud_ingest.rules.state import (
    SLOTS_MAX,
    Crossing,
    SubjectState,
    crossed,
)
from cloud_ingest.rules.thresholds import Confirm, Rule, Thresholds
from cloud_ingest.rules.window import Recent, Window
from gateway.model.alert import Severity
from gateway.model.identity import Scheme, content_hash
from gateway.model.marks import DOUBTED, SUMMARY, WITHHELD
from gateway.model.observation import Observation, Source

SECOND_US = 1_000_000
# Equal content of one device within this time may be one measurement told twice.
SUSPECT_WINDOW_S = 900
# Summaries that don't overlap by so much are two, however equal.
OVERLAP_S = -1
# Where nothing bounds how old a reading is, it is compared with what was measured so long before it came.
SUSPECT_REACH_S = 30 * 86_400
# A first reading that comes when its time is nearly up still waits so long for a second on its way.
UNCONFIRMED_GRACE_S = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cause:
    """The reading that an alert stands on."""

    key: str
    at_us: int
    shown: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule whose limit a reading crosses.

    `alert`: the reading that completes the condition, or None (not confirmed, or a suspected duplicate).
    `doubted`: the device itself doubts the reading; the alert, if any, is one of an unconfirmed condition.
    `partners`: keys of readings that this one confirms. `wait_until_us`: when to raise it unconfirmed, if at all.
    """

    rule: Rule
    shown: str
    live: bool
    confirmed: bool
    alert: Cause | None
    alert_live: bool
    partners: tuple[str, ...] = ()
    wait_until_us: int | None = None
    doubted: bool = False


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """What the rules think of one reading, and the subject's state after it."""

    time_us: int
    at_us: int
    suspect_of: str
    findings: tuple[Finding, ...]
    state: SubjectState


class When(msgspec.Struct, frozen=True, gc=False):
    """A reading's measurement time in microseconds, and the interval that it must lie in (`low_us` None: unbounded)."""

    at_us: int
    low_us: int | None
    high_us: int


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def when(observation: Observation) -> When:
    """When it was measured."""
    time = observation.time
    at = micros(datetime.fromisoformat(time.utc))
    low = None if time.early_s is None else at - round(time.early_s * SECOND_US)
    return When(at, low, at + round(time.late_s * SECOND_US))


def fresh_from(seen: Observation, at_us: int, told_us: int) -> int:
    """From when on its age counts: where its box doubts its own clock, and the device told of it by itself, from when it was told."""
    return told_us if _is_of_unknown_age(seen) else at_us


def judge(
    thresholds: Thresholds,
    seen: Observation,
    moment: When,
    state: SubjectState,
    now_us: int,
    *,
    told_us: int | None = None,
    content: str | None = None,
) -> Assessment:
    """Place one reading, measured at `moment`, and judge it as of `now_us` (receipt, or assignment to a patient).

    `told_us`: of its receipt, where it is judged later than that: nothing that was told long ago is fresh, whatever its age.
    `content`: its content hash, where that is known. Not what the box states: a wrong one would make a dangerous value the
    repeat of a harmless one.
    Raises ValueError when the subject's slots are used up (SLOTS_MAX readings out of order).
    """
    time_us, state = _place(moment.at_us, state)
    if seen.marks and WITHHELD.intersection(seen.marks):
        return Assessment(time_us, moment.at_us, "", (), state)
    told_us = now_us if told_us is None else told_us
    sight = _Sight(thresholds, seen, moment.at_us, now_us, told_us)
    content = content or content_hash(seen.kind, seen.parts)
    recent = _recent(seen, moment, content, live=sight.live(Severity.HIGH))
    apart_s_max = OVERLAP_S if SUMMARY in seen.marks else SUSPECT_WINDOW_S
    twin = _twin(state.recent, recent, apart_s_max * SECOND_US)
    findings = [
        _finding(rule, sight, twin, state.crossings)
        for rule in thresholds.rules.get(seen.kind, ())
        if crosses(rule, seen.parts)
    ]
    if twin is None and not sight.doubted:
        # A reading in doubt is neither a second one nor the first of two, and a true one is no repeat of it.
        state = _remember(state, recent, sight, findings)
    return Assessment(time_us, moment.at_us, twin.key if twin else "", tuple(findings), state)


def second_reading_came(
    state: SubjectState, kind: str, key: str, at_us: int, confirm: Confirm
) -> bool:
    """Whether another reading of this kind was measured in the time in which it could have confirmed this one."""
    return any(
        other.kind == kind
        and other.key != key
        and confirm.gap_s * SECOND_US <= abs(other.at_us - at_us) <= confirm.within_s * SECOND_US
        for other in state.recent.readings()
    )


def forget(state: SubjectState, key: str) -> SubjectState:
    """The state without a reading that turned out to be another subject's. Its slot stays used."""
    return msgspec.structs.replace(
        state,
        recent=state.recent.without(key),
        crossings=tuple(entry for entry in state.crossings if entry.key != key),
    )


class _Sight(msgspec.Struct, frozen=True, gc=False):
    """A reading as it is looked at now."""

    thresholds: Thresholds
    seen: Observation
    at_us: int
    now_us: int
    told_us: int

    def live(self, severity: Severity) -> bool:
        """Whether a finding of this severity is recent enough to page."""
        pushed = self.seen.source is Source.PUSHED
        live_us = self.thresholds.live_for_s[severity] * SECOND_US
        # By so much too late that the error of its clock could hide a stale one: its age is not known either.
        ahead = self.at_us - self.now_us > live_us
        if not pushed and (ahead or not self.seen.time.known):
            return False
        # Where its age is not known, it was told right after measuring: rather a page too many.
        return self.now_us - fresh_from(self.seen, self.at_us, self.told_us) <= live_us

    @property
    def doubted(self) -> bool:
        """Whether the device itself says that the measurement failed."""
        return not DOUBTED.isdisjoint(self.seen.marks)

    @property
    def dated(self) -> bool:
        """Whether its time is good enough to lie between two measurements: known, or told right after measuring."""
        return self.seen.time.known or self.seen.source is Source.PUSHED


def _is_of_unknown_age(seen: Observation) -> bool:
    return seen.source is Source.PUSHED and seen.time.box_in_doubt


def _place(at_us: int, state: SubjectState) -> tuple[int, SubjectState]:
    # Slot 0, or the subject's next counter when that second is taken or past: no two points share a timestamp.
    second = at_us // SECOND_US
    if state.second is None or second > state.second:
        placed = SubjectState(state.v, second, state.slots, state.recent, state.crossings)
        return second * SECOND_US, placed
    slot = state.slots + 1
    if slot >= SLOTS_MAX:
        raise ValueError(f"slot {slot} of its subject; {SLOTS_MAX - 1} fit in a second")
    placed = SubjectState(state.v, state.second, slot, state.recent, state.crossings)
    return second * SECOND_US + slot, placed


def _recent(seen: Observation, moment: When, content: str, *, live: bool) -> Recent:
    low = moment.at_us - SUSPECT_REACH_S * SECOND_US if moment.low_us is None else moment.low_us
    return Recent(
        seen.key,
        seen.device,
        seen.kind,
        content,
        seen.transport,
        moment.at_us,
        low,
        moment.high_us,
        live,
    )


def _twin(window: Window, new: Recent, apart_us_max: int) -> Recent | None:
    """The newest reading that this one may repeat."""
    for entry in window.alike(new.content):
        if _may_be_one(entry, new, apart_us_max):
            return entry
    return None


def _may_be_one(one: Recent, other: Recent, apart_us_max: int) -> bool:
    if one.device != other.device or one.kind != other.kind or one.key == other.key:
        return False
    arrival = _by_arrival(one.key) or _by_arrival(other.key)
    if not arrival and one.transport == other.transport:
        return False
    apart_us = max(one.low_us, other.low_us) - min(one.high_us, other.high_us)
    return apart_us <= apart_us_max


def _by_arrival(key: str) -> bool:
    return key[8:11] == f"-{Scheme.ARRIVAL.value}-"


def _finding(
    rule: Rule, sight: _Sight, twin: Recent | None, crossings: Sequence[Crossing]
) -> Finding:
    value, live = shown(sight.seen), sight.live(rule.severity)
    mine = Cause(sight.seen.key, sight.at_us, value)
    if twin is not None:
        # A repeat opens nothing; but what was a stale finding, and is told live now, must page.
        sure = rule.confirm is None and not sight.doubted
        raised = mine if sure and live and not twin.live else None
        return Finding(rule, value, live, sure, raised, live)
    if sight.doubted:
        return Finding(rule, value, live, False, mine, live, doubted=True)
    if rule.confirm is None:
        return Finding(rule, value, live, confirmed=True, alert=mine, alert_live=live)
    partners = _partners(rule, rule.confirm, sight, crossings) if sight.dated else []
    if partners:
        return _confirmed(rule, sight, mine, partners)
    wait = None
    if live:
        within_us = round(rule.confirm.within_s * SECOND_US)
        # By a clock that runs ahead it was measured after it came: nobody waits until that clock is right.
        measured_us = min(sight.at_us, sight.now_us)
        wait = max(measured_us + within_us, sight.now_us + UNCONFIRMED_GRACE_S * SECOND_US)
    return Finding(rule, value, live, False, None, live, wait_until_us=wait)


def _confirmed(rule: Rule, sight: _Sight, mine: Cause, partners: Sequence[Crossing]) -> Finding:
    live = sight.live(rule.severity)
    newest = max(partners, key=lambda partner: partner.at_us)
    # The later measurement completes the condition, also where it came first.
    last = Cause(newest.key, newest.at_us, newest.shown) if newest.at_us > mine.at_us else mine
    live_from_us = sight.now_us - sight.thresholds.live_for_s[rule.severity] * SECOND_US
    pages = live or any(other.live and other.fresh_from() >= live_from_us for other in partners)
    keys = tuple(other.key for other in partners)
    return Finding(rule, mine.shown, live, True, last, pages, keys)


def _partners(
    rule: Rule, confirm: Confirm, sight: _Sight, crossings: Sequence[Crossing]
) -> list[Crossing]:
    # Between times of measurement, whichever came first: the older of a pair may arrive later, by another box.
    gap_us, within_us = confirm.gap_s * SECOND_US, confirm.within_s * SECOND_US
    return [
        other
        for other in crossings
        if other.rule == rule.id
        and other.key != sight.seen.key
        and gap_us <= abs(other.at_us - sight.at_us) <= within_us
    ]


def _remember(
    state: SubjectState, recent: Recent, sight: _Sight, findings: Sequence[Finding]
) -> SubjectState:
    crossings = state.crossings
    for finding in findings:
        if finding.rule.confirm is not None and sight.dated:
            told_us = sight.told_us if _is_of_unknown_age(sight.seen) else None
            entry = Crossing(
                finding.rule.id, recent.key, recent.at_us, finding.shown, finding.live, told_us
            )
            crossings = crossed(crossings, entry)
    return SubjectState(
        state.v, state.second, state.slots, state.recent.joined_by(recent), crossings
    )
