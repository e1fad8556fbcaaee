"""Whatever happens to a device's clock between visits, a reading's true time lies within the interval that is stated for it."""

from datetime import UTC, datetime
from itertools import chain

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge.clock_history import NOTHING, STRETCHES_MAX, ClockPair, met
from edge.timekeeping import APART_S, FRESH_S, Arrival, moment_of, remembered
from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.model.observation import TimeMethod
from tests.unit.edge.clock_life import (
    ALIKE_S,
    CUFF,
    DAY_S,
    METER,
    UNSET,
    UTC_ZONE,
    Life,
    World,
    base,
    covers,
    is_told_fresh,
    off_s,
)

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
