"""Whatever happens to a device's clock between visits, a reading's true time lies within the interval that is stated for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge.clock_history import (
    NOTHING,
    STRETCHES_MAX,
    ClockMemory,
    ClockPair,
    decode,
    emptied,
    encode,
    met,
)
from edge.timekeeping import APART_S, FRESH_S, Arrival, moment_of, remembered
from gateway.contract.profile import ClockRule, IdentityRule, Profile
from gateway.contract.session import Reading
from gateway.model.identity import Scheme
from gateway.model.observation import Moment, TimeMethod
from gateway.runtime.clock import TimeBase, from_iso

DAY_S = 86_400.0
NOON_S = datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()
UTC_ZONE = ZoneInfo("UTC")
RESET = datetime(2010, 1, 1)
CUFF = Profile(
    id="any/cuff",
    maker="any",
    model="cuff",
    kind="blood_pressure",
    driver="gatt.blood_pressure",
    support="none",
    link="ble",
    identity=IdentityRule(Scheme.CLOCK, (RESET,), 366 * 86_400),
    clock=ClockRule(settable=True, resolution_s=1.0, drift_s_per_day=2.0, trust_s=600.0),
    deletes_on_confirm=True,
)
UNSET = replace(CUFF, clock=replace(CUFF.clock, settable=False))
METER = replace(UNSET, deletes_on_confirm=False)
# As far apart as two visits' words of one clock can be, and some more: such a step can't be told from none, or from ours.
ALIKE_S = 60.0
DRIFTED_S = 300.0  # more than any clock here drifts


def base(box_s: float, steady_s: float, boot: str = "") -> TimeBase:
    """What a box's clock rests on that shows `box_s`, so long after it was switched on."""
    return TimeBase(boot, box_s - steady_s)


def naive(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)


@dataclass
class World:
    """One device, one box, and what is true. Time goes on in seconds of UTC; the box's clock is right."""

    profile: Profile
    ahead_s: float = 0.0
    drift: float = 0.0  # seconds a day
    now_s: float = NOON_S
    set_at_s: float = NOON_S
    untold: list[tuple[float, datetime]] = field(default_factory=list)
    kept: str | None = None
    told: list[tuple[float, Moment]] = field(default_factory=list)
    current: set[float] = field(default_factory=set)  # measured since the clock was last set
    came_s: dict[float, float] = field(default_factory=dict[float, float])
    # How far ahead its clock was, in turn, since it last told all; and what another of these than the one that stored it reads
    # as fresh.
    clocks: list[float] = field(default_factory=list[float])
    unsettled: set[float] = field(default_factory=set[float])

    @property
    def ahead_now_s(self) -> float:
        return self.ahead_s + self.drift * (self.now_s - self.set_at_s) / DAY_S

    def shows(self) -> datetime:
        return naive(self.now_s + self.ahead_now_s).replace(microsecond=0)

    def measure(self) -> None:
        self.untold.append((self.now_s, self.shows()))

    def __post_init__(self) -> None:
        self.clocks.append(self.ahead_s)

    def set_to(self, ahead_s: float) -> None:
        self.ahead_s, self.set_at_s = ahead_s, self.now_s
        self.clocks.append(ahead_s)

    def two_clocks(self, true_s: float, raw: datetime) -> bool:
        shown_s = (raw - naive(0)).total_seconds()
        others = [ahead_s for ahead_s in self.clocks if abs(shown_s - true_s - ahead_s) > DRIFTED_S]
        return any(self.now_s - (shown_s - ahead_s) <= FRESH_S + DRIFTED_S for ahead_s in others)

    def reset(self) -> None:
        self.set_to((RESET - naive(self.now_s)).total_seconds())

    def memory(self) -> ClockMemory:
        return decode(self.kept)

    def visit(self, *, latency_s: float = 0.5, written: bool = True, tells: int | None = None):
        """`tells`: so many records, then the visit dies; None: all, and it ends as it should."""
        began_s, set_at_s = self.now_s, self.set_at_s
        before, _ = met(self.memory(), began_s, base(began_s, began_s))
        self.now_s += 1.0
        shown = self.shows()
        self.now_s += latency_s
        pair = ClockPair(self.now_s, shown)
        after = remembered(before, pair, self.profile, UTC_ZONE)
        self.kept = encode(after)
        if self.profile.clock.settable and written:
            self.now_s += 0.3
            self.set_to(-(self.now_s % 1.0))
        count = len(self.untold) if tells is None else tells
        told, rest = self.untold[:count], self.untold[count:]
        self.current |= {true_s for true_s, _ in told if true_s >= set_at_s}
        for true_s, raw in told:
            self.now_s += 0.1
            arrival = Arrival(datetime.fromtimestamp(self.now_s, UTC), UTC_ZONE)
            reading = Reading("blood_pressure", {}, raw, pushed=self.profile.deletes_on_confirm)
            moment = moment_of(reading, self.profile, arrival, pair, before)
            self.told.append((true_s, moment))
            self.came_s[true_s] = self.now_s
            if self.two_clocks(true_s, raw):
                self.unsettled.add(true_s)
        self.untold = rest
        self.now_s += 5.0
        if tells is None:
            self.kept = encode(emptied(after, began_s))
            self.clocks = [self.ahead_now_s]


