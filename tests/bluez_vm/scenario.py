"""The stories that the real BlueZ and our stand-in must both tell, in one run of the agent; how long each took."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from tests.bluez_vm.house import House
from tests.bluez_vm.stories import bond_lost, pairing, sensor, stream

Story = Callable[[House], Awaitable[None]]
SHORT: Mapping[str, Story] = {"a bond lost": bond_lost.act}
TOGETHER: Mapping[str, Story] = {
    **SHORT,
    "a sensor's sessions": sensor.act,
    "a stream": stream.act,
}
"""All on one adapter, as in a home."""


async def act(there: House, *, at_length: bool) -> Mapping[str, float]:
    """Play them; gives the seconds of each. Raises AssertionError where one is not as it must be."""
    took: dict[str, float] = {}
    began_s = time.monotonic()
    async with there.box.agent():
        await _timed(there, "pairing", pairing.act, took)
        async with asyncio.TaskGroup() as group:
            for name, story in (TOGETHER if at_length else SHORT).items():
                group.create_task(_timed(there, name, story, took))
    _check_nothing_else(there, at_length=at_length)
    return took | {"all stories": time.monotonic() - began_s}


async def _timed(there: House, name: str, story: Story, took: dict[str, float]) -> None:
    began_s = time.monotonic()
    await story(there)
    took[name] = time.monotonic() - began_s
    there.box.tell(f"STORY {name}: {took[name]:.0f} s")


def _check_nothing_else(there: House, *, at_length: bool) -> None:
    """When the agent has ended, too: one row for each thing that was measured, and no key twice."""
    kept = there.box.observations()
    kinds = bond_lost.KINDS + (("continuous_glucose",) if at_length else ())
    assert there.told(*kinds) == there.truth(*kinds)
    assert len({one.key for one in kept}) == len(kept)
    assert {one.kind for one in kept} == {*kinds, *(("pulse_oximetry",) if at_length else ())}
