"""A clock that was set twice between two visits: no visit saw the clock that stored what was measured in between."""

import pytest

from gateway.contract.profile import Profile
from tests.unit.edge.clock_life import CUFF, METER, UNSET, World, covers, off_s


@pytest.mark.parametrize("profile", [METER, UNSET, CUFF], ids=lambda one: one.driver)
@pytest.mark.parametrize("ahead_s", [-7_200.0, -90.0, 7_200.0])
def test_the_interval_of_what_was_measured_in_between_reaches_from_visit_to_visit(
    profile: Profile, ahead_s: float
) -> None:
    world = World(profile)
    world.visit()
    world.now_s += 20
    world.set_to(ahead_s)
    world.measure()
    world.now_s += 10
    world.set_to(0.0)
    world.now_s += 40
    world.visit()

    ((true_s, moment),) = world.told
    assert covers(moment, true_s)


def test_what_is_measured_after_it_is_dated_as_ever() -> None:
    world = World(METER)
    world.visit()
    world.now_s += 20
    world.set_to(-7_200.0)
    world.set_to(0.0)
    world.now_s += 10
    world.measure()
    world.now_s += 40
    world.visit()

    ((true_s, moment),) = world.told
    assert off_s(moment, true_s) < 2
    assert moment.late_s < 5


def test_where_no_visit_has_heard_all_before_nothing_bounds_how_early_it_was() -> None:
    world = World(CUFF, ahead_s=3_600.0)
    world.measure()
    world.now_s += 7_200
    world.set_to(-86_400.0)
    world.visit()

    ((true_s, moment),) = world.told
    assert covers(moment, true_s)
    assert moment.early_s is None