def covers(moment: Moment, true_s: float) -> bool:
    at_s = from_iso(moment.utc).timestamp()
    # Times are told in whole milliseconds.
    early = moment.early_s is None or at_s - moment.early_s - 0.002 <= true_s
    return early and true_s <= at_s + moment.late_s + 0.002


def off_s(moment: Moment, true_s: float) -> float:
    return abs(from_iso(moment.utc).timestamp() - true_s)


def is_told_fresh(world: World, true_s: float, moment: Moment) -> bool:
    return off_s(moment, world.came_s[true_s]) <= FRESH_S


@dataclass
class Life:
    """Plays a history, and leaves out what no box could see through: see `edge.clock_history`."""

    world: World
    seen: bool = False  # by a visit
    stepped: bool = False  # since a visit saw it
    pending_s: float | None = None  # the distance that our write would have replaced, or not

    def play(self, acts: Sequence[tuple[float, str, int]]) -> None:
        for gap_s, act, number in acts:
            self.world.now_s += gap_s
            match act:
                case "measure":
                    self.world.measure()
                case "step":
                    self.step(float(number))
                case "right":
                    self.step(0.4 - self.world.ahead_now_s)
                case "reset" if self.seen and not self.stepped:
                    self.world.reset()
                case "died early":
                    self.visit(written=False, tells=0)
                case "died":
                    self.visit(tells=number % 3)
                case "visit":
                    self.visit()
                case _:
                    pass

    def step(self, by_s: float) -> None:
        to_s = self.world.ahead_now_s + by_s
        coincides = self.pending_s is not None and (
            abs(to_s) <= ALIKE_S or abs(to_s - self.pending_s) <= ALIKE_S
        )
        if not self.seen or self.stepped or coincides:
            return
        self.world.set_to(to_s)
        self.stepped = True

    def visit(self, *, written: bool = True, tells: int | None = None) -> None:
        settable = self.world.profile.clock.settable
        self.pending_s = self.world.ahead_now_s if settable else None
        self.world.visit(written=written, tells=tells)
        self.seen, self.stepped = True, False


GAPS = st.one_of(st.floats(2.0, 120.0), st.floats(2.0, 3 * DAY_S))
NUMBERS = st.one_of(
    st.integers(-120, 120), st.integers(-20_000, 20_000), st.integers(-(10**8), 10**8)
)


def histories(*acts: str) -> st.SearchStrategy[list[tuple[float, str, int]]]:
    return st.lists(st.tuples(GAPS, st.sampled_from(acts), NUMBERS), min_size=3, max_size=30)


EVERYTHING = ("measure", "measure", "measure", "visit", "died", "died early", "step", "right", "reset")  # fmt: skip


