"""0x2A1C and FLOAT both ways, against published and derived octets."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt.clocks import stored
from drivers.gatt.thermometer.codec import (
    SITES,
    Measurement,
    decode_interval,
    decode_measurement,
    decode_site,
    encode_measurement,
    reading,
    site_name,
)
from drivers.gatt.thermometer.sim import frame
from gateway.contract.fields import FLOAT_MANTISSA_MAX, Fields, Special, StoredTime, encode_float
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt_scales.json").read_text()
)["vectors"]
FLOATS = [v for v in VECTORS if v["characteristic_uuid"] == "FLOAT"]
MEASUREMENTS = [v for v in VECTORS if v["characteristic_uuid"] in ("2A1C", "2A1E")]
WHOLE = [v for v in MEASUREMENTS if "error" not in v["expected"]]
CUT = [v for v in MEASUREMENTS if "error" in v["expected"]]
NAMES = {"body_general": "body"}


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def of(name: str) -> bytes:
    return bytes.fromhex(next(v["hex"] for v in VECTORS if v["id"] == name))


@pytest.mark.parametrize("vector", FLOATS, ids=by_id)
def test_floats_of_the_vectors(vector: dict[str, Any]) -> None:
    assert Fields(bytes.fromhex(vector["hex"])).float32("x") == number(vector["expected"]["value"])


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_measurements_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_measurement(bytes.fromhex(vector["hex"]))

    assert told.unit == {"C": "degC", "F": "degF"}[expected["unit"]]
    assert told.temperature == number(expected["temperature"])
    assert (told.time.text if told.time else None) == expected.get("timestamp")
    if told.time:
        assert (told.time.naive is None) == ("timestamp_status" in expected)
    assert told.site == expected.get("type")
    if told.site in SITES:
        name = expected["type_name"]
        assert site_name(told.site) == NAMES.get(name, name)


@pytest.mark.parametrize("vector", CUT, ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="truncated"):
        reading(bytes.fromhex(vector["hex"]))


def test_there_are_vectors_of_each_sort() -> None:
    assert (len(FLOATS), len(WHOLE), len(CUT)) == (18, 27, 6)


def test_the_neighbours_of_the_vectors() -> None:
    assert decode_site(of("htst-9")) == 9
    assert [decode_interval(of(name)) for name in ("htsi-60", "htsi-0")] == [60, 0]


def test_two_decimals_stay_two_decimals() -> None:
    one, two = (reading(b"\0" + of(name)) for name in ("float-d-ff00016e", "float-d-fe000e4c"))

    assert str(one.parts["temperature"].number) == "36.6"  # type: ignore[union-attr]
    assert str(two.parts["temperature"].number) == "36.60"  # type: ignore[union-attr]


def test_the_exponent_is_twos_complement_and_no_offset() -> None:
    # bluetooth-sig 0.6.0 reads it as octet - 128 (protocols.md, 15): 36.6 would be none of a body.
    assert reading(of("hts-c")).parts == {"temperature": Quantity(Decimal("36.6"), "degC")}


def test_all_ones_but_the_sign_is_a_number_and_no_infinity() -> None:
    # nRF Toolbox calls 0x7FFFFFFF +INFINITY (protocols.md, 1.2); HI is 0x007FFFFE.
    assert reading(of("hts-nrt-inf")).parts["temperature"] == Quantity(Decimal("-1E+127"), "degC")
    assert reading(of("hts-infp")).parts["temperature"] is Limit.ABOVE
    assert reading(of("hts-infn")).parts["temperature"] is Limit.BELOW


@pytest.mark.parametrize("name", ["hts-nrt-nan", "hts-nres", "hts-rfu"])
def test_what_could_not_be_measured_is_absent_and_marked(name: str) -> None:
    # 0x00800001 is a reserved pattern, and no number.
    told = reading(of(name))

    assert told.parts == {}
    assert told.marks == {"not_available:temperature"}


def test_a_fahrenheit_reading_keeps_its_unit() -> None:
    told = reading(of("hts-f-full"))

    assert told.parts == {"temperature": Quantity(Decimal("101.3"), "degF")}
    assert told.taken == datetime(2026, 3, 14, 7, 5, 9)
    assert told.context == {"site": "tympanum"}
    assert told.marks == frozenset()
    assert told.pushed


def test_the_constant_site_stands_in_where_the_frame_says_none() -> None:
    assert reading(of("hts-c"), constant_site=3).context == {"site": "ear"}
    assert reading(of("hts-type-6"), constant_site=3).context == {"site": "mouth"}
    assert reading(of("hts-c")).context == {}


@pytest.mark.parametrize("site", [0, 10, 255])
def test_a_site_that_is_none_of_a_body_is_marked_and_costs_nothing(site: int) -> None:
    told = reading(of("hts-type-1")[:-1] + bytes((site,)))

    assert told.parts == {"temperature": Quantity(Decimal("37.1"), "degC")}
    assert told.marks == {"reserved_site"}
    assert told.context == {"site": f"reserved_{site}"}


def test_a_clock_that_was_never_set_costs_the_time_alone() -> None:
    told = reading(of("hts-notime"))

    assert (told.taken, told.raw_time) == (None, "0000-00-00T00:00:00")
    assert told.parts == {"temperature": Quantity(Decimal("37.1"), "degC")}


@pytest.mark.parametrize("wrong", [Decimal("1E+200"), Decimal(8_388_606), Decimal("Infinity")])
def test_a_number_that_the_field_cannot_hold_is_refused(wrong: Decimal) -> None:
    with pytest.raises(ValueError, match=r"FLOAT holds|no number"):
        encode_float(wrong)


def test_a_unit_that_no_thermometer_has_is_refused() -> None:
    with pytest.raises(ValueError, match="degC or degF fit"):
        frame({"temperature": Quantity(Decimal(310), "K")})


NUMBERS = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(-FLOAT_MANTISSA_MAX, FLOAT_MANTISSA_MAX),
    st.integers(-128, 127),
) | st.sampled_from(Special)
TIMES = st.builds(
    stored, st.none() | st.datetimes(datetime(1582, 1, 1)).map(lambda t: t.replace(microsecond=0))
) | st.just(StoredTime(None, "65535-255-99T77:61:200"))
MEASURED = st.builds(
    Measurement,
    unit=st.sampled_from(["degC", "degF"]),
    temperature=NUMBERS,
    time=st.none() | TIMES,
    site=st.none() | st.integers(0, 255),
)


@given(MEASURED)
def test_a_measurement_comes_back_both_ways(told: Measurement) -> None:
    assert decode_measurement(encode_measurement(told)) == told


@given(MEASURED)
def test_every_prefix_of_a_frame_is_refused(told: Measurement) -> None:
    whole = encode_measurement(told)

    for end in range(len(whole)):
        with pytest.raises(PeerError):
            reading(whole[:end])


@given(MEASURED, st.binary(max_size=8), st.integers(0, 31))
def test_reserved_flags_and_octets_behind_the_last_field_are_ignored(
    told: Measurement, tail: bytes, reserved: int
) -> None:
    whole = encode_measurement(told)

    assert decode_measurement(bytes([whole[0] | reserved << 3]) + whole[1:] + tail) == told


@given(st.binary(max_size=20))
def test_any_octets_give_a_reading_or_a_peer_error(data: bytes) -> None:
    try:
        told = reading(data)
    except PeerError:
        return
    assert told.raw == data
