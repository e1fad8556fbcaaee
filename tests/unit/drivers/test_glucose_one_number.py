"""Two records under one number, of a meter that was reset and kept its memory: each has its own context."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import encode_measurement
from drivers.gatt.glucose.context import Context, encode_context
from drivers.gatt.glucose.sim import measured
from gateway.model.quantity import Quantity
from tests.unit.drivers.glucose_meters import Transcript, known_by, visited

ISENS = {"manufacturer": b"i-SENS"}


def record(value: int, *, promises: bool = True) -> bytes:
    when = datetime(2026, 3, 1, 8) + timedelta(hours=value)
    told = measured({"value": Quantity(Decimal(value), "mg/dL")}, stored(when))
    return encode_measurement(replace(told, sequence=5, context_follows=promises))


def context(meal: int) -> bytes:
    return encode_context(Context(5, meal=meal))


def test_a_context_goes_to_the_record_that_promises_one() -> None:
    frames = [
        ("measurement", record(101, promises=False)),
        ("measurement", record(102)),
        ("context", context(3)),
    ]

    told = visited(Transcript({}, frames))

    assert [one.context.get("meal") for one in told.readings] == [None, "fasting"]


def test_what_was_told_at_an_earlier_visit_has_its_context_still() -> None:
    frames = [
        ("measurement", record(101)),
        ("context", context(1)),
        ("measurement", record(102)),
        ("context", context(2)),
    ]

    told = visited(Transcript({}, frames), known_by(record(101)))

    assert [one.context.get("meal") for one in told.readings] == ["postprandial"]


def test_a_ketone_is_never_told_as_glucose_for_want_of_a_context_that_another_has() -> None:
    frames = [
        ("measurement", record(101)),
        ("context", context(1)),
        ("measurement", record(8)),
    ]

    told = visited(Transcript(ISENS, frames))

    assert [str(one.parts["value"].number) for one in told.readings] == ["101"]  # type: ignore[union-attr]
    assert told.cursor is None
    assert "1 records came without the context that says what they are of" in str(told.error)