# A day of a cuff whose clock is wrong by hours, now and then in a person's hand: where a step hides what is fresh, or makes
# what is not look so.
HOURS_S = (-43_200, -18_000, -7_200, -3_600, 0, 3_600, 7_200, 18_000, 43_200)
SOON = st.one_of(st.floats(2.0, 600.0), st.floats(2.0, 6 * 3_600.0))
ROUNDS = st.tuples(
    st.tuples(st.floats(2.0, 2 * DAY_S), st.just("measure"), st.just(0)),
    st.tuples(SOON, st.sampled_from(["step", "step", "right", "reset", "nothing"]), st.sampled_from(HOURS_S)),
    st.tuples(SOON, st.sampled_from(["measure", "nothing"]), st.just(0)),
    st.tuples(SOON, st.sampled_from(["visit", "visit", "died", "died early"]), st.just(0)),
)  # fmt: skip
CLOCKS_THAT_PEOPLE_SET = given(
    acts=st.lists(ROUNDS, min_size=2, max_size=6).map(lambda rounds: [*chain(*rounds)]),
    ahead_s=st.sampled_from(HOURS_S),
    drift=st.floats(-2.0, 2.0),
)


@pytest.mark.parametrize("profile", [CUFF, UNSET], ids=["set by us", "never set by us"])
@settings(max_examples=150, deadline=None)
@given(
    acts=histories(*EVERYTHING),
    ahead_s=st.one_of(st.integers(-200, 200), st.integers(-(10**6), 10**6)),
    drift=st.floats(-2.0, 2.0),
)
def test_every_readings_true_time_lies_within_its_interval(
    profile: Profile, acts: list[tuple[float, str, int]], ahead_s: int, drift: float
) -> None:
    world = World(profile, float(ahead_s), drift)
    Life(world).play([*acts, (5.0, "visit", 0)])

    event(f"told: {min(9, len(world.told))}")
    for true_s, moment in world.told:
        assert covers(moment, true_s)


@settings(max_examples=100, deadline=None)
@given(
    acts=histories("measure", "measure", "visit", "died", "died early"),
    ahead_s=st.one_of(st.integers(-200, 200), st.integers(-(10**6), 10**6)),
    drift=st.floats(-2.0, 2.0),
)
def test_what_the_clock_that_we_set_last_has_stored_is_dated_to_within_seconds(
    acts: list[tuple[float, str, int]], ahead_s: int, drift: float
) -> None:
    world = World(CUFF, float(ahead_s), drift)
    Life(world).play([*acts, (5.0, "visit", 0)])

    for true_s, moment in world.told:
        assert moment.method is TimeMethod.CORRECTED
        age_days = (world.now_s - true_s) / DAY_S
        near = off_s(moment, true_s) <= 3.0 + 2.0 * age_days
        # Where nobody knows whether our write came through, what may be fresh is not called older: the interval says both.
        perhaps = true_s in world.unsettled and is_told_fresh(world, true_s, moment)
        assert near or (perhaps and covers(moment, true_s)) or true_s not in world.current


@pytest.mark.parametrize("profile", [CUFF, UNSET], ids=["set by us", "never set by us"])
@settings(max_examples=150, deadline=None)
@CLOCKS_THAT_PEOPLE_SET
def test_what_was_measured_within_the_hour_is_not_dated_as_older(
    profile: Profile, acts: list[tuple[float, str, int]], ahead_s: int, drift: float
) -> None:
    world = World(profile, float(ahead_s), drift)
    Life(world).play([*acts, (5.0, "visit", 0)])

    event(f"told: {min(9, len(world.told))}, two clocks: {bool(world.unsettled)}")
    for true_s, moment in world.told:
        if world.came_s[true_s] - true_s <= FRESH_S - ALIKE_S:
            assert off_s(moment, world.came_s[true_s]) <= FRESH_S + APART_S


@pytest.mark.parametrize("profile", [CUFF, UNSET], ids=["set by us", "never set by us"])
@settings(max_examples=150, deadline=None)
@CLOCKS_THAT_PEOPLE_SET
def test_what_is_older_is_dated_within_the_hour_only_where_two_clocks_can_have_stored_it(
    profile: Profile, acts: list[tuple[float, str, int]], ahead_s: int, drift: float
) -> None:
    world = World(profile, float(ahead_s), drift)
    Life(world).play([*acts, (5.0, "visit", 0)])

    for true_s, moment in world.told:
        older = world.came_s[true_s] - true_s > FRESH_S
        if older and off_s(moment, true_s) > ALIKE_S and is_told_fresh(world, true_s, moment):
            assert not moment.known or true_s in world.unsettled
            assert covers(moment, true_s)


