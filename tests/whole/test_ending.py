"""SIGTERM ends a real agent whose drivers never give way, and one that has nothing to wait for at once."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge.ending import END_S_MAX, FORCED_EXIT
from tests.whole.test_misbehaving_plugins import DRIVER, PROFILE, Box, distribution

ODD = 16
WAYS = {
    "loops": "while True: pass",
    "sleeps": "__import__('time').sleep(3600)",
    "clings": "exec('while True:\\n try: __import__(\"time\").sleep(1)\\n except BaseException: pass')",
    "spins_off": "__import__('threading').Thread(target=__import__('time').sleep, args=(3600,)).start()",
}

pytestmark = [pytest.mark.slow(45), pytest.mark.timeout(180)]


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with AsyncExitStack() as stack:
        made = Box(tmp_path, stack)
        made.plugins.mkdir()
        yield made


def odd(box: Box, *ways: str) -> None:
    """A distribution with a driver for each of these ways, and a device for each."""
    models = box.plugins / "rogue" / "models" / "rogue"
    models.mkdir(parents=True)
    (box.plugins / "rogue" / "__init__.py").touch()
    names = [f"odd{turn}" for turn in range(len(ways))]
    for name, way in zip(names, ways, strict=True):
        code = DRIVER.format(name=name, at_import="", in_visit=WAYS[way])
        (box.plugins / "rogue" / f"{name}.py").write_text(code)
        (models / f"{name}.toml").write_text(PROFILE.format(name=name))
        box.plug(f"rogue/{name}")
    drivers = {f"rogue.{name}": f"rogue.{name}:DRIVER" for name in names}
    distribution(box.plugins, "rogue-health", drivers=drivers, profiles={"rogue": "rogue"})


async def called(box: Box) -> None:
    """Until a driver's code runs."""
    notes = box.folder / "data" / "drivers.json"
    async with asyncio.timeout(30):
        while not (notes.exists() and json.loads(notes.read_text())["calling"]):  # noqa: ASYNC110 another process writes it
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)


async def test_an_agent_ends_in_time_whatever_sixteen_drivers_do(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tries:
        for way in WAYS:
            tries.create_task(_ends_in_time(Box(tmp_path / way, stack), way))


async def _ends_in_time(box: Box, way: str) -> None:
    box.plugins.mkdir(parents=True)
    odd(box, *[way] * ODD)
    agent = await box.start()
    await called(box)
    agent.send_signal(signal.SIGTERM)
    _, told = await asyncio.wait_for(agent.communicate(), END_S_MAX + 15)

    assert agent.returncode == FORCED_EXIT, f"{way}: {told.decode()}"
    last = told.decode().splitlines()[-1]
    assert last.startswith(f"vitalgate: not at an end {END_S_MAX:g} s after SIGTERM"), way


async def test_an_agent_that_waits_for_nothing_ends_at_once(box: Box) -> None:
    box.plug_ultra2()
    agent = await box.start()
    await box.until(lambda told: told["lifescan/onetouch-ultra2"]["readings"] == 1)
    agent.send_signal(signal.SIGTERM)
    await asyncio.wait_for(agent.communicate(), END_S_MAX / 2)

    assert agent.returncode == 0
