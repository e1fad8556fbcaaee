"""What goes wrong only at the ends: of the day and the calendar, of a range in its other unit, of a memory. The kit tries those too."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from drivers.gatt.glucose import subject as ble_meter
from drivers.testing.case import Bench, Case
from drivers.testing.extremes import FULL_MAX, MOMENTS, full, odd
from drivers.testing.judge import Result, hold
from drivers.testing.subjects import cases_of
from drivers.vendor.onetouch_ultra2 import subject as cable_meter
from gateway.sdk import Command, Driver, Limit, Quantity, Reading, Report, UnitInfo
from tests.unit.drivers.broken_drivers import Bent
from tests.unit.drivers.test_kit_catches import Impostor

HELD = 100
AS_MGDL_FROM = 30
ABSURD = 700  # mg/dL; the range ends at 600


class TakesPmForAm(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, taken=told.taken and told.taken.replace(hour=told.taken.hour % 12))


class LosesTheLeapDay(Bent):
    def read(self, told: Reading) -> Reading:
        on_it = told.taken is not None and (told.taken.month, told.taken.day) == (2, 29)
        return replace(told, taken=None, raw_time="2028-02-29") if on_it else told


class GuessesTheUnit(Bent):
    id = "gatt.glucose"

    def read(self, told: Reading) -> Reading:
        part = told.parts.get("value")
        if not isinstance(part, Quantity) or part.number < AS_MGDL_FROM:
            return told
        return replace(told, parts={"value": replace(part, unit="mg/dL")})


class MarksNumbersOnly(Bent):
    def read(self, told: Reading) -> Reading:
        beyond = isinstance(told.parts.get("value"), Limit)
        return replace(told, marks=told.marks - {"control"}) if beyond else told


class KeepsNoTextOfTheTime(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, raw_time=None)


class TellsAHundred(Bent):
    told = 0

    def unit(self, unit: UnitInfo) -> UnitInfo:
        self.told = 0
        return unit

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, Report):
            self.told += 1
            return (command,) if self.told <= HELD else ()
        return (command,)


BROKEN: list[tuple[str, str, Callable[[Driver], Driver], str]] = [
    ("both_ways", "generic/glucose", TakesPmForAm, "T01:05:00"),
    ("both_ways", "generic/glucose", LosesTheLeapDay, "no time"),
    ("profile_agrees", "generic/glucose", GuessesTheUnit, "told is value 33"),
    ("control_is_marked", "generic/glucose", MarksNumbersOnly, "marks of control"),
    ("bad_clock_keeps_value", "generic/glucose", KeepsNoTextOfTheTime, "without `raw_time`"),
    ("resume_is_exact", "roche/accu-chek-guide", TellsAHundred, "620 of 720"),
]


def case_of(profile: str, driver: Callable[[Driver], Driver] | None = None) -> Case:
    subject = ble_meter.SUBJECT
    broken = subject if driver is None else Impostor(subject, driver(subject.driver))
    cases = cases_of(broken, Path(ble_meter.__file__).parent, 7)
    return next(case for case in cases if case.profile.id == profile)


@pytest.mark.parametrize(("check", "profile", "driver", "words"), BROKEN)
def test_a_driver_that_is_right_but_at_the_ends_is_caught(
    check: str, profile: str, driver: Callable[[Driver], Driver], words: str
) -> None:
    found = hold(case_of(profile, driver), check)

    assert found.result is Result.FAILED
    assert words in found.why
    assert f"--check {check} --seed 7 --only-trial {found.tried}" in found.replay


def test_the_moments_hold_noon_midnight_a_leap_day_and_a_turn_of_the_year() -> None:
    hours = {moment.hour for moment in MOMENTS}
    days = {(moment.month, moment.day) for moment in MOMENTS}
    assert {0, 11, 12, 13, 23} <= hours
    assert {(12, 31), (1, 1), (2, 29)} <= days


def test_the_ends_of_a_range_are_tried_in_the_unit_that_is_shown() -> None:
    case = case_of("generic/glucose")
    bounds = case.profile.ranges["value"]
    shown = Quantity(Decimal("5.4"), "mmol/L")
    step = Decimal("0.1")
    exact = [bound / Decimal("18.0156") for bound in (bounds.low, bounds.high)]
    low, high = (bound.quantize(step) for bound in exact)
    far = {(exact[0] / 2).quantize(step), (exact[1] * 2).quantize(step)}
    near = {low, high, low - 1, high + 1, Decimal("-1.0")}
    assert near | far == set(odd(case, "value", shown))


def test_a_range_in_a_unit_that_none_of_ours_leads_to_is_not_guessed() -> None:
    assert list(odd(case_of("generic/glucose"), "value", Quantity(Decimal(5), "stone"))) == []


def test_a_memory_is_filled_to_its_size_where_that_is_known_and_the_devices_side_holds_so_much() -> (
    None
):
    case = case_of("roche/accu-chek-guide")
    unknown = replace(case, profile=replace(case.profile, memory=None))
    cabled = cases_of(cable_meter.SUBJECT, Path(cable_meter.__file__).parent, 7)[0]
    larger = replace(cabled, profile=replace(cabled.profile, memory=10 * FULL_MAX))
    bench = full(case, "")
    assert isinstance(bench, Bench)
    assert bench.specimen.remembered == case.profile.memory
    assert full(unknown, "") is full(larger, "") is None


def test_a_bench_begins_when_it_is_told_to() -> None:
    moment = datetime(2028, 2, 29, 11)
    bench = Bench(case_of("generic/glucose"), at_s=(moment - datetime(2026, 3, 14, 7, 7, 2)).total_seconds())  # fmt: skip
    assert bench.clock.shows() == moment


class LeavesOutWhatItHoldsForImpossible(Bent):
    id = "gatt.glucose"

    def tell(self, command: Command) -> Iterable[Command]:
        part = command.reading.parts.get("value") if isinstance(command, Report) else None
        return () if isinstance(part, Quantity) and part.number > ABSURD else (command,)


def test_a_value_far_beyond_the_range_that_is_left_out_is_caught() -> None:
    found = hold(case_of("generic/glucose", LeavesOutWhatItHoldsForImpossible), "profile_agrees")

    assert found.result is Result.FAILED
    assert "told is nothing" in found.why