@settings(max_examples=80, deadline=None)
@given(
    acts=histories("measure", "measure", "step", "visit"),
    ahead_s=st.integers(-(10**6), 10**6),
    drift=st.floats(-2.0, 2.0),
)
def test_a_meter_that_keeps_its_memory_is_dated_within_its_interval_too(
    acts: list[tuple[float, str, int]], ahead_s: int, drift: float
) -> None:
    world = World(METER, float(ahead_s), drift)
    Life(world).play([*acts, (5.0, "visit", 0)])

    for true_s, moment in world.told:
        assert covers(moment, true_s)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(GAPS, st.integers(-(10**8), 10**8)), max_size=40),
    settable=st.booleans(),
)
def test_what_is_kept_of_a_clock_that_nothing_holds_is_bounded(
    *, steps: list[tuple[float, int]], settable: bool
) -> None:
    world = World(CUFF if settable else UNSET)
    for gap_s, by_s in steps:
        world.now_s += gap_s
        world.set_to(world.ahead_s + by_s)
        world.visit(tells=0)

    # And the one that we were about to write.
    assert len(world.memory().stretches) <= STRETCHES_MAX + 1


def died_before_telling(ahead_s: float, **changes: object) -> World:
    """One record an hour old; then a visit that set the clock and was cut off."""
    world = World(replace(CUFF, **changes), ahead_s)  # type: ignore[arg-type]
    world.measure()
    world.now_s += 3_600
    world.visit(tells=0)
    return world


def test_a_record_from_before_our_write_is_corrected_by_what_was_seen_then() -> None:
    world = died_before_telling(-95.0)
    world.now_s += 60
    world.measure()
    world.now_s += 60
    world.visit()

    (before_s, before), (after_s, after) = world.told
    assert off_s(before, before_s) < 2
    assert off_s(after, after_s) < 2
    assert before.late_s < 5
    assert before.early_s is not None
    assert before.early_s < 5


def test_visits_that_die_one_after_the_other_forget_nothing() -> None:
    world = died_before_telling(-95.0)
    for _ in range(3 * STRETCHES_MAX):
        world.now_s += 30
        world.visit(tells=0)
    world.visit()

    ((true_s, moment),) = world.told
    assert off_s(moment, true_s) < 3


def test_a_device_that_takes_no_notice_of_our_write_is_corrected_as_before() -> None:
    world = World(CUFF, -95.0)
    for _ in range(3):
        world.measure()
        world.now_s += 600
        world.visit(written=False)

    assert world.memory().heedless
    for true_s, moment in world.told:
        assert off_s(moment, true_s) < 2
        assert moment.late_s < 5


def test_a_heedless_device_that_a_person_sets_right_is_not_taken_for_one_that_obeyed() -> None:
    world = World(CUFF, -95.0)
    world.visit(written=False)
    world.now_s += 600
    world.visit(written=False)
    world.now_s += 600
    world.measure()
    world.now_s += 600
    world.set_to(0.0)
    world.now_s += 600
    world.visit()

    ((true_s, moment),) = world.told
    assert covers(moment, true_s)
    assert moment.late_s > 90


def set_by_two_boxes(apart_s: float) -> World:
    """We set its clock; before we come again it measures, and another box sets it, whose clock is that far ahead."""
    world = World(CUFF, apart_s)
    world.visit()
    for _ in range(3):
        world.now_s += 600
        world.measure()
        world.now_s += 1
        world.set_to(apart_s)
        world.now_s += 3
        world.visit()
    return world


@pytest.mark.parametrize("apart_s", [45.0, -45.0, 2 * 3_600.0, DAY_S, -DAY_S])
def test_a_device_that_another_box_with_a_wrong_clock_sets_in_turn_is_dated_within_its_interval(
    apart_s: float,
) -> None:
    world = set_by_two_boxes(apart_s)

    assert len(world.told) == 3
    for true_s, moment in world.told:
        assert covers(moment, true_s)
        assert is_told_fresh(world, true_s, moment)


