"""A short round of fuzzing over every driver that is installed, and that the fuzzer can find something."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from drivers.testing.case import Case
from drivers.testing.fuzz import Octets, Tally, bent_frames, visited
from drivers.testing.subjects import cases, offered
from gateway.sdk import Command, Event, Received, Session, UnitInfo
from tests.unit.drivers.test_kit_catches import Impostor

FRAMES = 6_000
VISITS = 25


def all_cases() -> Iterator[Case]:
    for driver in offered():
        yield from cases(driver, 1)


@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.profile.id)
def test_altered_frames_raise_nothing_but_peer_error(case: Case) -> None:
    tally = Tally()
    for _ in bent_frames(case, Random(3), tally):
        if tally.frames > FRAMES:
            break

    assert tally.found == {}


@pytest.mark.parametrize("case", list(all_cases()), ids=lambda case: case.profile.id)
def test_a_visit_made_of_any_octets_ends_in_order(case: Case) -> None:
    rng = Random(5)

    found = [why for _ in range(VISITS) if (why := visited(case, rng.randbytes(300)))]

    assert found == []


class Picky:
    """Raises over one octet that no true frame begins with."""

    id, contract = "picky", 0

    def __init__(self, case: Case) -> None:
        self._true = case.subject.driver

    def open(self, unit: UnitInfo) -> Session:
        self._session = self._true.open(unit)
        return self

    def on(self, event: Event) -> Iterator[Command]:
        if isinstance(event, Received) and event.data[:1] == b"\xee":
            raise KeyError(event.data[0])
        yield from self._session.on(event)


def test_what_a_driver_raises_is_found_with_the_octets_that_show_it() -> None:
    case = next(all_cases())
    picky = replace(case, subject=Impostor(case.subject, Picky(case)))
    tally, rng = Tally(), Random(1)
    for _ in bent_frames(picky, rng, tally):
        if tally.found:
            break

    assert list(tally.found) == ["KeyError: 238"]
    assert tally.found["KeyError: 238"].startswith("ee")


def test_the_same_octets_make_the_same_visit() -> None:
    one, other = Octets(b"\x07\x00\x05ab"), Octets(b"\x07\x00\x05ab")

    assert [one.randrange(8), one.randrange(300), one.randbytes(1)] == [7, 5 * 256 % 300, b"a"]
    assert other.randrange(8) == 7
    assert [Octets(b"").randrange(8), Octets(b"").random() > 0.9] == [7, True]
