"""How long one turn of the agent's loop lasts at worst: while a driver or the disk holds it, no other device is heard. Reads nothing."""

import asyncio
from collections.abc import Callable

from edge.window import Windows

TICK_S = 0.05


async def watch(turns: Windows, monotonic: Callable[[], float]) -> None:
    """Ask for a turn every TICK_S, for ever, and note by how much it came late."""
    while True:
        asked = monotonic()
        await asyncio.sleep(TICK_S)
        turns.add(max(0.0, monotonic() - asked - TICK_S))
