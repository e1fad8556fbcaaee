"""0x2A18 and 0x2A34 as values: powers of ten, limits, unknown dates, reserved codes; both ways for whatever can be written, and what the simulated meter stores."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt.clocks import stored
from drivers.gatt.glucose.codec import (
    STATUS_MARKS,
    Concentration,
    Measurement,
    decode_measurement,
    encode_measurement,
    ketone,
    reading,
)
from drivers.gatt.glucose.context import (
    CARBOHYDRATES,
    HEALTH,
    MEALS,
    MEDICATIONS,
    TESTERS,
    Carbohydrate,
    Context,
    Medication,
    decode_context,
    encode_context,
)
from drivers.gatt.glucose.sim import measured
from gateway.contract.fields import Special, StoredTime
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

NOON = StoredTime(datetime(2026, 3, 14, 12), "2026-03-14T12:00:00")


def sample(concentration: Concentration | None, status: int | None = None) -> Measurement:
    return Measurement(7, NOON, concentration=concentration, status=status)


def told_of(told: Measurement) -> Any:  # noqa: ANN401 a part or nothing
    return reading(told, b"").parts.get("value")


@pytest.mark.parametrize(
    ("raw", "unit", "shown", "display"),
    [
        # Libraries show it unscaled, as 0.00111 mg/dL, or read the exponent as nibble - 8.
        (0xB06F, 0, "111", "mg/dL"),
        (0xC035, 4, "5.3", "mmol/L"),
        # 7.20 mmol/L keeps its digits.
        (0xB2D0, 4, "7.20", "mmol/L"),
        # Mantissa 0x7FF is only NaN with exponent 0.
        (0xA7FF, 0, "204.7", "mg/dL"),
    ],
)
def test_powers_of_ten_are_exact_and_the_meters_unit_stays(
    raw: int, unit: int, shown: str, display: str
) -> None:
    octets = (
        bytes((0x02 | unit, 7, 0)) + bytes.fromhex("ea07030e0c0000") + raw.to_bytes(2, "little")
    )

    part = told_of(decode_measurement(octets + b"\x11"))

    assert str(part.number) == shown
    assert part.unit == display


@pytest.mark.parametrize("special", [Special.NAN, Special.NRES, Special.RESERVED])
def test_no_number_is_absent_and_marked(special: Special) -> None:
    told = reading(sample(Concentration(special, "kg/L", 1, 1)), b"")

    assert told.parts == {}
    assert told.marks == {"not_available:value"}


@pytest.mark.parametrize(
    ("number", "status", "limit"),
    [
        (Special.ABOVE, 0, Limit.ABOVE),
        (Special.BELOW, 0, Limit.BELOW),
        (Special.NAN, 0x20, Limit.ABOVE),
        (Special.NAN, 0x40, Limit.BELOW),
        (Decimal("0.006"), 0x20, Limit.ABOVE),
        (Decimal("0.0002"), 0x40, Limit.BELOW),
    ],
)
def test_hi_and_lo_are_limits_in_all_three_ways_in_which_meters_tell_them(
    number: Decimal | Special, status: int, limit: Limit
) -> None:
    told = reading(sample(Concentration(number, "kg/L", 1, 1), status), b"")

    assert told.parts == {"value": limit}
    assert ("sent" in told.context) == isinstance(number, Decimal)


def test_a_record_that_says_both_too_high_and_too_low_keeps_its_number() -> None:
    told = reading(sample(Concentration(Decimal("0.00101"), "kg/L", 1, 1), 0x60), b"")

    assert told.parts == {"value": Quantity(Decimal(101), "mg/dL")}
    assert {"result_too_high", "result_too_low"} <= told.marks


def test_type_and_location_are_not_swapped_and_a_location_alone_is_no_control() -> None:
    # Two public clients swap the nibbles; Roche sends location 4 for "not listed".
    control = reading(sample(Concentration(Decimal("0.001"), "kg/L", 10, 1)), b"")
    listed = reading(sample(Concentration(Decimal("0.001"), "kg/L", 1, 4)), b"")

    assert control.marks == {"control"}
    assert control.context["sample_location"] == "finger"
    assert listed.marks == {"control_location"}
    assert listed.context["sample_type"] == "capillary_whole_blood"


@pytest.mark.parametrize("text", ["0000-00-00T00:00:00", "2026-13-01T08:00:00"])
def test_an_unknown_date_never_costs_the_measurement(text: str) -> None:
    told = reading(
        Measurement(5, StoredTime(None, text), 0, Concentration(Decimal("0.001"), "kg/L", 1, 1)),
        b"",
    )

    assert (told.taken, told.raw_time) == (None, text)
    assert told.parts == {"value": Quantity(Decimal(100), "mg/dL")}


def test_reserved_codes_are_kept_as_numbers() -> None:
    told = reading(
        sample(Concentration(Decimal("0.001"), "kg/L", 12, 9), 0xF000),
        b"",
        Context(7, meal=200, person=(9, 9), carbohydrate=Carbohydrate(99, Special.NAN)),
    )

    assert told.context == {
        "sample_type": "reserved_12", "sample_location": "reserved_9", "meal": "reserved_200",
        "tester": "reserved_9", "health": "reserved_9", "carbohydrate": "reserved_99",
    }  # fmt: skip
    assert told.marks == frozenset()


def test_a_ketone_of_isens_is_no_glucose() -> None:
    told = ketone(sample(Concentration(Decimal("0.00008"), "kg/L", 1, 1)), b"", Context(7, meal=6))

    assert told.kind == "ketone"
    assert told.parts == {"value": Quantity(Decimal("0.8"), "mmol/L")}


def test_two_equal_values_of_one_second_differ_by_their_number() -> None:
    one, other = (
        reading(Measurement(n, NOON, None, Concentration(Decimal("0.001"), "kg/L", 1, 1)), b"")
        for n in (7, 8)
    )

    assert (one.taken, one.parts) == (other.taken, other.parts)
    assert (one.sequence, other.sequence) == (7, 8)


NUMBERS = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(-2045, 2045),
    st.integers(-8, 7),
) | st.sampled_from(Special)
NIBBLES, OCTETS, WORDS = st.integers(0, 15), st.integers(0, 255), st.integers(0, 0xFFFF)
TIMES = st.builds(
    stored, st.none() | st.datetimes(datetime(1582, 1, 1)).map(lambda t: t.replace(microsecond=0))
) | st.just(StoredTime(None, "65535-255-99T77:61:200"))
MEASURED = st.builds(
    Measurement,
    sequence=WORDS,
    base_time=TIMES,
    offset_min=st.none() | st.integers(-0x8000, 0x7FFF),
    concentration=st.none()
    | st.builds(Concentration, NUMBERS, st.sampled_from(["kg/L", "mol/L"]), NIBBLES, NIBBLES),
    status=st.none() | WORDS,
    context_follows=st.booleans(),
)
CONTEXTS = st.builds(
    Context,
    sequence=WORDS,
    extended=st.none() | OCTETS,
    carbohydrate=st.none() | st.builds(Carbohydrate, OCTETS, NUMBERS),
    meal=st.none() | OCTETS,
    person=st.none() | st.tuples(NIBBLES, NIBBLES),
    exercise=st.none() | st.tuples(WORDS, OCTETS),
    medication=st.none() | st.builds(Medication, OCTETS, NUMBERS, st.sampled_from(["kg", "L"])),
    hba1c=st.none() | NUMBERS,
)


@given(MEASURED)
def test_a_measurement_comes_back_both_ways(told: Measurement) -> None:
    assert decode_measurement(encode_measurement(told)) == told


@given(CONTEXTS)
def test_a_context_comes_back_both_ways(told: Context) -> None:
    assert decode_context(encode_context(told)) == told


@given(MEASURED, CONTEXTS)
def test_every_prefix_is_refused_and_every_tail_ignored(told: Measurement, more: Context) -> None:
    for whole, decode in (
        (encode_measurement(told), decode_measurement),
        (encode_context(more), decode_context),
    ):
        for end in range(len(whole)):
            with pytest.raises(PeerError):
                decode(whole[:end])
        assert decode(whole + b"\xff\x00") == decode(whole)


@given(st.binary(max_size=40), CONTEXTS)
def test_any_octets_give_a_reading_or_a_peer_error(data: bytes, context: Context) -> None:
    try:
        told = reading(decode_measurement(data), data, context)
    except PeerError:
        return
    assert (told.taken is None) == (told.raw_time is not None)
    assert all(isinstance(part, Quantity | Limit) for part in told.parts.values())


@pytest.mark.parametrize("mark", [*STATUS_MARKS.values(), "control"])
def test_what_the_simulated_meter_stores_is_what_is_read(mark: str) -> None:
    parts = {"value": Quantity(Decimal("5.4"), "mmol/L")}

    frame = measured(parts, NOON, offset_min=60, marks=frozenset({mark}))
    told = reading(decode_measurement(encode_measurement(frame)), b"")

    beyond = {"result_too_high": Limit.ABOVE, "result_too_low": Limit.BELOW}
    assert told.parts == ({"value": beyond[mark]} if mark in beyond else parts)
    assert told.marks == {mark}
    assert (told.taken, told.offset) == (NOON.naive, timedelta(hours=1))


@pytest.mark.parametrize("limit", Limit)
def test_the_simulated_meter_shows_lo_and_hi(limit: Limit) -> None:
    assert told_of(measured({"value": limit}, NOON)) is limit


def test_the_simulated_meter_refuses_a_unit_that_it_has_not() -> None:
    with pytest.raises(ValueError, match="mg/L"):
        measured({"value": Quantity(Decimal(1), "mg/L")}, NOON)
    assert told_of(measured({}, NOON)) is None


def test_every_word_of_a_context_is_told_once() -> None:
    for words in (MEALS, CARBOHYDRATES, TESTERS, HEALTH, MEDICATIONS):
        assert len(set(words.values())) == len(words)
