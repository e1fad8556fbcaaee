"""Reading → Observation: units, keys, marks; and that whatever a device says can travel."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.normalise import RAW_BYTES_MAX, Provenance, normalise
from gateway.contract.profile import IdentityRule, Profile, Range
from gateway.contract.session import Reading
from gateway.contract.stamping import scheme_of
from gateway.model.identity import Scheme
from gateway.model.kinds import MGDL_PER_MMOLL, MMHG_PER_KPA
from gateway.model.observation import (
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
    TimeMethod,
)
from gateway.model.quantity import Limit, Quantity
from gateway.wire.envelope import decode_envelope, encode_envelope

WHEN = Moment(utc="2026-03-14T12:00:00.000Z", method=TimeMethod.ASSUMED, early_s=1.0)
ACCEPTED = datetime(2026, 3, 14, 12, tzinfo=UTC)
TAKEN = datetime(2026, 3, 14, 7, 5, 9)
ORIGIN = Provenance("box-1", "ab" * 10, "ble", ACCEPTED, "0011223344556677")


def profile(scheme: Scheme = Scheme.CLOCK, **how: object) -> Profile:
    made = Profile(
        id="any/cuff",
        maker="any",
        model="cuff",
        kind="blood_pressure",
        driver="gatt.blood_pressure",
        support="none",
        link="ble",
        identity=IdentityRule(scheme, (datetime(2010, 1, 1),), 86_400, ordinal=True),
        ranges={
            "systolic": Range(Decimal(40), Decimal(300), "mmHg"),
            "diastolic": Range(Decimal(0), Decimal(300), "mmHg"),
            "value": Range(Decimal(20), Decimal(600), "mg/dL"),
        },
    )
    return replace(made, **how)  # type: ignore[arg-type]


def pressure(systolic: str, diastolic: str, unit: str = "mmHg", **how: object) -> Reading:
    parts = {
        "systolic": Quantity(Decimal(systolic), unit),
        "diastolic": Quantity(Decimal(diastolic), unit),
    }
    return replace(Reading("blood_pressure", parts, TAKEN), **how)  # type: ignore[arg-type]


def glucose(value: Quantity | Limit, **how: object) -> Reading:
    return replace(Reading("glucose", {"value": value}, TAKEN), **how)  # type: ignore[arg-type]


def see(reading: Reading, using: Profile | None = None, origin: Provenance = ORIGIN) -> Observation:
    # Of a device whose kind is the reading's: of another kind its ranges say nothing.
    return normalise(reading, replace(using or profile(), kind=reading.kind), WHEN, origin)


def test_a_respelled_unit_is_no_conversion_and_keeps_the_digits() -> None:
    seen = see(pressure("120.50", "80"))

    assert seen.parts["systolic"] == Part(unit="mm[Hg]", value="120.50")
    assert seen.parts["diastolic"] == Part(unit="mm[Hg]", value="80")
    assert seen.marks == ()


def test_a_converted_value_keeps_the_original_with_its_digits_beside_it() -> None:
    seen = see(pressure("16.0", "10.70", "kPa"))

    assert seen.parts["systolic"] == Part(
        unit="mm[Hg]", value="120.01", original=Original("16.0", "kPa")
    )
    assert seen.parts["diastolic"] == Part(
        unit="mm[Hg]", value="80.257", original=Original("10.70", "kPa")
    )


def test_equal_content_in_another_spelling_of_the_number_is_other_content() -> None:
    assert see(pressure("16.0", "10", "kPa")).content != see(pressure("16.00", "10", "kPa")).content


@given(st.decimals(min_value=0, max_value=60, places=2, allow_nan=False))
def test_what_was_converted_gives_back_what_was_shown(shown: Decimal) -> None:
    for unit, factor in (("kPa", MMHG_PER_KPA), ("mmol/L", MGDL_PER_MMOLL)):
        name = "systolic" if unit == "kPa" else "value"
        kind = "blood_pressure" if unit == "kPa" else "glucose"
        part = see(Reading(kind, {name: Quantity(shown, unit)}, TAKEN)).parts[name]
        assert part.value is not None
        assert (Decimal(part.value) / factor).quantize(Decimal("0.01")) == shown
        assert part.original == Original(f"{shown:f}", unit)


def test_an_exponent_is_written_out() -> None:
    assert see(pressure("12E+1", "8E1")).parts["systolic"].value == "120"


def test_lo_and_hi_carry_the_bound_of_the_profile_and_no_original() -> None:
    low, high = see(glucose(Limit.BELOW)), see(glucose(Limit.ABOVE))

    assert low.parts["value"] == Part(unit="mg/dL", value="20", beyond=Beyond.BELOW)
    assert high.parts["value"] == Part(unit="mg/dL", value="600", beyond=Beyond.ABOVE)
    assert low.content != high.content


def test_ranges_say_nothing_of_a_reading_of_another_kind() -> None:
    meter = profile(kind="glucose")
    low, ketone = (
        normalise(Reading("ketone", {"value": value}, TAKEN), meter, WHEN, ORIGIN)
        for value in (Limit.BELOW, Quantity(Decimal("0.8"), "mmol/L"))
    )

    assert low.parts["value"] == Part(unit="mmol/L", beyond=Beyond.BELOW)
    assert ketone.parts["value"] == Part(unit="mmol/L", value="0.8")
    assert low.marks == ketone.marks == ()


def test_a_bound_in_another_unit_is_converted_and_one_that_is_unknown_is_absent() -> None:
    molar = profile(ranges={"value": Range(Decimal("1.1"), Decimal("33.3"), "mmol/L")})

    assert see(glucose(Limit.BELOW), molar).parts["value"] == Part(
        unit="mg/dL", value="19.817", beyond=Beyond.BELOW
    )
    assert see(glucose(Limit.ABOVE), profile(ranges={})).parts["value"] == Part(
        unit="mg/dL", beyond=Beyond.ABOVE
    )


@pytest.mark.parametrize(
    ("systolic", "diastolic", "unit", "odd"),
    [
        ("120", "80", "mmHg", False),
        ("300", "0", "mmHg", False),
        ("301", "80", "mmHg", True),
        ("39", "20", "mmHg", True),
        ("80", "120", "mmHg", True),
        ("80", "80", "mmHg", True),
        # 300.02 mmHg, but the device may have shown 299.7 so.
        ("40.0", "10.0", "kPa", False),
        ("40.1", "10.0", "kPa", True),
        ("5.3", "2.0", "kPa", False),
        ("5.2", "2.0", "kPa", True),
    ],
)
def test_what_the_device_can_not_show_is_marked_and_kept(
    *, systolic: str, diastolic: str, unit: str, odd: bool
) -> None:
    seen = see(pressure(systolic, diastolic, unit))

    assert (seen.marks == ("implausible",)) is odd
    assert seen.parts["systolic"].value is not None


def test_an_unknown_unit_part_or_kind_is_kept_as_the_device_gave_it() -> None:
    parts = {"systolic": Quantity(Decimal("1.2"), "psi"), "mood": Quantity(Decimal(3), "smiles")}
    seen = see(Reading("blood_pressure", parts, TAKEN))
    strange = see(Reading("astrology", {"sign": Quantity(Decimal(7), "house")}, TAKEN))

    assert seen.parts == {
        "systolic": Part(unit="psi", value="1.2"),
        "mood": Part(unit="smiles", value="3"),
    }
    assert (seen.marks, strange.marks) == (("unknown_unit",), ("unknown_unit",))
    assert strange.parts["sign"] == Part(unit="house", value="7")


def test_marks_are_sorted_and_those_of_the_driver_stay() -> None:
    seen = see(pressure("80", "120", marks=frozenset({"irregular_pulse", "cuff_loose"})))

    assert seen.marks == ("cuff_loose", "implausible", "irregular_pulse")


def test_context_marks_and_raw_bytes_are_in_neither_key_nor_content() -> None:
    plain = see(pressure("120", "80"))
    rich = see(
        pressure("120", "80", context={"posture": "sitting"}, marks=frozenset({"m"}), raw=b"\x01")
    )

    assert (plain.key, plain.content) == (rich.key, rich.content)
    assert (rich.context, rich.raw, plain.raw) == ({"posture": "sitting"}, "01", None)


def test_a_frame_that_is_too_long_for_evidence_is_left_out_and_a_mark_says_so() -> None:
    assert see(pressure("120", "80", raw=b"x" * RAW_BYTES_MAX)).marks == ()
    assert see(pressure("120", "80", raw=b"x" * (RAW_BYTES_MAX + 1))).marks == ("raw_withheld",)


def test_where_it_came_from_travels_along() -> None:
    seen = see(pressure("120", "80", pushed=True, sequence=7, slot="2"))

    assert (seen.source, seen.sequence, seen.slot) == (Source.PUSHED, 7, "2")
    assert (seen.driver, seen.profile, seen.transport) == ("gatt.blood_pressure", "any/cuff", "ble")
    assert (seen.accepted, seen.time) == ("2026-03-14T12:00:00.000Z", WHEN)
    assert see(pressure("120", "80")).source is Source.MEMORY


@pytest.mark.parametrize(
    ("declared", "how", "expected"),
    [
        (Scheme.CLOCK, {}, Scheme.CLOCK),
        (Scheme.RECORD, {"sequence": 7}, Scheme.RECORD),
        (Scheme.RECORD, {}, Scheme.CLOCK),
        (Scheme.ARRIVAL, {}, Scheme.ARRIVAL),
        (Scheme.CLOCK, {"taken": None}, Scheme.ARRIVAL),
        (Scheme.RECORD, {"taken": None, "sequence": 7}, Scheme.ARRIVAL),
        (Scheme.RECORD, {"taken": datetime(2010, 1, 1, 3), "sequence": 7}, Scheme.ARRIVAL),
        (Scheme.CLOCK, {"taken": None, "raw_time": "2026-13-01"}, Scheme.ARRIVAL),
        # In the future by today's clocks: that is the visit's opinion, and no part of the key.
        (Scheme.CLOCK, {"taken": datetime(2099, 1, 1)}, Scheme.CLOCK),
    ],
)
def test_profile_and_record_choose_the_scheme_of_the_key(
    declared: Scheme, how: dict[str, object], expected: Scheme
) -> None:
    reading, using = pressure("120", "80", **how), profile(declared)

    assert scheme_of(reading, using) is expected
    assert see(reading, using).key[9] == expected.value


def test_the_key_of_a_stored_record_rests_on_nothing_of_the_box_or_the_visit() -> None:
    other = Provenance("box-2", ORIGIN.device, "usb", datetime(2027, 1, 1, tzinfo=UTC), "ff" * 8)
    later = Moment(utc="2027-01-01T00:00:00.000Z", method=TimeMethod.CORRECTED)
    reading = pressure("120", "80")

    assert see(reading).key == see(reading, origin=other).key
    assert normalise(reading, profile(), later, other).key == see(reading).key
    assert see(reading).key.startswith("20260314-c-")


def test_equal_records_of_one_tick_differ_by_ordinal_where_the_profile_says_so() -> None:
    first, second = pressure("120", "80"), pressure("120", "80", ordinal=1)
    without = profile(identity=IdentityRule(Scheme.CLOCK))

    assert see(first).key != see(second).key
    assert see(first, without).key == see(second, without).key


def test_an_arrival_key_is_new_for_each_drawing_and_dated_by_acceptance() -> None:
    again = replace(ORIGIN, arrival="7766554433221100")
    timeless = pressure("120", "80", taken=None)

    assert see(timeless).key != see(timeless, origin=again).key
    assert see(timeless).key.startswith("20260314-a-")


def test_what_is_no_number_goes_into_the_context_with_a_mark() -> None:
    seen = see(pressure("NaN", "80"))

    assert set(seen.parts) == {"diastolic"}
    assert seen.marks == ("implausible", "not_a_number")
    assert "NaN" in seen.context["systolic"]


NUMBERS = st.decimals() | st.builds(
    lambda digits, exponent: Decimal((0, tuple(digits), exponent)),
    st.lists(st.integers(0, 9), min_size=1, max_size=90),
    st.integers(-200, 200),
)
VALUES = st.sampled_from(Limit) | st.builds(
    Quantity,
    NUMBERS,
    st.sampled_from(["mmHg", "kPa", "/min", "mg/dL", "mmol/L", "kg/L"]) | st.text(),
)
READINGS = st.builds(
    Reading,
    kind=st.sampled_from(["blood_pressure", "glucose"]) | st.text(min_size=1),
    parts=st.dictionaries(
        st.sampled_from(["systolic", "diastolic", "pulse_rate", "value"]) | st.text(),
        VALUES,
        max_size=40,
    ),
    taken=st.none() | st.datetimes(),
    raw_time=st.none() | st.text(),
    sequence=st.none() | st.integers(-1, 2**60),
    ordinal=st.integers(0, 9),
    context=st.dictionaries(st.text(), st.text(), max_size=40),
    slot=st.none() | st.text(max_size=300),
    marks=st.frozensets(st.text(), max_size=80),
    raw=st.binary(max_size=100),
    pushed=st.booleans(),
)


@given(reading=READINGS, scheme=st.sampled_from(Scheme))
def test_whatever_a_driver_reports_can_travel_and_is_read_as_it_was_written(
    reading: Reading, scheme: Scheme
) -> None:
    seen = see(reading, profile(scheme))
    envelope = decode_envelope(encode_envelope("box-1", "0" * 16, 1, [seen]))

    assert list(envelope.observations) == [seen]


@pytest.mark.parametrize(
    ("shown", "stored"), [("98.6", "37"), ("32.0", "0"), ("-40", "-40"), ("100.4", "38")]
)
def test_fahrenheit_becomes_celsius_and_stays_beside_it(shown: str, stored: str) -> None:
    thermometer = profile(kind="body_temperature", ranges={})
    told = Reading("body_temperature", {"temperature": Quantity(Decimal(shown), "degF")}, TAKEN)

    part = normalise(told, thermometer, WHEN, ORIGIN).parts["temperature"]

    assert part == Part(unit="Cel", value=stored, original=Original(value=shown, unit="degF"))


def test_the_ends_of_a_window_are_bounded_as_each_of_its_samples() -> None:
    shown = {"spo2": Range(Decimal(1), Decimal(100), "%")}
    parts = {"spo2": Quantity(Decimal(91), "%"), "spo2_lowest": Limit.BELOW}

    told = see(Reading("pulse_oximetry", parts), profile(kind="pulse_oximetry", ranges=shown))

    assert told.parts["spo2_lowest"] == Part(unit="%", value="1", beyond=Beyond.BELOW)
