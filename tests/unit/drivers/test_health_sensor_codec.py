"""Observations of generic health sensors both ways: published and derived octets, and what two public implementations disagree on."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt import racp
from drivers.gatt.health_sensor.codec import (
    Class,
    Layout,
    Measured,
    Observation,
    Segments,
    decode,
    encode,
    layout_of,
    numeric,
    segments,
    split_stored,
)
from drivers.gatt.health_sensor.terms import NIBP, TERMS, UNITS, reading
from drivers.gatt.health_sensor.values import (
    ElapsedTime,
    decode_time,
    encode_float,
    encode_time,
    time_of,
)
from gateway.contract.fields import Fields, Special
from gateway.contract.session import PeerError
from gateway.model.kinds import FACTORS, KINDS
from gateway.model.quantity import Limit, Quantity

HELD: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "health_sensor.json").read_text()
)
VECTORS = {vector["id"]: vector for vector in HELD["vectors"]}
NOON = time_of(datetime(2026, 3, 14, 12))
SPO2 = Measured(150456, 544, Decimal(97))


def octets(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["hex"])


def of(characteristic: str) -> list[str]:
    return [name for name, one in VECTORS.items() if one["characteristic_uuid"] == characteristic]


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def whole(name: str) -> bytes:
    told = Segments().feed(octets(name))
    assert told is not None
    return told


def check(told: Observation, expected: dict[str, Any]) -> None:
    assert Class(told.kind).name.lower() == expected["class"]
    assert (told.type, told.patient) == (expected["type"], expected.get("patient_id"))
    assert told.time is not None
    assert told.time.naive == datetime.fromisoformat(expected["timestamp"]["time"])
    parts = expected.get("components") or [{**expected, "type": expected["type"]}]
    assert told.numbers == tuple(
        Measured(one["type"], one["unit_code"], number(one["value"])) for one in parts
    )


def test_there_are_vectors_of_every_sort() -> None:
    counts = {name: len(of(name)) for name in ("2B8B", "2BDD", "2BF4", "2BF2", "FLOAT", "2A52")}
    assert counts == {"2B8B": 6, "2BDD": 1, "2BF4": 5, "2BF2": 3, "FLOAT": 18, "2A52": 3}


@pytest.mark.parametrize("name", of("FLOAT"))
def test_floats_of_the_vectors(name: str) -> None:
    told = Fields(octets(name)).float32("it")
    assert told == number(VECTORS[name]["expected"]["value"])
    assert encode_float(told) == octets(name)


@pytest.mark.parametrize("name", of("2BF2"))
def test_times_of_the_vectors(name: str) -> None:
    told, expected = decode_time(Fields(octets(name))), VECTORS[name]["expected"]

    moment = expected.get("time")
    assert told.naive == (datetime.fromisoformat(moment) if moment else None)
    assert (told.is_ticks, told.is_utc, told.is_current) == (
        expected["tick_counter"], expected["utc"], expected["current_timeline"],
    )  # fmt: skip
    assert told.offset == (
        timedelta(minutes=expected["tz_dst_offset_min"]) if "tz_dst_offset_min" in expected else None
    )  # fmt: skip
    assert encode_time(told) == octets(name)


@pytest.mark.parametrize("name", ["ghs-live-spo2", "ghs-live-bp"])
def test_live_observations_of_the_vectors(name: str) -> None:
    body = whole(name)
    check(decode(body), VECTORS[name]["expected"]["observation"])
    assert encode(decode(body), layout_of(body)) == body
    assert list(segments(body, octets_max=200)) == [octets(name)]


def test_a_stored_observation_of_the_vectors() -> None:
    expected = VECTORS["ghs-stored-hr"]["expected"]
    record, body = split_stored(whole("ghs-stored-hr"))
    assert record == expected["record_number"]
    check(decode(body), expected["observation"])


def test_segments_of_the_vectors_make_an_observation() -> None:
    reader = Segments()
    first, mid = (reader.feed(octets(name)) for name in ("ghs-seg-first", "ghs-seg-mid"))
    assert (first, mid) == (None, None)
    assert reader.feed(octets("ghs-seg-last")) == whole("ghs-live-bp")


def test_an_observation_of_the_vectors_that_is_cut_is_none() -> None:
    with pytest.raises(PeerError, match="truncated"):
        decode(whole("ghs-trunc"))


@pytest.mark.parametrize("name", of("2A52"))
def test_control_point_values_of_the_vectors(name: str) -> None:
    data, expected = octets(name), VECTORS[name]["expected"]
    if expected["op_code"] == racp.Op.REPORT_COMBINED:
        asked = racp.decode_request(data, {racp.SEQUENCE_NUMBER: 4})
        assert int.from_bytes(asked.bounds[0], "little") == expected["minimum"]
        assert racp.encode_request(asked) == data
    else:
        told = racp.decode_answer(data)
        assert told == racp.Counted(expected["count"], expected["op_code"])
        assert racp.encode_answer(told, 4) == data


def test_the_exchange_of_the_vectors_is_a_combined_report() -> None:
    (exchange,) = HELD["exchanges"]
    asked = racp.decode_request(bytes.fromhex(exchange["request"]["hex"]))
    assert (asked.op, asked.operator) == (racp.Op.REPORT_COMBINED, racp.Operator.ALL)
    (answer,) = exchange["responses"]
    assert racp.decode_answer(bytes.fromhex(answer["hex"])) == racp.Counted(12, racp.Op.COMBINED_COUNTED)  # fmt: skip


# What two public implementations disagree on.
LAYOUTS = [Layout(octets, whole_length=whole) for octets in (1, 2) for whole in (False, True)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_length_and_patient_are_read_either_way(layout: Layout) -> None:
    told = numeric(SPO2, NOON, patient=3)
    data = encode(told, layout)
    assert decode(data) == told
    assert encode(told, layout_of(data)) == data


def test_a_length_that_fits_in_no_way_is_a_fault() -> None:
    data = bytearray(encode(numeric(SPO2, NOON)))
    for length in (0, len(data) - 4, len(data) - 2, len(data) + 1):
        data[1:3] = length.to_bytes(2, "little")
        with pytest.raises(PeerError):
            decode(bytes(data))


def test_a_patient_that_can_be_read_in_two_ways_is_a_fault() -> None:
    # Of one octet: a list of three and no component. Of two: no list and one component.
    body = (0x61).to_bytes(2, "little") + NIBP.to_bytes(4, "little")
    body += (
        bytes((1, 3, 0, 1)) + (150021).to_bytes(4, "little") + bytes((1, 0x20, 0x0F, 120, 0, 0, 0))
    )
    data = bytes((Class.COMPOUND,)) + len(body).to_bytes(2, "little") + body
    with pytest.raises(PeerError, match="two ways"):
        decode(data)


def test_a_class_that_is_not_read_is_passed_over_whatever_its_patient_is() -> None:
    body = (0x21).to_bytes(2, "little") + (1).to_bytes(4, "little") + b"\x01\x02text"
    data = bytes((Class.STRING,)) + len(body).to_bytes(2, "little") + body
    assert reading(decode(data), data) is None


# Segments.
def test_a_segment_that_is_missing_costs_its_observation_and_no_other() -> None:
    reader, body = Segments(), encode(numeric(SPO2, NOON))
    one, two = segments(body)
    torn, rest = segments(encode(numeric(replace(SPO2, type=149530, value=Decimal(96)), NOON)))
    assert reader.feed(torn) is None
    with pytest.raises(PeerError, match="without its last"):
        reader.feed(one)
    assert reader.feed(two) == body
    with pytest.raises(PeerError, match="without those before"):
        reader.feed(rest)


def test_the_counter_of_segments_rolls_over() -> None:
    reader, body = Segments(), encode(numeric(SPO2, NOON))
    (*_, told) = (reader.feed(packet) for packet in segments(body, 5, counter=62))
    assert told == body


def test_an_observation_without_end_is_a_fault() -> None:
    reader = Segments()
    for n in range(20):
        reader.feed(bytes((1 if n == 0 else n << 2,)) + bytes(200))
    with pytest.raises(PeerError, match="4096 octets"):
        reader.feed(bytes((20 << 2,)) + bytes(200))


# What becomes of an observation.
def made(told: Observation) -> Any:  # noqa: ANN401 a reading, of which tests look at any part
    return reading(told, encode(told))


@pytest.mark.parametrize("code", TERMS)
def test_each_term_has_a_kind_and_part_that_we_have(code: int) -> None:
    told = made(numeric(Measured(code, 544, Decimal(5)), NOON))
    (part,) = told.parts
    assert part in KINDS[told.kind].parts
    assert ("control" in told.marks) == (code == 160208)


def test_interstitial_glucose_is_never_told_as_glucose() -> None:
    assert made(numeric(Measured(160212, 2130, Decimal(100)), NOON)).kind == "continuous_glucose"


def test_each_unit_is_one_that_becomes_a_stored_one() -> None:
    assert set(UNITS.values()) <= {shown for shown, _ in FACTORS}


def test_a_unit_that_is_not_known_is_told_as_its_code() -> None:
    told = made(numeric(replace(SPO2, unit=1), NOON))
    assert told.parts == {"spo2": Quantity(Decimal(97), "MDC 1")}


def test_something_that_we_have_no_kind_for_is_no_reading_and_no_fault() -> None:
    assert made(numeric(Measured(160220, 544, Decimal("5.4")), NOON)) is None
    assert reading(Observation(Class.SAMPLES, 1, NOON, ()), b"") is None


def test_a_blood_pressure_of_parts_that_are_not_known_is_a_fault() -> None:
    for numbers in ((), (SPO2,)):
        with pytest.raises(PeerError, match="other parts"):
            made(Observation(Class.COMPOUND, NIBP, NOON, numbers))


@pytest.mark.parametrize(
    ("value", "parts"), [(Special.ABOVE, {"spo2": Limit.ABOVE}), (Special.BELOW, {"spo2": Limit.BELOW}), (Special.NRES, {})]
)  # fmt: skip
def test_lo_and_hi_are_limits_and_no_number_is_absent(
    value: Special, parts: dict[str, Limit]
) -> None:
    told = made(numeric(replace(SPO2, value=value), NOON))
    assert told.parts == parts
    assert told.marks == (set() if parts else {"not_available:spo2"})


def test_utc_and_the_users_time_stay_apart() -> None:
    time = ElapsedTime(0x32, 826787109, 6, 4)
    told = made(numeric(SPO2, time))
    assert told.taken == datetime(2026, 3, 14, 7, 5, 9)
    assert told.offset == timedelta(hours=1)


@pytest.mark.parametrize("time", [ElapsedTime(0x00, 826787109), ElapsedTime(0x21, 123456), ElapsedTime(0x20, 2**48 - 1)])  # fmt: skip
def test_a_time_that_says_nothing_costs_the_time_and_never_the_value(time: ElapsedTime) -> None:
    told = made(numeric(SPO2, time))
    assert told.taken is None
    assert told.raw_time == time.text
    assert told.parts == {"spo2": Quantity(Decimal(97), "%")}


numbers_ = st.builds(
    Measured,
    st.integers(0, 2**32 - 1),
    st.integers(0, 0xFFFF),
    st.sampled_from(list(Special)) | st.builds(lambda m, e: Decimal(m).scaleb(e), st.integers(-8388605, 8388605), st.integers(-20, 20)),
)  # fmt: skip
times = st.builds(ElapsedTime, st.integers(0, 255), st.integers(0, 2**48 - 1), st.integers(0, 255), st.integers(-128, 127))  # fmt: skip


@given(
    st.lists(numbers_, min_size=1, max_size=4).map(tuple),
    st.none() | times,
    st.none() | st.integers(0, 255),
    st.sampled_from(LAYOUTS),
    st.integers(1, 60),
)
def test_what_is_encoded_is_decoded_to_the_same(
    numbers: tuple[Measured, ...],
    time: ElapsedTime | None,
    patient: int | None,
    layout: Layout,
    octets_max: int,
) -> None:
    told = Observation(Class.COMPOUND, NIBP, time, numbers, patient)
    reader, data = Segments(), encode(told, layout)
    (*_, body) = (reader.feed(packet) for packet in segments(data, octets_max))
    assert body == data
    try:
        again = decode(body)
    except PeerError as fault:
        assert "two ways" in str(fault)  # noqa: PT017 the other way is a fault of its own
        return
    assert again == told


@given(st.binary(max_size=60))
def test_garbage_raises_nothing_but_a_fault_of_the_sensor(data: bytes) -> None:
    try:
        told = decode(data)
        reading(told, data)
    except PeerError:
        pass
