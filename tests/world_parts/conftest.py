"""The virtual radio that tests are given: an air, and where an adapter on it can be had."""

from collections.abc import AsyncIterator

import pytest

from drivers.sim.world.air import Air
from drivers.sim.world.hci_tcp import serve_radio


@pytest.fixture
async def air() -> Air:
    return Air()


@pytest.fixture
async def address(air: Air) -> AsyncIterator[str]:
    async with serve_radio(air) as address:
        yield address
