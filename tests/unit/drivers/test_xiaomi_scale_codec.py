"""Xiaomi's advertisements, byte for byte: published frames both ways, units, and what other readers get wrong."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vendor.xiaomi_scale.codec import (
    Unit,
    Weighing,
    decode_v1,
    decode_v2,
    encode_v1,
    encode_v2,
    raw_of,
    reading,
    weight,
)
from gateway.contract.fields import StoredTime
from gateway.contract.session import PeerError
from gateway.model.quantity import Quantity

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "scales.json").read_text())["vectors"]
DECODE = {"v1": decode_v1, "v2": decode_v2}
ENCODE = {"v1": encode_v1, "v2": encode_v2}
V1_FINISHED = bytes.fromhex("229e43e507040b101301")
V2_FINAL = bytes.fromhex("0226ea07030e07010e05029038")


def layout(vector: dict[str, Any]) -> str:
    return vector["id"].split("-")[1]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["id"])
def test_each_vector_reads_as_its_source_says(vector: dict[str, Any]) -> None:
    told = DECODE[layout(vector)](bytes.fromhex(vector["hex"]))
    said = {
        "weight": float(weight(told).number),
        "unit": told.unit,
        "stable": int(told.stable),
        "removed": int(told.removed),
        "has_impedance": int(told.has_impedance),
        "impedance": told.impedance if told.has_impedance else None,
        "time": told.time.naive.isoformat() if told.time.naive else None,
    }
    assert {name: said[name] for name in vector["expected"]} == vector["expected"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda one: one["id"])
def test_each_vector_is_written_as_it_was_read(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    assert ENCODE[layout(vector)](DECODE[layout(vector)](data)) == data


@given(data=st.binary(min_size=10, max_size=10))
def test_any_first_format_that_is_read_is_written_back(data: bytes) -> None:
    try:
        told = decode_v1(data)
    except PeerError:
        assert data[0] & 0x11 == 0x11
    else:
        assert encode_v1(told) == data


@given(data=st.binary(min_size=13, max_size=13))
def test_any_second_format_that_is_read_is_written_back(data: bytes) -> None:
    try:
        told = decode_v2(data)
    except PeerError:
        assert data[0] not in (2, 3) or (data[0] == 3 and data[1] & 0x40)
    else:
        assert encode_v2(told) == data


@given(data=st.binary(max_size=40))
def test_garbage_is_refused_and_nothing_else_is_raised(data: bytes) -> None:
    for decode, octets in ((decode_v1, 10), (decode_v2, 13)):
        if len(data) != octets:
            with pytest.raises(PeerError, match=f"{len(data)} octets"):
                decode(data)


@pytest.mark.parametrize("octets", range(13))
def test_a_frame_that_was_cut_is_no_weight(octets: int) -> None:
    with pytest.raises(PeerError):
        decode_v2(V2_FINAL[:octets])
    if octets != 10:
        with pytest.raises(PeerError):
            decode_v1(V2_FINAL[:octets])


@given(raw=st.integers(0, 0xFFFF), unit=st.sampled_from(["kg", "lb", "jin"]))
def test_every_weight_is_exact(raw: int, unit: Unit) -> None:
    told = weight(Weighing(raw, unit, StoredTime(None, "")))
    assert told.number == Decimal(raw) / (200 if unit == "kg" else 100)
    assert raw_of(told) == raw


def test_a_weight_has_the_digits_of_the_display() -> None:
    assert f"{weight(decode_v1(V1_FINISHED)).number}" == "86.55"
    assert f"{weight(decode_v2(V2_FINAL)).number}" == "72.40"


def test_a_jin_is_no_kilogram() -> None:
    # Readers that look at the pound bit alone tell twice the weight.
    told = decode_v2(bytes.fromhex("0266ea07030e07010e05029038"))
    assert weight(told) == Quantity(Decimal("144.80"), "jin")


def test_pounds_are_hundredths_and_not_two_hundredths() -> None:
    told = decode_v2(bytes.fromhex("0326ea07030e07010e05025a3e"))
    assert weight(told) == Quantity(Decimal("159.62"), "lb")


@pytest.mark.parametrize(("decode", "hexed"), [
    (decode_v1, "339e43e507040b101301"), (decode_v2, "0426ea07030e07010e05029038"),
    (decode_v2, "0366ea07030e07010e05029038"), (decode_v2, "0026ea07030e07010e05029038"),
])  # fmt: skip
def test_a_unit_that_is_not_known_is_never_guessed(
    decode: Callable[[bytes], Weighing], hexed: str
) -> None:
    with pytest.raises(PeerError, match="0x"):
        decode(bytes.fromhex(hexed))


def test_the_impedance_field_means_nothing_without_its_flag() -> None:
    told = decode_v2(bytes.fromhex("0224ea07030e070108fdff9038"))
    assert told.impedance == 0xFFFD
    assert reading(told, b"").context == {}


def test_impedance_goes_beside_the_weight_with_its_unit() -> None:
    assert reading(decode_v2(V2_FINAL), V2_FINAL).context == {"impedance": "517 Ohm"}


@pytest.mark.parametrize(
    "date", ["0000000000 0000", "ea070d0e07010e", "ffffffffffffff", "ea07021e07010e"]
)
def test_an_impossible_date_keeps_the_weight(date: str) -> None:
    data = bytes.fromhex("0226" + date.replace(" ", "") + "05029038")
    told = reading(decode_v2(data), data)
    assert told.taken is None
    assert told.raw_time
    assert told.parts == {"weight": Quantity(Decimal("72.40"), "kg")}
    assert encode_v2(decode_v2(data)) == data


def test_a_clock_that_was_never_set_is_told_as_it_stands() -> None:
    data = bytes.fromhex("2220449007 01 01 0a1a15".replace(" ", "").replace("9007", "b207"))
    assert reading(decode_v1(data), data).taken == datetime(1970, 1, 1, 10, 26, 21)


@pytest.mark.parametrize("number", ["72.403", "327.68", "-1"])
def test_a_weight_that_the_scale_cannot_show_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=number):
        raw_of(Quantity(Decimal(number), "kg"))
