"""A glucose sensor's long session: paired by passkey, its memory, live values, a link lost in each of them, hours out of reach, a new session.

Hours of its time pass in seconds of ours: its minutes are a counter, not a clock. How old its records are said to be is not judged.
"""

from collections.abc import Sequence
from datetime import datetime

from drivers.gatt import racp
from gateway.model.observation import Observation, Source
from tests.bluez_vm.box import as_shown
from tests.bluez_vm.house import House
from tests.bluez_vm.sensor import EVERY_MIN, KIND

PAST_H, AWAY_H, SECOND_H = 14, 3, 1
DROPS_AFTER = 20
LIVE_RECORDS = 4
WINDOW_MIN = 720
"""By so many minutes the driver asks at once; the past is longer, so it is fetched in two requests."""


async def act(there: House) -> None:
    """Play it. Raises AssertionError where a record is missing, or told twice, or asked for twice."""
    sensor = there.sensor
    sensor.start()
    await sensor.live_through(PAST_H)
    await sensor.appear()
    await _paired(there)
    await _lives(there)
    await _out_of_reach(there)
    await _another_session(there)
    _check_all(there)


async def _paired(there: House) -> None:
    """Its whole memory is read as soon as it is paired, though the link is lost in the midst of it."""
    there.sensor.drops_after = DROPS_AFTER
    assert "is paired (by passkey)" in await there.box.pair("sensor", typed=as_shown)
    assert there.radio("sensor").pairings == [True]
    await there.box.until(
        f"the sensor's memory of {PAST_H} h is read, over a lost link", lambda: _all_read(there)
    )
    assert there.sensor.drops_after is None
    assert racp.Operator.WITHIN in {asked.operator for asked in there.sensor.asked}


async def _lives(there: House) -> None:
    there.sensor.go_on()
    before = there.sensor.measured
    await there.box.until(
        "the sensor's live values come by themselves",
        lambda: there.sensor.measured >= before + LIVE_RECORDS and _all_read(there),
    )
    live = _kept(there)[-1]
    assert live.source is Source.PUSHED


async def _out_of_reach(there: House) -> None:
    """The link is lost while it tells; hours later it is back, and only what is missing is asked for, by time offset."""
    there.radio("sensor").set_in_range(False)
    there.sensor.rest()
    await there.sensor.live_through(AWAY_H)
    asked = len(there.sensor.asked)
    held = sum(there.told(KIND).values())
    there.radio("sensor").set_in_range(True)
    await there.sensor.appear()
    await there.box.until(f"the {AWAY_H} h out of reach are read", lambda: _all_read(there))
    first = there.sensor.asked[asked]
    assert first.operator == racp.Operator.AT_LEAST
    assert first.filter_type == racp.SEQUENCE_NUMBER
    low = int.from_bytes(first.bounds[0], "little")
    missing = AWAY_H * 60 // EVERY_MIN
    # What it told by itself proves nothing of what came before, so from there on it is asked for again; nothing before it is.
    assert there.sensor.minute - missing * EVERY_MIN - low <= LIVE_RECORDS * 2 * EVERY_MIN
    there.box.tell(
        f"of {there.sensor.measured} records {held} were there; it was asked from minute {low} of {there.sensor.minute}"
    )


async def _another_session(there: House) -> None:
    await there.sensor.stop()
    await there.box.until("the session's end is read", lambda: _all_read(there))
    assert "session_stopped" in _kept(there)[-1].marks
    await there.box.until("the sensor is left alone", lambda: not there.sensor.linked, quietly=True)
    there.sensor.start()
    await there.sensor.live_through(SECOND_H)
    there.sensor.go_on()
    before = there.sensor.measured
    await there.box.until(
        "a new session is read, its memory and live",
        lambda: there.sensor.measured >= before + LIVE_RECORDS and _all_read(there),
    )
    there.sensor.rest()
    await there.box.until("to its last record", lambda: _all_read(there), quietly=True)


def _check_all(there: House) -> None:
    """Every record once, in one of two sessions, and no bond was made anew."""
    kept = _kept(there)
    assert len(kept) == there.sensor.measured
    assert len({one.key for one in kept}) == len(kept)
    assert len({_session(one) for one in kept}) == 2
    assert there.radio("sensor").pairings == [True]
    there.box.tell(
        f"the sensor's {len(kept)} records of {len(kept) * EVERY_MIN / 60:.1f} h are there, each once"
    )


def _session(one: Observation) -> float:
    """When it began, by its record: the device's time less the minutes."""
    assert one.time.device is not None
    assert one.sequence is not None
    return datetime.fromisoformat(one.time.device).timestamp() - 60 * one.sequence


def _kept(there: House) -> Sequence[Observation]:
    return [one for one in there.box.observations() if one.kind == KIND]


def _all_read(there: House) -> bool:
    told, true = there.told(KIND), there.truth(KIND)
    assert not told - true, "more than was measured"
    return told == true
