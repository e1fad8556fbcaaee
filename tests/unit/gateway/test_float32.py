"""IEEE 11073 numbers of 32 bits, both ways; those of 16 stand in test_fields.py."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.fields import (
    FLOAT_MANTISSA_MAX,
    SFLOAT_MANTISSA_MAX,
    Fields,
    Special,
    encode_float,
    encode_sfloat,
)
from gateway.contract.session import PeerError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt_cuffs_and_clocks.json").read_text()
)["vectors"]
FLOATS = [vector for vector in VECTORS if vector["characteristic_uuid"] == "FLOAT"]
SPECIALS = {special.value for special in Special}


@pytest.mark.parametrize("vector", FLOATS, ids=lambda vector: vector["id"])
def test_floats_of_the_vectors(vector: dict[str, Any]) -> None:
    value, expected = (
        Fields(bytes.fromhex(vector["hex"])).float32("value"),
        vector["expected"]["value"],
    )

    if expected in SPECIALS:
        assert value is Special(expected)
    else:
        assert value == Decimal(str(expected))


def test_there_are_vectors_of_numbers_and_of_specials() -> None:
    special = [vector for vector in FLOATS if vector["expected"]["value"] in SPECIALS]

    assert len(special) >= 4
    assert len(FLOATS) - len(special) > 10


@pytest.mark.parametrize(
    ("octets", "special"),
    [
        ("ffff7f00", Special.NAN),
        ("00008000", Special.NRES),
        ("feff7f00", Special.ABOVE),
        ("02008000", Special.BELOW),
        ("01008000", Special.RESERVED),
    ],
)
def test_each_special_is_one_exact_pattern_both_ways(octets: str, special: Special) -> None:
    data = bytes.fromhex(octets)

    assert Fields(data).float32("value") is special
    assert encode_float(special) == data
    # The same mantissa with another exponent is a number.
    assert isinstance(Fields(data[:3] + b"\xff").float32("value"), Decimal)


def test_all_ones_is_a_small_negative_number_and_no_infinity() -> None:
    assert Fields(bytes.fromhex("ffffff7f")).float32("value") == Decimal("-1E127")


@pytest.mark.parametrize("special", Special)
def test_both_widths_hold_every_special(special: Special) -> None:
    assert Fields(encode_sfloat(special)).sfloat("value") is special
    assert Fields(encode_float(special)).float32("value") is special


@given(st.integers(-FLOAT_MANTISSA_MAX, FLOAT_MANTISSA_MAX), st.integers(-128, 127))
def test_what_a_float_holds_comes_back_with_its_digits(mantissa: int, exponent: int) -> None:
    value = Decimal(mantissa).scaleb(exponent)

    assert str(Fields(encode_float(value)).float32("value")) == str(value)


@given(st.binary(min_size=4, max_size=4))
def test_any_four_octets_are_a_number_or_a_special(data: bytes) -> None:
    value = Fields(data).float32("value")

    # The 5 patterns with a mantissa that no number may have are specials only with exponent 0.
    if isinstance(value, Special) or abs(value.scaleb(-int(value.as_tuple().exponent))) <= FLOAT_MANTISSA_MAX:  # fmt: skip
        assert encode_float(value) == data


@given(st.binary(min_size=2, max_size=2))
def test_any_two_octets_are_a_number_or_a_special(data: bytes) -> None:
    value = Fields(data).sfloat("value")

    if isinstance(value, Special) or abs(value.scaleb(-int(value.as_tuple().exponent))) <= SFLOAT_MANTISSA_MAX:  # fmt: skip
        assert encode_sfloat(value) == data


@pytest.mark.parametrize("value", ["8388606", "8388606.1", "1E-129", "NaN", "Infinity"])
def test_a_number_that_does_not_fit_is_refused_and_not_rounded(value: str) -> None:
    with pytest.raises(ValueError, match=r"FLOAT|Special"):
        encode_float(Decimal(value))


def test_a_large_exponent_is_spelled_out_in_the_mantissa_where_that_fits() -> None:
    assert Fields(encode_sfloat(Decimal("2E+9"))).sfloat("value") == Decimal("2E+9")
    with pytest.raises(ValueError, match="SFLOAT"):
        encode_sfloat(Decimal("2E+20"))


def test_a_cut_float_is_refused() -> None:
    with pytest.raises(PeerError, match="truncated"):
        Fields(b"\1\2\3").float32("temperature")
