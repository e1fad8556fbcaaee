"""A box whose tenant's key is lost: its devices are not met as strangers, whose whole memory would be told once more for nobody."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import agent
from edge.settings import load
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError

SETTINGS = """
agent = "box-1"
tenant = "demo"
data_dir = "{data}"
[mqtt]
port = 1
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "box.toml"
    file.write_text(SETTINGS.format(data=tmp_path / "data"))
    before = os.umask(0o077)  # the agent sets it, for good
    yield file
    os.umask(before)


async def start_and_stop(file: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    await agent.run(load(file), file, SystemClock(), stop)


async def test_without_its_key_the_agent_does_not_start_and_with_it_it_does(box: Path) -> None:
    await start_and_stop(box)
    key = box.parent / "data" / "tenant.key"
    kept = key.rename(box.parent / "backup.key")

    with pytest.raises(ConfigError, match="under the key with the mark"):
        await start_and_stop(box)
    with pytest.raises(ConfigError, match="the old key back from its backup"):
        await start_and_stop(box)
    kept.replace(key)
    await start_and_stop(box)