def told_after_the_write(*, ended: bool, late_h: float = 4.8) -> tuple[World, float, Moment]:
    """Once a visit was cut off before it set a clock four hours slow. The next one set it; then a reading came late."""
    world = World(CUFF, -4 * 3_600.0)
    world.visit(written=False, tells=0)
    world.now_s += DAY_S
    world.visit(tells=None if ended else 0)
    world.now_s += 60
    world.measure()
    world.now_s += late_h * 3_600
    world.visit()
    ((true_s, moment),) = world.told
    return world, true_s, moment


def test_a_lost_link_before_one_write_casts_no_doubt_on_one_that_came_through() -> None:
    world, true_s, moment = told_after_the_write(ended=True)

    assert not world.memory().deaf
    assert off_s(moment, true_s) < 2
    # A person may have set it to the second: nobody is paged for that, and the interval says so.
    assert moment.late_s > 3 * 3_600


def test_a_write_that_may_not_have_come_through_leaves_what_may_be_fresh_fresh() -> None:
    world, true_s, moment = told_after_the_write(ended=False)

    assert is_told_fresh(world, true_s, moment)
    assert covers(moment, true_s)


def test_what_is_stale_either_way_is_dated_by_the_likelier() -> None:
    _, true_s, moment = told_after_the_write(ended=False, late_h=9.0)

    assert off_s(moment, true_s) < 2
    assert moment.late_s > 3 * 3_600


def test_a_clock_that_we_set_for_certain_is_not_taken_for_running_on_though_a_person_has_set_it_since() -> (
    None
):
    world = World(CUFF, -5 * 3_600.0)
    world.visit()
    world.now_s += 60
    world.set_to(-2 * 3_600.0)
    world.now_s += 60
    world.measure()
    world.now_s += 3 * 3_600
    world.visit()

    ((true_s, moment),) = world.told
    assert off_s(moment, true_s) < 2


def test_what_a_person_set_right_on_a_device_that_lets_writes_pass_is_fresh() -> None:
    world = World(CUFF, -4 * 3_600.0)
    for _ in range(2):
        world.visit(written=False)
        world.now_s += DAY_S
    world.measure()
    world.now_s += 60
    world.set_to(0.0)
    world.now_s += 60
    world.visit(written=False)

    ((true_s, moment),) = world.told
    assert world.memory().deaf
    assert off_s(moment, true_s) < 5


@pytest.mark.parametrize("days", [1, 10, 40])
def test_what_was_measured_just_before_a_clock_was_set_back_is_fresh_however_the_clock_drifts(
    days: int,
) -> None:
    # By its drift it seems to have been measured after the visit: it is no less possible for that.
    world = World(UNSET, 0.0, 2.0)
    world.visit()
    world.now_s += days * DAY_S
    world.measure()
    world.now_s += 5
    world.set_to(world.ahead_now_s + 2 * 3_600)
    world.now_s += 5
    world.visit()

    ((true_s, moment),) = world.told
    assert is_told_fresh(world, true_s, moment)
    assert covers(moment, true_s)


def test_what_is_stored_while_the_device_is_visited_by_the_clock_just_set_is_fresh() -> None:
    world = World(CUFF, 5 * 3_600.0)
    before, _ = met(NOTHING, world.now_s, base(world.now_s, world.now_s))
    pair = ClockPair(world.now_s, world.shows())
    world.now_s += 4.0
    world.set_to(0.0)
    world.measure()
    arrival = Arrival(datetime.fromtimestamp(world.now_s + 2.0, UTC), UTC_ZONE)
    ((true_s, raw),) = world.untold
    moment = moment_of(
        Reading("body_temperature", {}, raw, pushed=True), CUFF, arrival, pair, before
    )

    assert off_s(moment, true_s) < 5
    assert moment.early_s is not None
    assert moment.early_s > 4 * 3_600


def test_a_clock_that_a_person_set_between_visits_leaves_both_times_possible() -> None:
    world = World(UNSET, -600.0)
    world.visit()
    world.now_s += 3_600
    world.measure()
    world.now_s += 3_600
    world.set_to(0.0)
    world.now_s += 3_600
    world.visit()

    ((true_s, moment),) = world.told
    assert covers(moment, true_s)
    assert moment.early_s is not None
    assert 595 < max(moment.early_s, moment.late_s) < 610


