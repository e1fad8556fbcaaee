"""A note on a driver that the disk does not take costs one visit: neither its device's link, nor the driver's good name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from drivers.gatt.blood_pressure.session import DRIVER
from edge.outbox.port import AsyncOutbox
from edge.quarantine import FILE, Quarantine
from edge.visits import Unit
from gateway.contract.session import Driver, Link, Session, UnitInfo
from gateway.runtime.clock import ManualClock
from gateway.runtime.errors import StoreError
from tests.unit.edge.cuff_home import BINDING, TRUE, Home, MemoryLink


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """In the way of the note, as a full disk is."""
    made = tmp_path / f"{FILE}.new"
    made.mkdir()
    return made


async def test_a_device_is_let_go_when_the_note_on_its_driver_fits_no_disk(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.db", "box-1", clock)
    home = Home(tmp_path, outbox, clock)
    unit = Unit(home.box, replace(BINDING, third_party=True))
    links: list[MemoryLink] = []

    async def open_link(now: Callable[[], float]) -> Link:
        links.append(MemoryLink(home.cuff, now))
        return links[-1]

    request.getfixturevalue("full")
    visited = await unit.visit(open_link, home.standing)
    await outbox.close()

    assert not visited.well
    assert FILE in str(unit.trouble)
    assert all(link.closed for link in links)


def test_a_driver_is_not_taken_to_have_stopped_the_agent_where_its_note_was_not_written(
    tmp_path: Path, full: Path
) -> None:
    for _ in range(3):
        full.rmdir()
        quarantine = Quarantine.open(tmp_path)
        full.mkdir()
        with pytest.raises(StoreError):
            quarantine.begin("acme.glu", third_party=True)
        full.rmdir()
        # Another's visit writes the notes again.
        quarantine.begin("acme.cuff", third_party=True)
        quarantine.end("acme.cuff", None, third_party=True)
        full.mkdir()

    full.rmdir()
    assert Quarantine.open(tmp_path).why_not("acme.glu") is None


async def test_a_driver_that_does_not_say_its_id_is_known_by_the_name_of_its_profile(
    tmp_path: Path,
) -> None:
    class Nameless:
        def open(self, unit: UnitInfo) -> Session:
            return DRIVER.open(unit)

    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.db", "box-1", clock)
    home = Home(tmp_path, outbox, clock)
    nameless = cast("Driver", Nameless())
    visited = await home.visit(Unit(home.box, replace(BINDING, driver=nameless, third_party=True)))
    await outbox.close()

    assert visited.well
