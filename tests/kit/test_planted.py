"""The kit finds what drivers typically do wrong: each fault, planted in a copy of our own drivers, is named by a check."""

from collections.abc import Iterator, Mapping

import pytest

from tests.kit.faults import DRIVERS, FAULTS, PROFILES
from tests.kit.planting import Edit, Fault, Garden

FAULTS_MIN = 20
PLANTED = [(fault, driver, edit) for fault in FAULTS for driver, edit in fault.plants.items()]


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Garden:
    return Garden(tmp_path_factory.mktemp("garden"))


def pairs() -> Iterator[object]:
    for fault, driver, edit in PLANTED:
        yield pytest.param(fault, driver, edit, id=f"{fault.name}-{driver}")


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "driver", "edit"), list(pairs()))
def test_the_fault_is_named(garden: Garden, fault: Fault, driver: str, edit: Edit) -> None:
    failed = garden.failed(edit, driver, fault.checks, PROFILES[driver])

    assert failed, f"none of {', '.join(fault.checks)} names it"


@pytest.mark.slow
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_driver_as_it_is_passes_each_of_those_checks(garden: Garden, driver: str) -> None:
    checks = sorted(
        {name for fault, planted, _ in PLANTED if planted == driver for name in fault.checks}
    )

    assert garden.check(driver, checks) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_driver_has_the_fault_or_a_reason(fault: Fault) -> None:
    told: Mapping[str, object] = {**fault.plants, **fault.without}

    assert sorted(told) == sorted(DRIVERS)
    assert not set(fault.plants) & set(fault.without)
    assert all(len(reason) > 10 for reason in fault.without.values())
    assert len(fault.plants) >= 3 or fault.without


def test_there_are_enough_of_them() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= FAULTS_MIN
