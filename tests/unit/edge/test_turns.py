"""A turn that is held is noticed, and for how long."""

import asyncio

from edge.turns import TICK_S, watch
from edge.window import Windows


async def test_what_holds_the_loop_is_noticed_for_as_long_as_it_held_it() -> None:
    turns, clock = Windows(), Clock()
    watching = asyncio.create_task(watch(turns, clock.monotonic))
    while turns.figures().count < 1:  # noqa: ASYNC110 it tells nobody of a turn
        await asyncio.sleep(0)
    clock.held_s = 0.3  # a driver that did not give the loop back
    while turns.figures().count < 2:  # noqa: ASYNC110 as above
        await asyncio.sleep(0)
    watching.cancel()

    figures = turns.figures()
    assert 300 - TICK_S * 1000 <= figures.max < 5_000


class Clock:
    """The loop's clock, but for what the driver took."""

    held_s = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + self.held_s
