"""Steps of a device's clock, one by one: what each leaves certain of a reading's time, and what it makes doubtful."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.clock_history import NOTHING, STRETCHES_MAX, ClockPair, decode, met
from edge.timekeeping import Arrival, moment_of, remembered
from gateway.contract.session import Reading
from gateway.model.observation import Moment, TimeMethod
from gateway.runtime.clock import from_iso
from tests.unit.edge.clock_life import (
    CUFF,
    DAY_S,
    METER,
    NOON_S,
    UNSET,
    UTC_ZONE,
    World,
    base,
    covers,
    is_told_fresh,
    naive,
    off_s,
)


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


def set_by_two_boxes(apart_s: float, *, broken_off: bool) -> World:
    """We set its clock; before we come again it measures, and another box sets it, whose clock is that far ahead."""
    world = World(CUFF, apart_s)
    world.visit(tells=0 if broken_off else None)
    for _ in range(3):
        world.now_s += 600
        world.measure()
        world.now_s += 1
        world.set_to(apart_s)
        world.now_s += 3
        world.visit(tells=1 if broken_off else None)
    return world


@pytest.mark.parametrize("broken_off", [False, True])
@pytest.mark.parametrize("apart_s", [45.0, -45.0, 2 * 3_600.0, DAY_S, -DAY_S])
def test_a_device_that_another_box_with_a_wrong_clock_sets_in_turn_is_dated_within_its_interval(
    apart_s: float, *, broken_off: bool
) -> None:
    world = set_by_two_boxes(apart_s, broken_off=broken_off)

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
