"""What goes wrong only where two things come together: equal values in a row, off the scale among numbers or without a time, a clock that is a little off. The kit tries those too."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from drivers.testing.judge import Result, hold
from gateway.sdk import Command, Driver, Limit, Quantity, Reading, Report, ReportClock, UnitInfo
from tests.unit.drivers.broken_drivers import Bent
from tests.unit.drivers.test_kit_catches import case_of

DOUBLED = timedelta(minutes=15)
DRIFT = timedelta(hours=1)
LOWEST = Quantity(Decimal(20), "mg/dL")


def is_beyond(told: Reading) -> bool:
    return isinstance(told.parts["value"], Limit)


class Picky(Bent):
    """Leaves out what `drops` says."""

    def open(self, unit: UnitInfo):
        self.before: Reading | None = None
        return super().open(unit)

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, Report):
            dropped, self.before = self.drops(command.reading), command.reading
            if dropped:
                return ()
        return super().tell(command)

    def drops(self, told: Reading) -> bool:
        raise NotImplementedError


class TakesEqualsForACopy(Picky):
    def drops(self, told: Reading) -> bool:
        before = self.before
        if before is None or before.parts != told.parts or not (before.taken and told.taken):
            return False
        return timedelta() < told.taken - before.taken < DOUBLED


class KeepsOneWithoutATime(Picky):
    def drops(self, told: Reading) -> bool:
        before = self.before
        return before is not None and before.taken is None and told.taken is None


class ShiftsTimesBehindALimit(Bent):
    late: datetime | None = None

    def open(self, unit: UnitInfo):
        self.late = None
        return super().open(unit)

    def read(self, told: Reading) -> Reading:
        late, self.late = self.late, told.taken if is_beyond(told) else None
        return replace(told, taken=late or told.taken)


class LosesTheTimeOfALimit(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, taken=None) if is_beyond(told) else told


class TellsANumberWithoutATime(Bent):
    def read(self, told: Reading) -> Reading:
        odd = is_beyond(told) and told.taken is None
        return replace(told, parts={"value": LOWEST}) if odd else told


class TellsANumberOfControl(Bent):
    def read(self, told: Reading) -> Reading:
        odd = is_beyond(told) and "control" in told.marks
        return replace(told, parts={"value": LOWEST}) if odd else told


class MarksWhatHasATime(Bent):
    def read(self, told: Reading) -> Reading:
        return told if told.taken else replace(told, marks=told.marks - {"control"})


class TakesADriftForAFault(Bent):
    """Sets times right where the clock is a little off: the edge does so once more."""

    def unit(self, unit: UnitInfo) -> UnitInfo:
        self.local_time, self.ahead = unit.local_time, timedelta()
        return unit

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportClock):
            ahead = command.shown - self.local_time(self._at)
            self.ahead = ahead if abs(ahead) < DRIFT else timedelta()
        return super().tell(command)

    def read(self, told: Reading) -> Reading:
        return replace(told, taken=told.taken and told.taken - self.ahead)


@pytest.mark.parametrize("which", ["meter", "ble_meter"])
@pytest.mark.parametrize(
    ("driver", "check", "words"),
    [
        (TakesEqualsForACopy, "both_ways", "2 were measured, 1 are told"),
        (KeepsOneWithoutATime, "bad_clock_keeps_value", "does not tell of value"),
        (ShiftsTimesBehindALimit, "lo_hi_are_limits", "measured: "),
        (LosesTheTimeOfALimit, "lo_hi_are_limits", "measured: "),
        (TellsANumberWithoutATime, "lo_hi_are_limits", "told as value 20 mg/dL"),
        (TellsANumberOfControl, "control_is_marked", "told as value 20 mg/dL"),
        (TakesADriftForAFault, "times_are_true", "was measured at"),
        (MarksWhatHasATime, "control_is_marked", "marks of control are"),
    ],
)
def test_the_kit_names_it(
    driver: Callable[[Driver], Driver], check: str, words: str, which: str
) -> None:
    found = hold(case_of(which, driver), check)

    assert found.result is Result.FAILED
    assert words in found.why
