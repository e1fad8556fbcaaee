"""Fields and frames of devices: numbers, dates, lines."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.fields import (
    SFLOAT_MANTISSA_MAX,
    Fields,
    Special,
    encode_date_time,
    encode_sfloat,
)
from gateway.contract.framing import LineFramed
from gateway.contract.session import PeerError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt.json").read_text()
)["vectors"]
SFLOATS = [vector for vector in VECTORS if vector["characteristic_uuid"] == "SFLOAT"]
DATES = [vector for vector in VECTORS if vector["characteristic_uuid"] == "2A08"]
SPECIALS = {special.value for special in Special}


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


@pytest.mark.parametrize("vector", SFLOATS, ids=by_id)
def test_sfloats_of_the_vectors(vector: dict[str, Any]) -> None:
    fields = Fields(bytes.fromhex(vector["hex"]))
    if vector["expected"].get("error") == "truncated":
        with pytest.raises(PeerError):
            fields.sfloat("value")
        return

    value = fields.sfloat("value")

    expected = vector["expected"]["value"]
    if expected in SPECIALS:
        assert value is Special(expected)
    else:
        assert isinstance(value, Decimal)
        assert value == Decimal(str(expected))


@pytest.mark.parametrize(
    ("octets", "special"),
    [
        (b"\xff\x07", Special.NAN),
        (b"\x00\x08", Special.NRES),
        (b"\xfe\x07", Special.ABOVE),
        (b"\x02\x08", Special.BELOW),
        (b"\x01\x08", Special.RESERVED),
    ],
)
def test_specials_are_exact_patterns(octets: bytes, special: Special) -> None:
    assert Fields(octets).sfloat("value") is special
    assert isinstance(Fields(octets[:1] + bytes([octets[1] | 0xF0])).sfloat("value"), Decimal)


def test_the_exponent_is_kept_as_the_precision() -> None:
    assert str(Fields(b"\xd0\xe2").sfloat("value")) == "7.20"


@given(
    st.integers(-SFLOAT_MANTISSA_MAX, SFLOAT_MANTISSA_MAX),
    st.integers(-8, 7),
)
def test_what_an_sfloat_holds_comes_back_with_its_digits(mantissa: int, exponent: int) -> None:
    value = Decimal(mantissa).scaleb(exponent)

    assert str(Fields(encode_sfloat(value)).sfloat("value")) == str(value)


@pytest.mark.parametrize("special", Special)
def test_specials_come_back(special: Special) -> None:
    assert Fields(encode_sfloat(special)).sfloat("value") is special


@pytest.mark.parametrize("value", ["2046", "204.61", "1E-9", "NaN", "Infinity"])
def test_a_number_that_does_not_fit_is_refused_and_not_rounded(value: str) -> None:
    with pytest.raises(ValueError, match=r"SFLOAT|Special"):
        encode_sfloat(Decimal(value))


@pytest.mark.parametrize("vector", DATES, ids=by_id)
def test_dates_of_the_vectors(vector: dict[str, Any]) -> None:
    fields, expected = Fields(bytes.fromhex(vector["hex"])), vector["expected"]
    if expected.get("error") == "truncated":
        with pytest.raises(PeerError):
            fields.date_time("clock")
        return

    stored = fields.date_time("clock")

    assert stored.text == expected["date_time"]
    if "date_time_status" in expected:
        assert stored.naive is None
    else:
        assert stored.naive == datetime.fromisoformat(expected["date_time"])


@given(st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)))
def test_a_date_comes_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)

    assert Fields(encode_date_time(moment)).date_time("clock").naive == moment


def test_a_short_frame_says_which_field_it_cuts() -> None:
    with pytest.raises(PeerError, match="pulse rate needs octets 0 to 1 of 1"):
        Fields(b"\x01").u16("pulse rate")


@given(st.lists(st.binary(max_size=20).filter(lambda b: b"\r\n" not in b and b[-1:] != b"\r")))
def test_lines_do_not_depend_on_where_the_stream_is_cut(lines: list[bytes]) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    whole, single = LineFramed().reader(), LineFramed().reader()

    assert list(whole.feed(stream)) == lines
    assert [f for at in range(len(stream)) for f in single.feed(stream[at : at + 1])] == lines
    assert whole.rest == b""


@pytest.mark.parametrize("stream", [b"x" * 17, b"x" * 17 + b"\r\n"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(stream: bytes) -> None:
    reader = LineFramed(line_max=16).reader()

    with pytest.raises(PeerError, match="over 16 bytes"):
        list(reader.feed(stream))
    assert reader.rest == b""


def test_whole_lines_before_an_endless_one_are_given() -> None:
    lines = LineFramed(line_max=4).reader().feed(b"ok\r\ntoo long")

    assert next(lines) == b"ok"
    with pytest.raises(PeerError):
        next(lines)
