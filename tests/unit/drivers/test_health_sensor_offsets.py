"""An offset that no place on earth has moves no reading: the sensor's own clock says what is added to UTC, or nobody does."""

from datetime import datetime, timedelta

import pytest

from drivers.gatt.health_sensor.codec import Measured, numeric
from drivers.gatt.health_sensor.terms import reading
from drivers.gatt.health_sensor.values import ElapsedTime
from gateway.sdk import Special

UTC_WITH_OFFSET = 0x32  # UTC, an offset is used, the current timeline
STEPS = 826_700_000
TEMPERATURE = Measured(150364, 6048, Special.NAN)


@pytest.mark.parametrize(
    ("quarters", "hours"), [(-48, -12), (0, 0), (23, 5.75), (64, 16), (-49, None), (65, None), (-128, None), (127, None)]
)  # fmt: skip
def test_offsets_of_places_are_told_and_others_are_none(quarters: int, hours: float | None) -> None:
    told = ElapsedTime(UTC_WITH_OFFSET, STEPS, quarters=quarters)
    assert told.offset == (None if hours is None else timedelta(hours=hours))
    assert told.quarters == quarters, "as it stands"


def test_the_sensors_own_clock_says_what_an_observation_does_not() -> None:
    told = numeric(TEMPERATURE, ElapsedTime(UTC_WITH_OFFSET, STEPS, quarters=-128))
    made = reading(told, b"", zone=timedelta(hours=1))
    assert made is not None
    assert (made.taken, made.offset) == (datetime(2026, 3, 13, 6, 53, 20), timedelta(hours=1))
