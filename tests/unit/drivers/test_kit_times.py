"""What dates a reading, and what says whose it is, beside the reading itself: the kit holds a driver to that too."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.gatt.glucose import subject as ble_meter
from drivers.gatt.weight_scale import subject as scale
from drivers.testing.between import Between
from drivers.testing.case import Case
from drivers.testing.judge import Result, hold
from drivers.testing.subject import Act, DeviceClock, Specimen
from drivers.testing.subjects import cases_of
from drivers.vendor.onetouch_ultra2 import subject as meter
from gateway.sdk import (
    Command,
    Driver,
    Profile,
    Reading,
    Report,
    ReportClock,
    ReportFacts,
    UnitInfo,
)
from tests.unit.drivers.broken_drivers import Bent
from tests.unit.drivers.test_kit_catches import Impostor

SUBJECTS = {"ble_meter": ble_meter, "meter": meter, "scale": scale}


class TellsAnHourLess(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportClock):
            return (ReportClock(command.shown - timedelta(hours=1)),)
        return (command,)


class TakesTheLastRecordForTheClock(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportClock):
            return ()
        if isinstance(command, Report) and command.reading.taken is not None:
            return (ReportClock(command.reading.taken), command)
        return (command,)


class ReadsTheClockInSpring(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        return () if isinstance(command, ReportClock) and command.shown.month > 6 else (command,)


class SetsItToUtc(Bent):
    def unit(self, unit: UnitInfo) -> UnitInfo:
        return replace(unit, zone_offset_s=0)


class MaySetEveryClock(Bent):
    def unit(self, unit: UnitInfo) -> UnitInfo:
        clock = replace(unit.profile.clock, settable=True)
        return replace(unit, profile=replace(unit.profile, clock=clock))


class TellsAllAsLive(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, pushed=True)


class SawItBeingMade(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, within_s=5.0)


class SaysNothingOfItself(Bent):
    id = "onetouch.ultra2"

    def tell(self, command: Command) -> Iterable[Command]:
        return () if isinstance(command, ReportFacts) else (command,)


class SaysItWhenAllIsTold(Bent):
    id = "onetouch.ultra2"
    held: tuple[Command, ...] = ()

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportFacts):
            self.held = (command,)
            return ()
        last = type(command).__name__ == "Finish"
        return (*self.held, command) if last else (command,)


class IsAnotherEachTime(Bent):
    id = "onetouch.ultra2"
    visits = 0

    def unit(self, unit: UnitInfo) -> UnitInfo:
        self.visits += 1
        return unit

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportFacts):
            return (ReportFacts({"serial_number": f"VISIT-{self.visits}"}),)
        return (command,)


class ComparesOneOctetOfTheNumber(Bent):
    """What its cursor says it has, and what it holds to be new, are both cut to an octet."""

    had = last = -1

    def unit(self, unit: UnitInfo) -> UnitInfo:
        self.had = self.last = self.last if unit.cursor else -1
        return unit

    def tell(self, command: Command) -> Iterable[Command]:
        if not isinstance(command, Report):
            return (command,)
        number = (command.reading.sequence or 0) % 256
        self.last = max(self.last, number)
        return (command,) if number > self.had else ()


TIMES, PROFILE, KEYS = "times_are_true", "profile_agrees", "repeats_keep_keys"
BROKEN: list[tuple[str, str, str, Callable[[Driver], Driver], str]] = [
    (TIMES, "meter", "lifescan/onetouch-ultra2", TellsAnHourLess, "was measured at 2026-03-14 08"),
    (TIMES, "ble_meter", "generic/glucose", TellsAnHourLess, "was measured at 2026-03-14 08"),
    (TIMES, "meter", "lifescan/onetouch-ultra2", TakesTheLastRecordForTheClock, "was measured at"),
    (TIMES, "meter", "lifescan/onetouch-ultra2", ReadsTheClockInSpring, "the clock is not told"),
    (TIMES, "scale", "generic/weight-scale", SetsItToUtc, "its local time is 2026-03-14 15"),
    (TIMES, "ble_meter", "generic/glucose", MaySetEveryClock, "doesn't say that it is settable"),
    (TIMES, "ble_meter", "generic/glucose", TellsAllAsLive, "are told as `pushed`"),
    (TIMES, "meter", "lifescan/onetouch-ultra2", SawItBeingMade, "the record was 1260 s old"),
    (PROFILE, "meter", "lifescan/onetouch-ultra2", SaysNothingOfItself, "no ReportFacts before"),
    (PROFILE, "meter", "lifescan/onetouch-ultra2", SaysItWhenAllIsTold, "no ReportFacts before"),
    (PROFILE, "meter", "lifescan/onetouch-ultra2", IsAnotherEachTime, "another serial_number"),
]


def case_of(which: str, profile: str, driver: Callable[[Driver], Driver] | None = None) -> Case:
    module = SUBJECTS[which]
    subject = module.SUBJECT
    broken = subject if driver is None else Impostor(subject, driver(subject.driver))
    cases = cases_of(broken, Path(module.__file__).parent, 7)
    return next(case for case in cases if case.profile.id == profile)


@pytest.mark.parametrize(("check", "which", "profile", "driver", "words"), BROKEN)
def test_a_driver_that_dates_or_names_wrongly_beside_its_readings_is_caught(
    check: str, which: str, profile: str, driver: Callable[[Driver], Driver], words: str
) -> None:
    found = hold(case_of(which, profile, driver), check)

    assert found.result is Result.FAILED
    assert words in found.why


def test_numbers_that_are_cut_to_an_octet_are_caught_once_a_full_memory_makes_room() -> None:
    case = case_of("ble_meter", "roche/accu-chek-guide", ComparesOneOctetOfTheNumber)

    found = hold(case, KEYS)

    assert found.result is Result.FAILED
    assert found.input == "a memory that is full, and makes room for three more"
    assert "3 of 723 measurements are on no disk" in found.why


def test_a_memory_that_the_devices_side_cannot_fill_is_a_failure_and_not_passed_over() -> None:
    case = case_of("meter", "lifescan/onetouch-ultra2")
    larger = replace(case, profile=replace(case.profile, memory=900))

    found = hold(larger, "resume_is_exact")

    assert (found.result, found.input) == (Result.FAILED, "a memory that is full")
    assert "the profile says memory = 900; the device's side holds fewer" in found.why


def test_a_device_that_is_full_and_measures_no_more_is_no_fault_of_the_drivers() -> None:
    case = case_of("meter", "lifescan/onetouch-ultra2")

    class TakesNoMore(Between):
        def measure(self, act: Act) -> None:
            if self.remembered == case.profile.memory:
                raise ValueError("it is full")
            super().measure(act)

    class Full(Impostor):
        def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> Specimen:
            return TakesNoMore(super().specimen(profile, clock, manner))

    full = replace(case, subject=Full(case.subject, case.subject.driver))

    assert hold(full, KEYS).result is Result.PASSED


def test_what_was_told_and_not_measured_is_shown_in_words() -> None:
    class Doubles(Bent):
        def tell(self, command: Command) -> Iterable[Command]:
            return (command, command) if isinstance(command, Report) else (command,)

    found = hold(case_of("meter", "lifescan/onetouch-ultra2", Doubles), "silence_ends")

    assert "Reading(" not in found.why
