"""0x2A37 and 0x2A38 both ways, against published and derived octets, and what a sample of them is worth."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt.heart_rate.codec import (
    SUMMING,
    Measurement,
    decode_location,
    decode_measurement,
    encode_measurement,
    sample,
)
from drivers.gatt.heart_rate.sim import beats
from gateway.contract.session import PeerError
from gateway.model.quantity import Quantity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt_streams.json").read_text()
)["vectors"]
MEASUREMENTS = [vector for vector in VECTORS if vector["characteristic_uuid"] == "2A37"]
LOCATIONS = [vector for vector in VECTORS if vector["characteristic_uuid"] == "2A38"]
# The flag of intervals without one: strict for what is stored, lenient in a live stream (reference notes, section 6).
LENIENT = {"hr-ncl-norr": 257}
WHOLE = [vector for vector in MEASUREMENTS if "error" not in vector["expected"]]
CUT = [v for v in MEASUREMENTS if "error" in v["expected"] and v["id"] not in LENIENT]


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def frame(vector_id: str) -> bytes:
    return bytes.fromhex(next(v["hex"] for v in VECTORS if v["id"] == vector_id))


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_measurements_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    contacts = {"detected": True, "not_detected": False, "not_supported": None}

    told = decode_measurement(bytes.fromhex(vector["hex"]))

    assert told.rate == expected["heart_rate_bpm"]
    assert told.contact == contacts[expected["sensor_contact"]]
    assert told.energy_kj == expected.get("energy_expended_kj")
    assert list(told.rr or ()) == expected.get("rr_1_1024s", [])


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_a_frame_encodes_to_itself_again(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    assert encode_measurement(decode_measurement(raw)) == raw


@pytest.mark.parametrize("vector", CUT, ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="truncated"):
        sample(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize(("vector_id", "rate"), LENIENT.items())
def test_a_second_without_a_beat_has_the_flag_and_no_interval(vector_id: str, rate: int) -> None:
    assert decode_measurement(frame(vector_id)) == Measurement(rate, True, rr=(), wide=True)


@pytest.mark.parametrize("vector", LOCATIONS, ids=by_id)
def test_locations_of_the_vectors(vector: dict[str, Any]) -> None:
    name = vector["expected"]["location_name"]
    told = decode_location(bytes.fromhex(vector["hex"]))
    assert told == (f"reserved_{vector['expected']['location']}" if name == "reserved" else name)


def test_there_are_vectors_of_all_sorts() -> None:
    assert len(WHOLE) > 25
    assert len(CUT) > 3
    assert len(LOCATIONS) == 8


@given(
    st.builds(
        Measurement,
        rate=st.integers(0, 0xFFFF),
        contact=st.sampled_from([None, True, False]),
        energy_kj=st.none() | st.integers(0, 0xFFFF),
        rr=st.none() | st.lists(st.integers(0, 0xFFFF), max_size=9).map(tuple),
    )
)
def test_what_is_encoded_is_decoded_to_the_same(told: Measurement) -> None:
    again = decode_measurement(encode_measurement(told))
    assert (again.rate, again.contact) == (told.rate, told.contact)
    assert (again.energy_kj, again.rr) == (told.energy_kj, told.rr)


def test_zero_is_no_heart_rate_while_it_searches() -> None:
    told = sample(frame("hr-polar-0000"))
    assert (told.unfit, told.worn, told.values) == ("searching", True, {})


@pytest.mark.parametrize("vector_id", ["hr-contact-lost", "hr-ncl-2", "hr-irt-1"])
def test_without_contact_there_is_no_heart_rate_whatever_is_sent(vector_id: str) -> None:
    told = sample(frame(vector_id))
    assert (told.unfit, told.worn, told.values) == ("no_contact", False, {})


def test_a_contact_bit_of_a_device_that_cannot_tell_says_nothing() -> None:
    assert decode_measurement(frame("hr-polar-0200")).contact is None
    assert sample(bytes.fromhex("0248")).values["heart_rate"] == (Decimal(72),)


def test_energy_is_in_kilojoules_and_a_saturated_one_is_marked() -> None:
    told = sample(frame("hr-ee-sat"))
    assert told.context == {"energy_kj": "65535"}
    assert told.marks == {"energy_saturated"}


def test_an_interval_is_told_in_milliseconds() -> None:
    told = sample(frame("hr-polar-h7-2"))
    assert told.values["rr_interval"] == [Decimal("776.367"), Decimal("767.578")]


def test_an_interval_of_zero_is_none() -> None:
    told = sample(bytes.fromhex("164D00001603"))
    assert told.values["rr_interval"] == [Decimal("771.484")]


def test_mean_and_deviation_of_intervals_are_those_of_all() -> None:
    intervals = [Decimal(ms) for ms in ("800", "810", "790")]

    parts = SUMMING.parts({"heart_rate": [Decimal(75)], "rr_interval": intervals})

    assert parts["rr_interval"] == Quantity(Decimal("800.00"), "ms")
    assert parts["sdrr"] == Quantity(Decimal("10.00"), "ms")
    assert parts["rr_interval_lowest"] == Quantity(Decimal(790), "ms")
    assert parts["rr_interval_highest"] == Quantity(Decimal(810), "ms")


def test_one_interval_has_no_deviation() -> None:
    parts = SUMMING.parts({"heart_rate": [Decimal(75)], "rr_interval": [Decimal(800)]})
    assert "sdrr" not in parts


def test_an_even_heart_tells_as_many_intervals_as_beats() -> None:
    frames = [decode_measurement(data) for data in beats(60, seconds=10)]
    assert [told.rr for told in frames] == [(1024,)] * 10
