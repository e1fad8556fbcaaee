"""The kit over a device that streams, and over one that keeps spot checks: what it lets pass, and drivers that it must not let pass."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from drivers.gatt.heart_rate.codec import SUMMING, sample
from drivers.gatt.heart_rate.subject import StrapSubject
from drivers.gatt.streaming import Stream
from drivers.testing.case import Case
from drivers.testing.judge import CHECKS, Result, hold
from drivers.testing.subjects import cases
from gateway.contract.authoring import PushDriver
from gateway.contract.session import Driver, Reading, Received
from gateway.sdk import Flow, FlowDriver, Opened, Subscribe, UnitInfo, wait

(STRAP,) = cases("gatt.heart_rate", seed=1)
(OXIMETER,) = cases("gatt.pulse_oximeter", seed=1)
MOST = 60


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("case", [STRAP, OXIMETER], ids=lambda case: case.profile.id)
def test_our_drivers_hold(case: Case, name: str) -> None:
    found = hold(replace(case, most=MOST), name)
    assert found.good, f"{found.input}: {found.why}"


def by(driver: Driver) -> Case:
    subject = StrapSubject()
    subject.driver = driver
    return replace(STRAP, subject=subject)


def every_sample(_channel: str, data: bytes) -> Iterator[Reading]:
    told = sample(data)
    if told.unfit is None:
        yield Reading("heart_rate", dict(SUMMING.parts(told.values)), raw=data, pushed=True)


def gathering(*, across_people: bool) -> FlowDriver:
    """One that never ends by itself; or goes on with its window, too, when somebody else wears the strap."""

    def visit(unit: UnitInfo, _opened: Opened) -> Flow:
        stream = Stream(SUMMING, unit.profile, raw=False)
        yield Subscribe("measurement")
        while True:
            event = yield from wait()
            if not isinstance(event, Received):
                continue
            told = sample(event.data)
            if across_people and not told.worn:
                told = replace(told, worn=True)
            for command in stream.hear(event, lambda _data, told=told: told):
                if command is not None:
                    yield command

    return FlowDriver("gatt.heart_rate", visit)


@pytest.mark.parametrize(
    ("driver", "check"),
    [
        # Each second is a reading of its own.
        (PushDriver("gatt.heart_rate", every_sample, channels=["measurement"]), "units_are_read"),
        # Two people in one window.
        (gathering(across_people=True), "both_ways"),
        # It waits for a minute that never comes to its end.
        (gathering(across_people=False), "silence_ends"),
    ],
    ids=["a row a second", "two people", "no end"],
)
def test_a_driver_that_would_misread_a_stream_is_caught(driver: Driver, check: str) -> None:
    assert hold(by(driver), check).result is Result.FAILED
