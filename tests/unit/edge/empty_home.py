"""A box without devices, whose agent is started in this process and stopped as soon as it runs. No test here."""

import asyncio
import os
from pathlib import Path

from edge import agent
from edge.settings import load
from gateway.runtime.clock import SystemClock

SETTINGS = """
agent = "box-1"
tenant = "demo"
data_dir = "{data}"
[mqtt]
port = 1
"""


async def start_and_stop(home: Path) -> None:
    """Its data lie in `home / "data"`. Raises what the agent does."""
    file = home / "box.toml"
    file.write_text(SETTINGS.format(data=home / "data"))
    stop = asyncio.Event()
    stop.set()
    before = os.umask(0o077)  # the agent sets it, for good
    try:
        await agent.run(load(file), file, SystemClock(), stop)
    finally:
        os.umask(before)
