"""The kit's checks over the thermometer and the scales, with fewer of the inputs that are drawn at random."""

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.gatt.body_composition import subject as composition
from drivers.gatt.thermometer import subject as thermometer
from drivers.gatt.weight_scale import subject as weight
from drivers.testing.case import Case
from drivers.testing.judge import CHECKS, hold
from drivers.testing.subjects import cases_of

MODULES = (thermometer, weight, composition)
MOST = 100  # all are tried by `vitalgate driver check`
CASES = [
    case
    for module in MODULES
    for case in cases_of(module.SUBJECT, Path(module.__file__ or "").parent, 1)
]


def named(case: Case) -> str:
    return f"{case.subject.driver.id}-{case.profile.id}"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_our_drivers_pass(case: Case, check: str) -> None:
    found = hold(replace(case, most=MOST), check)

    assert found.good, found
    assert found.tried > 0
