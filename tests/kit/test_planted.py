"""The kit finds what drivers typically do wrong: each fault, planted in a copy of our own drivers, is named by a check.

Each fault is tried on one driver, another one each time; `make planted` (PLANTED=all) tries every pair of fault and driver.
"""

import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from tests.kit.faults import DRIVERS, FAULTS, PROFILES, ULTRA
from tests.kit.planting import ROOT, Edit, Fault, Garden

FAULTS_MIN = 20
PLANTED = [(fault, driver, edit) for fault in FAULTS for driver, edit in fault.plants.items()]
ALL = os.environ.get("PLANTED") == "all"


def spread() -> Iterator[tuple[Fault, str, Edit]]:
    """Each fault once, on the driver that had fewest before it."""
    had: Counter[str] = Counter()
    for fault in FAULTS:
        driver = min(fault.plants, key=had.__getitem__, default=None)
        if driver is not None:
            had[driver] += 1
            yield fault, driver, fault.plants[driver]


TRIED = PLANTED if ALL else list(spread())


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    return Garden(tmp_path_factory.mktemp("garden"))


def pairs(chosen: list[tuple[Fault, str, Edit]]) -> Iterator[object]:
    for fault, driver, edit in chosen:
        yield pytest.param(fault, driver, edit, id=f"{fault.name}-{driver}")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("fault", "driver", "edit"), list(pairs(TRIED)))
def test_the_fault_is_named(garden: Garden, fault: Fault, driver: str, edit: Edit) -> None:
    failed = garden.failed(edit, driver, fault.checks, PROFILES[driver])

    assert failed, f"none of {', '.join(fault.checks)} names it"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", DRIVERS if ALL else DRIVERS[-1:])
def test_the_driver_as_it_is_passes_each_of_those_checks(garden: Garden, driver: str) -> None:
    checks = sorted(
        {name for fault, planted, _ in PLANTED if planted == driver for name in fault.checks}
    )

    assert garden.check(driver, checks, PROFILES[driver]) == {}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_vendors_pytest_names_it_too(garden: Garden) -> None:
    fault = next(one for one in FAULTS if one.name == "LO as a number")
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--driver", ULTRA)

    with garden.planted(fault.plants[ULTRA]):
        ran = garden.run(*command, "-k", "limits or both_ways")

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, 1 passed" in ran.stdout
    assert "lo_hi_are_limits" in ran.stdout
    assert "--only-trial 1" in ran.stdout


@pytest.mark.parametrize(("fault", "driver", "edit"), list(pairs(PLANTED)))
def test_the_place_of_the_fault_is_there_and_the_faulty_source_is_sound(
    fault: Fault, driver: str, edit: Edit
) -> None:
    bent = edit.bent((ROOT / edit.path).read_text())

    assert fault.plants[driver] is edit
    assert tomllib.loads(bent) if edit.path.endswith(".toml") else compile(bent, edit.path, "exec")


def test_the_faults_are_spread_over_all_drivers() -> None:
    tried = list(spread())
    had = Counter(driver for _, driver, _ in tried)

    assert [fault.name for fault, _, _ in tried] == [one.name for one in FAULTS if one.plants]
    assert set(had) == set(DRIVERS)
    assert min(had.values()) >= 5


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_driver_has_the_fault_or_a_reason(fault: Fault) -> None:
    told: Mapping[str, object] = {**fault.plants, **fault.without}

    assert sorted(told) == sorted(DRIVERS)
    assert not set(fault.plants) & set(fault.without)
    assert all(len(reason) > 10 for reason in fault.without.values())
    assert len(fault.plants) >= 3 or fault.without


def test_there_are_enough_of_them() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= FAULTS_MIN
