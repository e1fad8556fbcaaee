"""When a sensor's record was made, as the edge tells it: by the minutes of the session, and not by what a phone wrote."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.sim import NEVER, SEALED, Sensor
from drivers.gatt.clocks import stored
from edge.clock_history import ClockPair
from edge.timekeeping import Arrival, moment_of
from gateway.contract.replay import Played
from gateway.model.observation import Moment, TimeMethod
from tests.unit.drivers.cgm_bed import ANY, BEGAN, Bed

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE_S = 60.0


def moments(bed: Bed, went: Played) -> list[Moment]:
    at = datetime.fromtimestamp(BEGAN + bed.now_s, UTC)
    pair = next((ClockPair(clock.at, clock.shown) for clock in went.clocks), None)
    return [moment_of(one, ANY, Arrival(at, BERLIN), pair) for one in went.readings]


@pytest.mark.parametrize(
    "start",
    [
        Start(stored(datetime(2026, 3, 14, 8)), 4, 0),  # right: 07:00 UTC
        Start(stored(datetime(2026, 3, 14, 8)), -20, 4),  # a zone that is wrong
        Start(stored(datetime(2026, 3, 13, 2, 17)), 4, 0),  # a phone that was wrong
    ],
)
def test_a_record_is_dated_by_its_minute_whatever_start_a_phone_wrote(start: Start) -> None:
    bed = Bed(sensor=Sensor(SEALED, start=start)).measure(100, 101)
    bed.now_s += 25
    for moment, minute in zip(moments(bed, bed.visit()), (5, 10), strict=True):
        true = datetime.fromtimestamp(BEGAN, UTC) + timedelta(minutes=minute)
        told = datetime.fromisoformat(moment.utc)
        assert moment.method is TimeMethod.CORRECTED
        assert abs((told - true).total_seconds()) <= MINUTE_S
        assert moment.early_s is not None
        assert moment.early_s >= MINUTE_S
        assert moment.late_s >= MINUTE_S


def test_a_stopped_session_is_dated_by_its_start_in_the_boxs_zone() -> None:
    bed = Bed().measure(100)
    bed.sensor.bits = 1
    bed.now_s += 86_400
    (moment,) = moments(bed, bed.visit())
    assert (moment.method, moment.utc) == (TimeMethod.ASSUMED, "2026-03-14T07:05:00.000Z")


def test_without_a_start_the_time_is_not_known_and_the_evidence_stands_beside_it() -> None:
    bed = Bed(sensor=Sensor(SEALED, start=NEVER)).measure(100)
    (moment,) = moments(bed, bed.visit())
    assert not moment.known
    assert moment.device == "0000-00-00T00:00:00 + 5 min"
