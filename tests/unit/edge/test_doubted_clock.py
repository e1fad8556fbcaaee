"""A box that doubts its clock: what the cloud's time says of it is told to nobody as a doubt, and while it says nothing, rather a page too many."""

import pytest

from edge.sending import TIME_S_MAX
from tests.unit.edge.wrong_clock_world import BEHIND_S, World


@pytest.mark.parametrize("off_s", [0.0, 0.4, -29.0])
@pytest.mark.parametrize(("waits_s", "expected"), [(60, "open"), (3 * 3_600, "late")])
async def test_a_doubt_that_the_cloud_s_time_dispels_is_told_to_nobody(
    world: World, off_s: float, waits_s: int, expected: str
) -> None:
    """A clock once ran ahead, and the box booted with the right time: it shows less than it did, and is right all the same."""
    world.box.step(BEHIND_S - off_s)
    await world.read(in_doubt=True)
    measured = world.cloud.now()
    world.pass_s(waits_s)
    await world.connect()
    await world.answer()
    await world.arrive()

    ((state, us),) = world.alerts()
    assert state == expected
    assert abs(us / 1e6 - measured.timestamp()) < 12
    ((seen,),) = (row.observations for row in world.rows())
    assert seen is not None
    assert not seen.time.box_in_doubt


async def test_a_doubt_stands_while_the_cloud_has_not_said_the_time(world: World) -> None:
    world.box.step(BEHIND_S)
    await world.read(in_doubt=True)
    world.pass_s(3 * 3_600)
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["open"]  # rather a page too many


async def test_a_doubt_that_the_cloud_perhaps_never_had_is_dispelled_before_it_goes_again(
    world: World,
) -> None:
    world.box.step(BEHIND_S)
    await world.read(in_doubt=True)
    world.pass_s(3 * 3_600)
    await world.connect()
    await world.lose_what_is_sent()
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["late"]
    assert (await world.outbox.status()).pending == 0
