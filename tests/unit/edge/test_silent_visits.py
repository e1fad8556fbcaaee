"""A device that hangs up before it has said anything, again and again: a person is told to pair it, here and in the cloud."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edge.links.ble import NotPairedError, TurnedAwayError
from edge.links.memory import MemoryLink
from edge.outbox.port import AsyncOutbox
from edge.visits import SILENT_VISITS, Unit
from gateway.contract.session import Link, Read, Subscribe, Write
from gateway.runtime.clock import ManualClock
from gateway.runtime.errors import LinkError
from tests.unit.edge.cuff_home import TRUE, Home

REMEDY = "put it into its pairing mode and run vitalgate edge pair C0:11:22:33:44:55"


class Unbonded(MemoryLink):
    """Its services happened to be known: it stands, and is gone at the first question."""

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Raises TurnedAwayError, as a real link then does."""
        self.hang_up()
        raise TurnedAwayError(f"{REMEDY}, which has not answered {command.channel}")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", clock)
    yield Home(tmp_path, outbox, clock)
    await outbox.close()


class Place:
    """One enrolled place over several visits, as an agent keeps it."""

    def __init__(self, home: Home) -> None:
        self.home, self.unit = home, home.unit

    async def hangs_up(self, *, in_discovery: bool = False) -> None:
        async def open_link(now: Callable[[], float]) -> Link:
            if in_discovery:
                raise TurnedAwayError(REMEDY)
            return Unbonded(self.home.cuff, now)

        visited = await self.unit.visit(open_link, self.home.standing)
        assert not visited.well

    async def is_out_of_reach(self) -> None:
        async def open_link(now: Callable[[], float]) -> Link:
            raise LinkError(f"connect: no answer at {now():.0f}")

        await self.unit.visit(open_link, self.home.standing)

    async def tells(self) -> None:
        self.home.pass_s(60)
        self.home.cuff.measure()
        assert (await self.home.visit(self.unit)).readings == 1

    async def console_says(self) -> str:
        (state,) = (await self.home.outbox.status()).devices
        return state.trouble or ""


@pytest.mark.parametrize("in_discovery", [False, True])
async def test_after_some_in_a_row_a_person_is_told_to_pair_it(
    home: Home, *, in_discovery: bool
) -> None:
    place = Place(home)
    await place.tells()
    for _ in range(SILENT_VISITS - 1):
        await place.hangs_up(in_discovery=in_discovery)
    assert REMEDY not in await place.console_says()

    await place.hangs_up(in_discovery=in_discovery)

    assert REMEDY in str(place.unit.trouble)
    assert REMEDY in await place.console_says()


@pytest.mark.parametrize("in_discovery", [False, True])
async def test_a_visit_says_whether_the_device_waits_for_a_person(
    home: Home, *, in_discovery: bool
) -> None:
    place = Place(home)

    class Locked(MemoryLink):
        async def perform(self, command: Subscribe | Write | Read) -> None:
            raise NotPairedError(f"{REMEDY}, which refused {command.channel}")

    async def open_link(now: Callable[[], float]) -> Link:
        if in_discovery:
            raise NotPairedError(REMEDY)
        return Locked(home.cuff, now)

    assert (await place.unit.visit(open_link, home.standing)).unpaired
    assert not (await home.visit(place.unit)).unpaired


async def test_one_that_was_never_read_is_told_of_by_its_place(home: Home) -> None:
    place = Place(home)
    await place.hangs_up()
    assert place.unit.trouble == "link closed: the device hung up before it said anything"
    for _ in range(SILENT_VISITS - 1):
        await place.hangs_up()

    assert REMEDY in str(place.unit.trouble)


async def test_a_visit_that_tells_something_clears_it(home: Home) -> None:
    place = Place(home)
    for _ in range(SILENT_VISITS):
        await place.hangs_up()
    await place.tells()
    assert place.unit.trouble is None
    assert await place.console_says() == ""

    await place.hangs_up()

    assert REMEDY not in str(place.unit.trouble)


async def test_it_counts_however_far_each_came_and_what_was_not_reached_counts_for_nothing(
    home: Home,
) -> None:
    place = Place(home)
    await place.tells()
    for turn in range(SILENT_VISITS - 1):
        await place.hangs_up(in_discovery=turn % 2 == 0)
        await place.is_out_of_reach()
    assert REMEDY not in await place.console_says()

    await place.hangs_up()

    assert REMEDY in await place.console_says()


async def test_one_that_answers_and_has_nothing_to_tell_is_not_to_be_paired(home: Home) -> None:
    unit: Unit = home.unit
    home.cuff.hangs_up = True
    for _ in range(SILENT_VISITS + 1):
        home.pass_s(3_600)
        await home.visit(unit)

    assert "pair" not in str(unit.trouble)