def test_a_step_that_the_drift_hides_is_covered_by_the_drift() -> None:
    world = World(METER, 0.0, 2.0)
    world.visit()
    world.now_s += 10 * DAY_S
    world.measure()
    world.set_to(world.ahead_now_s - 20.0)
    world.visit()

    ((true_s, moment),) = world.told
    assert covers(moment, true_s)
    assert moment.late_s < 30


def test_a_record_that_only_the_old_clock_can_have_stored_is_certain_again() -> None:
    # An hour fast, then set right just before the visit: by the new clock it would lie in the future.
    world = World(UNSET, 3_600.0)
    world.visit()
    world.now_s += 3_600
    world.measure()
    world.now_s += 60
    world.set_to(0.0)
    world.now_s += 60
    world.visit()

    ((true_s, moment),) = world.told
    assert off_s(moment, true_s) < 2
    assert moment.early_s is not None
    assert max(moment.early_s, moment.late_s) < 5


def test_a_battery_that_was_changed_leaves_older_records_with_the_clock_that_stored_them() -> None:
    world = World(CUFF, -95.0)
    world.measure()
    world.now_s += 3_600
    world.visit(tells=0)
    world.now_s += 3_600
    world.measure()
    world.now_s += 3_600
    world.reset()
    world.now_s += 60
    world.measure()
    world.visit()

    assert [moment.known for _, moment in world.told] == [True, True, False]
    for true_s, moment in world.told[:2]:
        assert off_s(moment, true_s) < 3


def test_a_record_stored_between_our_look_at_the_clock_and_our_write_is_covered() -> None:
    world = World(CUFF, 25 * 60.0)
    before, _ = met(NOTHING, world.now_s, base(world.now_s, world.now_s))
    pair = ClockPair(world.now_s, world.shows())
    world.now_s += 2.0
    by_old = world.shows()
    by_new = naive(world.now_s).replace(microsecond=0)
    world.now_s += 1.0
    arrival = Arrival(datetime.fromtimestamp(world.now_s, UTC), UTC_ZONE)
    for raw in (by_old, by_new):
        moment = moment_of(Reading("blood_pressure", {}, raw), CUFF, arrival, pair, before)
        assert covers(moment, world.now_s - 1.0)


def test_the_key_never_rests_on_which_clock_was_chosen() -> None:
    world = died_before_telling(-95.0)
    raw = world.untold[0][1]
    world.visit()

    assert world.told[0][1].device == raw.isoformat()


def test_what_happened_unseen_widens_the_interval_and_never_costs_the_time() -> None:
    # An emptied cuff that tells of last week: no history explains it.
    world = World(CUFF, 0.0)
    world.visit()
    world.now_s += 60
    world.untold.append((world.now_s, naive(world.now_s - 7 * DAY_S)))
    world.visit()

    ((_, moment),) = world.told
    assert moment.known
    assert moment.method is TimeMethod.CORRECTED


@settings(max_examples=80, deadline=None)
@given(
    behind_s=st.floats(-(10**7), 10**7),
    gaps_s=st.lists(st.floats(2.0, 2 * DAY_S), min_size=3, max_size=3),
    rebooted=st.booleans(),
    ahead_s=st.integers(-(10**6), 10**6),
)
def test_a_box_whose_clock_was_mended_between_visits_dates_what_is_left_within_its_interval(
    *, behind_s: float, gaps_s: list[float], rebooted: bool, ahead_s: int
) -> None:
    """The first visit ran on a wrong clock, and told nothing."""
    world = World(UNSET, float(ahead_s))
    world.measure()
    world.now_s += gaps_s[0]
    wrong = ClockPair(world.now_s - behind_s, world.shows())
    first, _ = met(NOTHING, wrong.box_s, base(wrong.box_s, world.now_s))
    kept = remembered(first, wrong, UNSET, UTC_ZONE)
    world.now_s += gaps_s[1]
    world.measure()
    world.now_s += gaps_s[2]
    steady_s = 10.0 if rebooted else world.now_s
    before, doubt = met(kept, world.now_s, base(world.now_s, steady_s))
    pair = ClockPair(world.now_s, world.shows())
    arrival = Arrival(datetime.fromtimestamp(world.now_s, UTC), UTC_ZONE, doubt)

    assert doubt == (world.now_s < wrong.box_s - 5)
    for true_s, raw in world.untold:
        moment = moment_of(Reading("blood_pressure", {}, raw), UNSET, arrival, pair, before)
        assert covers(moment, true_s)


