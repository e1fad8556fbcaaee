"""An offset that no place on earth has moves no reading: the sensor's own clock says what is added to UTC, or nobody does."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from device_profiles.loader import load_profiles
from drivers.gatt.health_sensor.codec import Measured, numeric
from drivers.gatt.health_sensor.session import DRIVER
from drivers.gatt.health_sensor.sim import HealthSensor, HealthSensorPeer
from drivers.gatt.health_sensor.terms import reading
from drivers.gatt.health_sensor.values import ElapsedTime
from gateway.contract.replay import converse
from gateway.sdk import Opened, Special, UnitInfo

ANY = load_profiles()["generic/health-sensor"]

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


UTC, LOCAL = 0x22, 0x20
EIGHT = timedelta(hours=8)
SEEN = STEPS + 100


@pytest.mark.parametrize(
    ("clock", "offset"),
    [
        (None, EIGHT),  # not there: its time is taken for that of the box's zone
        (ElapsedTime(0x21, 5), EIGHT),  # ticks
        (ElapsedTime(LOCAL, SEEN), EIGHT),
        (ElapsedTime(UTC, SEEN), None),  # what it shows is UTC too
        (ElapsedTime(UTC_WITH_OFFSET, SEEN, quarters=4), timedelta(hours=1)),
    ],
)
def test_a_time_in_utc_is_held_beside_the_clock_that_there_is(
    clock: ElapsedTime | None, offset: timedelta | None
) -> None:
    channels = {name: at for name, at in ANY.channels.items() if clock or name != "elapsed_time"}
    sensor = HealthSensor()
    sensor.store(numeric(TEMPERATURE, ElapsedTime(UTC, STEPS)))
    peer = HealthSensorPeer(sensor, {}, lambda: clock or ElapsedTime(0, 0))
    unit = UnitInfo(replace(ANY, channels=channels), zone_offset_s=8 * 3600)

    told = converse(DRIVER.open(unit), peer, Opened(0.0), deadline_s=ANY.deadline_s)

    (made,) = told.readings
    assert (made.taken, made.offset) == (datetime(2026, 3, 13, 6, 53, 20), offset)
