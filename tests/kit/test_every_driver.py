"""Every driver of ours holds every check with each of its profiles, with fewer of the inputs that are drawn at random.

`vitalgate driver check` tries them all. New drivers are held here without a line of theirs. `memory_is_bounded` is held for the
first profile of each alone: it tells thousands of packets to a session whose every allocation is traced, and what a session
holds on to is decided by its code, which all profiles of a driver share.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from _pytest.mark import ParameterSet

from drivers.testing.case import Case
from drivers.testing.judge import CHECKS, hold
from drivers.testing.subjects import cases, offered
from tests.kit.planting import ROOT

MOST = 100
FIRST_ALONE = "memory_is_bounded"


@cache
def tried() -> list[Case]:
    """Fresh interpreters, two at a time, for the first profile of each driver: they run the same code for the others."""
    return [
        replace(case, most=MOST, installed="" if place else case.installed)
        for name in offered()
        for place, case in enumerate(cases(name, seed=1))
    ]


def pairs() -> Iterator[ParameterSet]:
    for case in tried():
        for check in CHECKS:
            if check == FIRST_ALONE and not case.installed:
                continue
            name = f"{case.subject.driver.id}-{case.profile.id}-{check}"
            yield pytest.param(case, check, id=name)


@pytest.mark.slow(0.2)
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("case", "check"), list(pairs()))
def test_our_drivers_pass(case: Case, check: str) -> None:
    found = hold(case, check)

    assert found.good, f"{found.input}: {found.why}"
    assert found.tried > 0


def test_each_driver_is_held_to_every_check() -> None:
    held = {(case.subject.driver.id, check) for case, check in (pair.values for pair in pairs())}

    assert held == {(name, check) for name in offered() for check in CHECKS}


def test_every_driver_that_is_declared_is_held() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    assert points["gateway.subjects"].keys() == points["gateway.drivers"].keys()
    assert {case.installed for case in tried() if case.installed} == set(points["gateway.drivers"])
    assert {case.subject.driver.id for case in tried()} == set(points["gateway.drivers"])
