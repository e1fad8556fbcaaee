"""0x2A9D, 0x2A9C, their features, and the User Data Service both ways, against published and derived octets."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt import user_data
from drivers.gatt.clocks import stored
from drivers.gatt.weight_scale import codec as weight
from drivers.gatt.weight_scale import composition
from drivers.gatt.weight_scale.codec import Weighing, decode_weighing, encode_weighing
from drivers.gatt.weight_scale.composition import (
    FIELDS,
    Composition,
    decode_composition,
    encode_composition,
)
from drivers.gatt.weight_scale.sim import composition_frame, frame
from gateway.contract.fields import StoredTime
from gateway.contract.session import PeerError, Reading
from gateway.model.quantity import Limit, Quantity

SCALES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt_scales.json").read_text()
)
VECTORS: list[dict[str, Any]] = SCALES["vectors"]
# Expected name -> part, or field of the user data, of each kind.
WEIGHED = {"weight": "weight", "bmi": "bmi", "height": "height"}
COMPOSED = {
    "body_fat_pct": "body_fat",
    "basal_metabolism_kj": "basal_metabolism",
    "muscle_pct": "muscle",
    "muscle_mass": "muscle_mass",
    "fat_free_mass": "fat_free_mass",
    "soft_lean_mass": "soft_lean_mass",
    "body_water_mass": "body_water_mass",
    "impedance_ohm": "impedance",
    "weight": "weight",
    "height": "height",
}


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def those(*uuids: str, cut: bool = False) -> list[dict[str, Any]]:
    return [
        v
        for v in VECTORS
        if v["characteristic_uuid"] in uuids and ("error" in v["expected"]) == cut
    ]


def of(name: str) -> bytes:
    return bytes.fromhex(next(v["hex"] for v in VECTORS if v["id"] == name))


def check(told: Reading, expected: dict[str, Any], names: dict[str, str]) -> None:
    shown = {
        ours: Decimal(str(expected[name]))
        for name, ours in names.items()
        if expected.get(name) is not None
    }
    assert {n: p.number for n, p in told.parts.items() if isinstance(p, Quantity)} == shown
    assert (told.raw_time or (told.taken and told.taken.isoformat())) == expected.get("timestamp")
    assert (told.taken is None) == ("timestamp_status" in expected or "timestamp" not in expected)
    user = expected.get("user_id")
    assert told.slot == (None if user in (None, 255) else str(user))
    assert ("unknown_user" in told.marks) == expected.get("user_unknown", False)
    missing = {
        f"not_available:{names[name]}"
        for name, v in expected.items()
        if name in names and v is None
    }
    assert {mark for mark in told.marks if mark.startswith("not_available:")} == missing


@pytest.mark.parametrize("vector", those("2A9D"), ids=by_id)
def test_weighings_of_the_vectors(vector: dict[str, Any]) -> None:
    told = weight.reading(bytes.fromhex(vector["hex"]))

    check(told, vector["expected"], WEIGHED)
    if "weight" in told.parts:
        assert told.parts["weight"].unit == vector["expected"]["weight_unit"]  # type: ignore[union-attr]
    if "height" in told.parts:
        assert told.parts["height"].unit == vector["expected"]["height_unit"]  # type: ignore[union-attr]


@pytest.mark.parametrize("vector", those("2A9C"), ids=by_id)
def test_body_compositions_of_the_vectors(vector: dict[str, Any]) -> None:
    # A maker's own frame on the standard's UUID: this decoder reads what the standard says.
    expected = vector.get("spec_expected", vector["expected"])
    raw = bytes.fromhex(vector["hex"])

    told = decode_composition(raw)

    assert told.several == expected["multiple_packet"]
    check(composition.reading(told, raw), expected, COMPOSED)
    masses = {"muscle_mass", "fat_free_mass", "soft_lean_mass", "body_water_mass", "weight"}
    parts = composition.reading(told, raw).parts
    assert {parts[name].unit for name in masses & parts.keys()} <= {expected["mass_unit"]}  # type: ignore[union-attr]


@pytest.mark.parametrize("vector", those("2A9D", "2A9C", "2A9E", "2A9F", cut=True), ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    decode: Any = {
        "2A9D": weight.reading,
        "2A9C": decode_composition,
        "2A9E": weight.decode_resolution,
        "2A9F": user_data.decode_request,
    }[vector["characteristic_uuid"]]
    with pytest.raises(PeerError, match="truncated"):
        decode(bytes.fromhex(vector["hex"]))


def test_there_are_vectors_of_each_sort() -> None:
    assert [len(those(uuid)) for uuid in ("2A9D", "2A9C", "2A9E", "2A9B")] == [13, 19, 4, 2]
    assert [len(those(uuid, cut=True)) for uuid in ("2A9D", "2A9C", "2A9E")] == [5, 2, 1]
    assert len(those("2A9F")) + len(those("2A9F", cut=True)) == 13


@pytest.mark.parametrize("vector", those("2A9E", "2A9B"), ids=by_id)
def test_resolutions_of_the_vectors(vector: dict[str, Any]) -> None:
    decode = {"2A9E": weight.decode_resolution, "2A9B": composition.decode_resolution}
    expected = {
        name: told
        for name, told in vector["expected"].items()
        if name.endswith("_resolution") and told != "not_specified"
    }

    assert decode[vector["characteristic_uuid"]](bytes.fromhex(vector["hex"])) == expected


def test_a_weight_that_was_not_measured_is_no_327_kilograms() -> None:
    # bluetooth-sig 0.6.0 reads 0xFFFF as 327.675 kg (protocols.md, 15).
    told = weight.reading(of("ws-unsuccessful"))

    assert told.parts == {}
    assert told.marks == {"not_available:weight"}
    assert told.slot == "1"


def test_the_resolution_does_not_scale_the_weight() -> None:
    # SpeziBluetooth multiplies by what the feature announces (protocols.md, 7): 0.5 kg would make tons of it.
    assert weight.decode_resolution(of("wsf-8f000000"))["weight_resolution"] == "0.5 kg / 1 lb"
    assert weight.reading(of("ws-bf720")).parts["weight"] == Quantity(Decimal("79.96"), "kg")


def test_an_impedance_is_in_tenths_of_an_ohm() -> None:
    # The supplement contradicts itself; the BF720's 4520 for 452 ohm decides (protocols.md, 7).
    told = composition.reading(decode_composition(of("bc-bf720")), b"")

    assert told.parts["impedance"] == Quantity(Decimal("452.0"), "Ohm")


def test_a_makers_frame_on_the_standards_uuid_falls_out_of_the_range() -> None:
    told = composition.reading(decode_composition(of("bc-mi-scale2")), b"")

    assert told.parts["body_fat"] == Quantity(Decimal("201.9"), "%")
    assert (told.taken, told.raw_time) == (None, "7425-17-53T01:00:00")


def test_a_third_decimal_is_shown_only_where_there_is_one() -> None:
    shown = [weight.mass(raw, imperial=False) for raw in (14240, 14241)]

    assert [str(one.number) for one in shown] == ["71.20", "71.205"]


def test_a_bmi_and_a_height_that_the_scale_was_never_told_are_absent() -> None:
    told = weight.reading(encode_weighing(Weighing(imperial=False, weight=14000, bmi=0, height=0)))

    assert told.parts == {"weight": Quantity(Decimal("70.00"), "kg")}
    assert told.marks == {"not_available:bmi", "not_available:height"}


def test_an_empty_scale_shows_a_weight_of_zero() -> None:
    assert weight.reading(b"\0\0\0").parts == {"weight": Quantity(Decimal("0.00"), "kg")}


def test_fat_that_was_not_measured_leaves_the_weight() -> None:
    told = composition.reading(decode_composition(bytes.fromhex("00040000803e")), b"")

    assert told.parts == {"weight": Quantity(Decimal("80.00"), "kg")}
    assert told.marks == {"not_available:body_fat"}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"weight": Limit.ABOVE}, "no LO and no HI"),
        ({"weight": Quantity(Decimal("70.003"), "kg")}, "no number of steps"),
        ({"weight": Quantity(Decimal(400), "kg")}, "no number of steps"),
        ({"fat": Quantity(Decimal(1), "%")}, "has no fat"),
        (
            {"weight": Quantity(Decimal(70), "kg"), "bmi": Quantity(Decimal(20), "kg/m2")},
            "together",
        ),
        (
            {"weight": Quantity(Decimal(70), "kg"), "height": Quantity(Decimal(60), "in")},
            "in one frame",
        ),
    ],
)
def test_what_a_scale_cannot_show_is_refused(parts: dict[str, Quantity | Limit], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        frame(parts)


def test_a_measurement_without_fat_is_sent_as_not_successful() -> None:
    assert composition_frame({}, slot=1)[:5] == bytes.fromhex("0400ffff01")
    with pytest.raises(ValueError, match="user 300"):
        composition_frame({}, slot=300)


@pytest.mark.parametrize("vector", those("2A9F"), ids=by_id)
def test_the_user_control_point_of_the_vectors(vector: dict[str, Any]) -> None:
    raw, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    if expected["op"] != "response":
        op, slot, code = user_data.decode_request(raw)
        assert (op, slot, code) == (
            expected["op_code"], expected.get("user_index"), expected.get("consent_code"),
        )  # fmt: skip
        return

    told = user_data.decode_answer(raw)

    assert (told.request, told.outcome) == (expected["request_op_code"], expected["response_code"])
    assert told.number == expected.get("user_index", expected.get("number_of_users"))
    assert told.granted == (expected["response"] == "success")
    assert user_data.encode_answer(told) == raw


@pytest.mark.parametrize("exchange", SCALES["exchanges"], ids=by_id)
def test_requests_and_answers_of_the_exchanges(exchange: dict[str, Any]) -> None:
    asked = exchange["request"]["expected"]
    raw = bytes.fromhex(exchange["request"]["hex"])

    if asked["op"] == "register_new_user":
        assert user_data.register(asked["consent_code"]) == raw
    elif asked["op"] == "consent":
        assert user_data.consent(asked["user_index"], asked["consent_code"]) == raw
    for response in exchange["responses"]:
        told = user_data.decode_answer(bytes.fromhex(response["hex"]))
        assert told.request == raw[0]
        assert told.why == user_data.IN_WORDS[response["expected"]["response_code"]]


@pytest.mark.parametrize("code", [-1, 10000, 99999])
def test_a_code_that_is_none_is_refused_and_not_shown(code: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 9999") as told:
        user_data.consent(1, code)
    assert str(code) not in str(told.value)


@pytest.mark.parametrize("vector", those("2A85"), ids=by_id)
def test_birth_dates_of_the_vectors(vector: dict[str, Any]) -> None:
    raw, expected = bytes.fromhex(vector["hex"]), vector["expected"]

    told = user_data.decode_birth_date(raw)

    if "date_status" in expected:
        assert told is None
    else:
        assert told == date.fromisoformat(expected["date"])
        assert user_data.encode_birth_date(told) == raw


def test_height_and_gender_of_the_vectors() -> None:
    assert user_data.encode_height(192) == of("uds-height")
    assert bytes((user_data.GENDERS["female"],)) == of("uds-gender-f")
    assert bytes((user_data.GENDERS["male"],)) == of("uds-gender-m")


FIELD = st.integers(0, 0xFFFF)
TIMES = (
    st.none()
    | st.builds(
        stored,
        st.none() | st.datetimes(datetime(1582, 1, 1)).map(lambda t: t.replace(microsecond=0)),
    )
    | st.just(StoredTime(None, "65535-255-99T77:61:200"))
)
USERS = st.none() | st.integers(0, 255)
BOTH = st.none() | st.tuples(FIELD, FIELD)
WEIGHINGS = st.builds(
    lambda imperial, raw, time, user, both: Weighing(
        imperial, raw, time, user, *(both or (None, None))
    ),
    st.booleans(), FIELD, TIMES, USERS, BOTH,
)  # fmt: skip
COMPOSITIONS = st.builds(
    Composition,
    imperial=st.booleans(),
    body_fat=FIELD,
    time=TIMES,
    user=USERS,
    fields=st.dictionaries(st.sampled_from(sorted(FIELDS)), FIELD),
    several=st.booleans(),
)


@given(WEIGHINGS, st.binary(max_size=8), st.integers(0, 15))
def test_a_weighing_comes_back_both_ways_whatever_is_reserved(
    told: Weighing, tail: bytes, reserved: int
) -> None:
    whole = encode_weighing(told)

    assert decode_weighing(bytes([whole[0] | reserved << 4]) + whole[1:] + tail) == told
    for end in range(len(whole)):
        with pytest.raises(PeerError):
            decode_weighing(whole[:end])


@given(COMPOSITIONS, st.binary(max_size=8), st.integers(0, 7))
def test_a_body_composition_comes_back_both_ways_whatever_is_reserved(
    told: Composition, tail: bytes, reserved: int
) -> None:
    whole = encode_composition(told)

    octets = bytes([whole[0], whole[1] | reserved << 5]) + whole[2:] + tail
    assert decode_composition(octets) == told
    for end in range(len(whole)):
        with pytest.raises(PeerError):
            decode_composition(whole[:end])


@given(st.binary(max_size=40))
def test_any_octets_give_a_reading_or_a_peer_error(data: bytes) -> None:
    for read in (weight.reading, lambda d: composition.reading(decode_composition(d), d)):
        try:
            told = read(data)
        except PeerError:
            continue
        assert told.raw == data


@pytest.mark.parametrize("part", [Quantity(Decimal("0.0"), "%"), Quantity(Decimal(0), "%")])
def test_a_scale_can_not_show_zero_where_that_says_that_nothing_was_measured(
    part: Quantity,
) -> None:
    with pytest.raises(ValueError, match="body_fat of 0"):
        composition_frame({"body_fat": part})
