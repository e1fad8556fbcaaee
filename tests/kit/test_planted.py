"""The kit finds what drivers typically do wrong: each fault, planted in a copy of our own drivers, is named by the check that was expected to.

Each fault is tried on one driver, another one each time; `make planted` (PLANTED=all) tries every pair of fault and driver.
"""

import os
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pytest

from drivers.testing.judge import CHECKS
from tests.kit.faults import BEDS, NAMED_BY, PLANTS, Bed, Plant
from tests.kit.planting import ROOT, Edit, Garden

FAULTS_MIN = 50
IN_DRIVERS_MIN = 3
PLANTED_SO_MIN = 40  # faults that stand in so many drivers, each by an edit of its own
ULTRA = "onetouch.ultra2"
DRIVERS = [bed.driver for bed in BEDS]
ALL = os.environ.get("PLANTED") == "all"


def spread() -> Iterator[Plant]:
    """Each fault once, on the driver that had fewest before it."""
    had: Counter[str] = Counter()
    of: defaultdict[str, list[Plant]] = defaultdict(list)
    for plant in PLANTS:
        of[plant.fault].append(plant)
    for fault in sorted(of, key=lambda fault: len(of[fault])):
        chosen = min(of[fault], key=lambda plant: had[plant.driver])
        had[chosen.driver] += 1
        yield chosen


SPREAD = list(spread())
TRIED: Sequence[Plant] = PLANTS if ALL else SPREAD


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    return Garden(tmp_path_factory.mktemp("garden"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("plant", TRIED, ids=str)
def test_the_fault_is_named(garden: Garden, plant: Plant) -> None:
    with garden.planted(plant.edit):
        failed = garden.check(plant.driver, [plant.check], plant.profile)

    assert list(failed) == [plant.check]


@pytest.mark.slow(10)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bed", BEDS if ALL else BEDS[-1:], ids=lambda bed: bed.driver)
def test_the_driver_as_it_is_passes_each_of_those_checks(garden: Garden, bed: Bed) -> None:
    for profile in sorted({plant.profile for plant in bed.plants}):
        checks = sorted({plant.check for plant in bed.plants if plant.profile == profile})

        assert garden.check(bed.driver, checks, profile) == {}


@pytest.mark.slow(10)
@pytest.mark.timeout(180)
def test_a_vendors_pytest_names_it_too(garden: Garden) -> None:
    plant = next(one for one in PLANTS if str(one) == f"LO as a number-{ULTRA}")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--driver", ULTRA)

    with garden.planted(plant.edit):
        ran = garden.run(*command, "-k", "limits or both_ways")

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, 1 passed" in ran.stdout
    assert "lo_hi_are_limits" in ran.stdout
    assert "--only-trial 1" in ran.stdout


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_the_place_of_the_fault_is_there_and_the_faulty_source_is_sound(plant: Plant) -> None:
    path = plant.edit.path
    bent = plant.edit.bent((ROOT / path).read_text())

    assert plant.check in CHECKS
    assert tomllib.loads(bent) if path.endswith(".toml") else compile(bent, path, "exec")


def test_the_faults_are_spread_over_all_drivers() -> None:
    had = Counter(plant.driver for plant in SPREAD)

    assert {plant.fault for plant in SPREAD} == set(NAMED_BY)
    assert set(had) == set(DRIVERS)
    assert min(had.values()) >= IN_DRIVERS_MIN


@pytest.mark.parametrize("bed", BEDS, ids=lambda bed: bed.driver)
def test_a_driver_has_each_fault_or_a_reason(bed: Bed) -> None:
    has = [plant.fault for plant in bed.plants]

    assert sorted((*has, *bed.without)) == sorted(NAMED_BY)
    assert all(len(reason) > 10 for reason in bed.without.values())


def test_every_driver_that_we_ship_is_in_the_table() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    assert sorted(DRIVERS) == sorted(points["gateway.subjects"])


def test_there_are_enough_of_them_and_most_stand_in_three_drivers() -> None:
    edits: defaultdict[str, set[Edit]] = defaultdict(set)
    for plant in PLANTS:
        edits[plant.fault].add(plant.edit)

    assert len(NAMED_BY) >= FAULTS_MIN
    assert sum(len(one) >= IN_DRIVERS_MIN for one in edits.values()) >= PLANTED_SO_MIN
