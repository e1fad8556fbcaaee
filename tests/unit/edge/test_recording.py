"""Recording: what is heard is on disk first where it is kept nowhere else, and costs no reading where it is."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from edge.links.recording import Recording, StrictRecording
from edge.outbox.port import AsyncOutbox
from edge.tape import FOLDER_BYTES_MAX, Shelf, Tape
from gateway.contract.capture import digest, parse
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.replay import replay
from gateway.contract.session import (
    Link,
    Opened,
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.identity import Scheme
from gateway.runtime.clock import ManualClock, SystemClock, from_iso
from gateway.runtime.errors import StoreError
from tests.unit.edge.test_agent_visits import DRIVER, Cuff, House, house_of

PROFILE = Profile(
    id="acme/cuff", maker="Acme", model="Cuff", kind="blood_pressure", driver="acme.cuff",
    support="", link="ble", identity=IdentityRule(Scheme.ARRIVAL),
)  # fmt: skip
NOON = from_iso("2026-03-01T12:00:00Z")


class Said:
    """A link that says what it is told to."""

    def __init__(self, *events: Opened | Received | Refused) -> None:
        self._events = events

    async def events(self) -> AsyncIterator[Opened | Received | Refused]:
        for event in self._events:
            yield event

    async def perform(self, command: Subscribe | Write | Read) -> None:
        pass

    async def close(self) -> None:
        pass


def shelf(folder: Path) -> Shelf:
    return Shelf(folder, ManualClock(NOON), "0.1.0")


def frames(count: int) -> list[Opened | Received | Refused]:
    return [
        Opened(100.0, {"name": "x"}),
        *(Received(100.5 + n, "m", bytes((n,))) for n in range(count)),
    ]


def lines_of(tape: Tape) -> int:
    return len(tape.path.read_text().splitlines()) if tape.begun else 0


@pytest.mark.parametrize("recorded", [StrictRecording, Recording])
async def test_what_was_heard_stands_in_the_file_with_times_from_its_beginning(
    tmp_path: Path, recorded: Callable[[Link, Tape], Link]
) -> None:
    tape = shelf(tmp_path / "new").tape(PROFILE, "7")
    link = recorded(Said(*frames(2)), tape)

    heard = [event async for event in link.events()]
    tape.finish({})

    told = parse(tape.path.read_text().splitlines())
    assert heard == frames(2)
    assert told.heard == [replace(event, at=event.at - 100.0) for event in frames(2)]
    assert told.header["sha256"] == digest(told)
    assert (told.header["cursor"], told.header["began"]) == ("7", "2026-03-01T12:00:00.000Z")


async def test_a_strict_recording_has_each_event_on_disk_before_it_is_told(tmp_path: Path) -> None:
    tape = shelf(tmp_path).tape(PROFILE, None)

    lines = [lines_of(tape) async for _ in StrictRecording(Said(*frames(3)), tape).events()]

    # The header, how it opened, then one line more with each frame.
    assert lines == [0, 3, 4, 5]


async def test_a_capture_of_an_agent_that_was_killed_can_be_read(tmp_path: Path) -> None:
    tape = shelf(tmp_path).tape(PROFILE, None)
    async for _ in StrictRecording(Said(*frames(3)), tape).events():
        pass

    assert len(parse(tape.path.read_text().splitlines()).heard) == 4


async def test_a_strict_recording_that_can_not_be_written_ends_the_visit(tmp_path: Path) -> None:
    tape = shelf(tmp_path / "gone").tape(PROFILE, None)
    (tmp_path / "gone").rmdir()

    with pytest.raises(StoreError):
        [event async for event in StrictRecording(Said(*frames(1)), tape).events()]


async def test_beside_an_outbox_a_recording_that_fails_costs_nothing(tmp_path: Path) -> None:
    tape = shelf(tmp_path / "gone").tape(PROFILE, None)
    (tmp_path / "gone").rmdir()

    assert [event async for event in Recording(Said(*frames(3)), tape).events()] == frames(3)


async def test_a_visit_that_heard_nothing_leaves_no_file(tmp_path: Path) -> None:
    tape = shelf(tmp_path).tape(PROFILE, None)
    async for _ in Recording(Said(*frames(0)), tape).events():
        pass

    assert not tape.begun


def test_a_folder_that_is_full_takes_no_more(tmp_path: Path) -> None:
    with (tmp_path / "big.jsonl").open("wb") as file:
        file.truncate(FOLDER_BYTES_MAX + 1)

    with pytest.raises(StoreError, match="bytes of captures"):
        shelf(tmp_path).tape(PROFILE, None)


def test_two_visits_of_one_moment_have_two_files(tmp_path: Path) -> None:
    ours = shelf(tmp_path)

    assert all(a.path != b.path for a, b in pairwise(ours.tape(PROFILE, None) for _ in range(3)))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "box").mkdir()
    outbox = await AsyncOutbox.open(tmp_path / "box" / "outbox.sqlite", "box-1", SystemClock())
    house = house_of(tmp_path / "box", outbox)
    recorded = replace(house.box, shelf=Shelf(tmp_path / "tapes", SystemClock(), "0.1.0"))
    yield House(recorded, house.binding, house.woken)
    await outbox.close()


async def test_the_agents_visits_are_recorded_and_replay_to_the_same(
    house: House, tmp_path: Path
) -> None:
    await house.visit(Cuff("A-77", (120, 130)))
    await house.visit(Cuff("A-77", (125,)))

    first, second = sorted((tmp_path / "tapes").iterdir())
    told = [parse(path.read_text().splitlines()) for path in (first, second)]
    again = [
        replay(DRIVER.open(UnitInfo(house.binding.profile, one.header.get("cursor"))), one.heard)
        for one in told
    ]
    assert [one.header.get("cursor") for one in told] == [None, "read-all"]
    assert [len(one.readings) for one in again] == [2, 1]
    assert (await house.box.outbox.status()).issued == 3


async def test_a_tape_that_fails_costs_the_agent_no_reading(house: House, tmp_path: Path) -> None:
    (tmp_path / "tapes").rmdir()
    (tmp_path / "tapes").write_text("in the way")

    visited = await house.visit(Cuff("A-77", (120, 130)))

    assert (visited.well, visited.readings) == (True, 2)
    assert house.unit.trouble is None