@settings(max_examples=80, deadline=None)
@given(
    behind_s=st.floats(-(10**7), 10**7),
    gaps_s=st.lists(st.floats(50.0, 2 * DAY_S), min_size=3, max_size=3),
    set_by_s=st.integers(-(10**6), 10**6),
)
def test_a_step_of_the_boxs_own_clock_within_one_boot_costs_no_certainty(
    behind_s: float, gaps_s: list[float], set_by_s: int
) -> None:
    """The device's clock is set between two visits, the box's is mended: what was stored before is dated by the first visit."""
    world = World(METER)
    world.now_s += gaps_s[0]
    world.measure()
    wrong = ClockPair(world.now_s - behind_s, world.shows())
    first, _ = met(NOTHING, wrong.box_s, base(wrong.box_s, world.now_s, "boot"))
    kept = remembered(first, wrong, METER, UTC_ZONE)
    world.now_s += gaps_s[1]
    world.set_to(float(set_by_s))
    world.now_s += gaps_s[2]
    before, _ = met(kept, world.now_s, base(world.now_s, world.now_s, "boot"))
    pair = ClockPair(world.now_s, world.shows())
    arrival = Arrival(datetime.fromtimestamp(world.now_s, UTC), UTC_ZONE)

    (true_s, raw), *_ = world.untold
    moment = moment_of(Reading("glucose", {}, raw), METER, arrival, pair, before)

    assert covers(moment, true_s)
    assert before.stretches[0].ahead_s == pytest.approx(0.0, abs=2.0)


def test_a_box_that_boots_days_back_dates_by_what_it_saw_before() -> None:
    """A cuff was set by us twice, by other clocks of the box; then the box lost its own, and reads what lies in the cuff."""
    world = World(UNSET)
    world.measure()
    true_s, raw = world.untold[0]
    first, _ = met(NOTHING, world.now_s, base(world.now_s, 500.0, "one"))
    kept = remembered(first, ClockPair(world.now_s, world.shows()), CUFF, UTC_ZONE)
    world.set_to(45.0)
    world.now_s += 60
    second, _ = met(kept, world.now_s + 45, base(world.now_s + 45, 560.0, "one"))
    kept = remembered(second, ClockPair(world.now_s + 45, world.shows()), UNSET, UTC_ZONE)
    world.now_s += 60
    back_s = 110_185.0
    before, doubt = met(kept, world.now_s - back_s, base(world.now_s - back_s, 5.0, "two"))
    pair = ClockPair(world.now_s - back_s, world.shows())
    arrival = Arrival(datetime.fromtimestamp(pair.box_s, UTC), UTC_ZONE, doubt)

    moment = moment_of(Reading("blood_pressure", {}, raw), UNSET, arrival, pair, before)

    assert doubt
    assert covers(moment, true_s - back_s)
    assert moment.early_s is not None
    assert moment.early_s + moment.late_s < 120


def test_a_memory_that_cannot_be_read_is_like_none() -> None:
    assert decode("{") == decode('{"stretches": 7}') == decode(None) == NOTHING


def test_a_clock_at_the_edge_of_the_calendar_costs_no_measurement() -> None:
    box_s = NOON_S
    memory = NOTHING
    for year in (1, 9999, 1582, 2026):
        pair = ClockPair(box_s, datetime(year, 12, 31, 23, 59, 59))
        memory = remembered(memory, pair, CUFF, UTC_ZONE)
        arrival = Arrival(datetime.fromtimestamp(box_s, UTC), UTC_ZONE)
        for taken in (datetime(1582, 1, 1), datetime(9999, 12, 31), datetime(2026, 3, 1)):
            moment = moment_of(Reading("blood_pressure", {}, taken), CUFF, arrival, pair, memory)
            assert from_iso(moment.utc) <= arrival.at + timedelta(seconds=70)
            assert moment.late_s < 4e9
        box_s += 60
