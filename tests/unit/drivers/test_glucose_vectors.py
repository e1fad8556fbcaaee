"""0x2A18 and 0x2A34 both ways, against published and derived octets."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.gatt.glucose.codec import (
    STATUS_MARKS,
    Concentration,
    decode_measurement,
    encode_measurement,
    reading,
)
from drivers.gatt.glucose.context import (
    Carbohydrate,
    Medication,
    decode_context,
    encode_context,
    in_words,
)
from gateway.contract.fields import Special
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt.json").read_text()
)["vectors"]


def of(characteristic: str, *, whole: bool) -> list[dict[str, Any]]:
    return [
        vector
        for vector in VECTORS
        if vector["characteristic_uuid"] == characteristic
        and whole == ("error" not in vector["expected"])
    ]


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def test_there_are_vectors_of_every_sort() -> None:
    assert len(of("2A18", whole=True)) > 60
    assert len(of("2A18", whole=False)) > 5
    assert len(of("2A34", whole=True)) > 15
    assert len(of("2A34", whole=False)) > 2


@pytest.mark.parametrize("vector", of("2A18", whole=True), ids=by_id)
def test_measurements_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_measurement(bytes.fromhex(vector["hex"]))

    assert told.sequence == expected["sequence_number"]
    assert told.base_time.text == expected["base_time"]
    assert (told.base_time.naive is None) == ("base_time_status" in expected)
    assert told.offset_min == expected.get("time_offset_min")
    assert told.status == expected.get("status", {}).get("raw")
    assert told.context_follows == expected["context_follows"]
    if "concentration" not in expected:
        assert told.concentration is None
        return
    assert told.concentration == Concentration(
        number(expected["concentration"]["value"]),
        expected["concentration"]["unit"],
        expected["sample_type"],
        expected["sample_location"],
    )


@pytest.mark.parametrize("vector", of("2A18", whole=True), ids=by_id)
def test_readings_of_the_vectors(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])

    told = reading(decode_measurement(raw), raw)

    value = expected.get("glucose", {"value": "NaN", "unit": ""})
    # Reserved bits are named by no mark.
    flags = set(expected.get("status", {}).get("flags", ())) & set(STATUS_MARKS.values())
    assert flags == told.marks & set(STATUS_MARKS.values())
    assert ("control" in told.marks) == (expected.get("sample_type") == 10)
    beyond = {"+INFINITY": Limit.ABOVE, "-INFINITY": Limit.BELOW}.get(value["value"])
    bits = flags & {"result_too_high", "result_too_low"}
    if beyond is None and len(bits) == 1:
        beyond = Limit.ABOVE if "result_too_high" in bits else Limit.BELOW
    if beyond is not None:
        assert told.parts == {"value": beyond}
    elif isinstance(value["value"], str):
        assert told.parts == {}
        assert "not_available:value" in told.marks
    else:
        assert told.parts == {"value": Quantity(number(value["value"]), value["unit"])}
    assert told.sequence == expected["sequence_number"]
    assert told.raw == raw


@pytest.mark.parametrize("vector", of("2A18", whole=True), ids=by_id)
def test_base_time_and_offset_stay_apart_and_give_the_users_time(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])

    told = reading(decode_measurement(raw), raw)

    assert ("offset_unknown" in told.marks) == ("time_offset_special" in expected)
    if "base_time_status" in expected:
        assert (told.taken, told.raw_time) == (None, expected["base_time"])
        return
    assert told.taken == datetime.fromisoformat(expected["base_time"])
    assert told.raw_time is None
    if "user_facing_time" in expected:
        assert told.offset is not None
        assert told.taken + told.offset == datetime.fromisoformat(expected["user_facing_time"])
    else:
        assert told.offset is None


@pytest.mark.parametrize("vector", of("2A18", whole=True), ids=by_id)
def test_what_was_decoded_is_encoded_to_the_same_octets(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    told = decode_measurement(raw)

    again = encode_measurement(told)

    unit_without_number = 0x04 if told.concentration is None else 0
    assert again[0] == raw[0] & 0x1F & ~unit_without_number
    assert again[1:] == raw[1 : len(again)]


@pytest.mark.parametrize("vector", of("2A18", whole=False), ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="truncated"):
        decode_measurement(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", of("2A34", whole=True), ids=by_id)
def test_contexts_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_context(bytes.fromhex(vector["hex"]))

    assert told.sequence == expected["sequence_number"]
    assert told.extended == expected.get("extended_flags")
    assert told.meal == expected.get("meal", {}).get("id")
    eaten, taken = expected.get("carbohydrate"), expected.get("medication")
    assert told.carbohydrate == (eaten and Carbohydrate(eaten["id"], number(eaten["kg"])))
    assert told.medication == (
        taken and Medication(taken["id"], number(taken["value"]), taken["unit"])
    )
    person, exercise = expected.get("tester"), expected.get("exercise")
    assert told.person == (person and (person["id"], expected["health"]["id"]))
    assert told.exercise == (exercise and (exercise["duration_s"], exercise["intensity_pct"]))
    hba1c = expected.get("hba1c_pct")
    assert told.hba1c == (None if hba1c is None else number(hba1c))


@pytest.mark.parametrize("vector", of("2A34", whole=True), ids=by_id)
def test_contexts_in_words_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])

    told = dict(in_words(decode_context(raw)))

    for name in ("meal", "carbohydrate", "medication", "tester", "health"):
        due = expected.get(name, {}).get("name")
        if due == "reserved":
            assert told[name] == f"reserved_{expected[name]['id']}"
        else:
            assert told.get(name) == (None if due == "not_available" else due)
    for name, part, key in (
        ("carbohydrate_g", "carbohydrate", "g"), ("medication_mg", "medication", "mg"),
        ("medication_ml", "medication", "mL"),
    ):  # fmt: skip
        due = expected.get(part, {}).get(key)
        assert (name in told) == (due is not None)
        assert due is None or Decimal(told[name]) == Decimal(str(due))
    assert ("hba1c_percent" in told) == isinstance(expected.get("hba1c_pct"), float)
    assert (told.get("exercise_s") == "overrun") == expected.get("exercise", {}).get(
        "overrun", False
    )


@pytest.mark.parametrize("vector", of("2A34", whole=True), ids=by_id)
def test_a_context_is_encoded_to_the_same_octets(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])

    assert encode_context(decode_context(raw)) == raw


@pytest.mark.parametrize("vector", of("2A34", whole=False), ids=by_id)
def test_a_cut_context_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="truncated"):
        decode_context(bytes.fromhex(vector["hex"]))
