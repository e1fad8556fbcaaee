"""The kit over a device that streams: drivers that it must not let pass. That ours passes: tests/kit/test_every_driver.py."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from drivers.gatt.heart_rate.codec import SUMMING, sample
from drivers.gatt.heart_rate.subject import StrapSubject
from drivers.gatt.streaming import Hearing, Stream, Values, follow
from drivers.testing.case import Case
from drivers.testing.judge import Result, hold
from drivers.testing.subjects import cases
from gateway.contract.authoring import PushDriver
from gateway.contract.session import Driver, Reading, Received
from gateway.sdk import Flow, FlowDriver, Opened, Quantity, Subscribe, UnitInfo, wait

(STRAP,) = cases("gatt.heart_rate", seed=1)


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


def blurred(values: Values) -> Mapping[str, Quantity]:
    """The lowest is one that no sample showed, unless all are alike."""
    rates = values["heart_rate"]
    mean = Quantity(Decimal(sum(rates, Decimal()) // len(rates)), "/min")
    return {**SUMMING.parts(values), "heart_rate_lowest": mean}


def blurring() -> FlowDriver:
    """One whose summaries are wrong only where samples differ."""

    def visit(unit: UnitInfo, opened: Opened) -> Flow:
        stream = Stream(replace(SUMMING, parts=blurred), unit.profile, raw=False)
        yield Subscribe("measurement")

        def hear(event: Received) -> Hearing:
            return (yield from stream.hear(event, sample))

        yield from follow(stream, {"measurement": hear}, unit.profile, opened)

    return FlowDriver("gatt.heart_rate", visit)


def test_a_summary_of_what_no_sample_showed_is_caught_where_a_sample_is_lost() -> None:
    found = hold(by(blurring()), "mutations_lose_nothing")

    assert found.result is Result.FAILED
    assert "capture" in found.input
    assert "which no packet showed" in (found.why or "")
