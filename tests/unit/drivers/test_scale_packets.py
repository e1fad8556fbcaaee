"""A body composition in several packets: which go together, and what a field without a value says against that; and users without a place."""

from decimal import Decimal

import pytest

from drivers.gatt.user_data import NO_USER
from drivers.gatt.weight_scale.joining import PATIENCE_S
from gateway.contract.replay import Played
from gateway.model.quantity import Quantity
from tests.unit.drivers.scale_stand_in import ANY_FAT, HALVES, Scale, heard, shown, visited

FLAGS, BODY_FAT = slice(0, 2), slice(2, 4)
WHOLE = {
    "body_fat": Quantity(Decimal("23.1"), "%"),
    "impedance": Quantity(Decimal("512.3"), "Ohm"),
    "weight": Quantity(Decimal("73.00"), "kg"),
}


def with_(half: bytes, field: slice, octets: str) -> bytes:
    return half[: field.start] + bytes.fromhex(octets) + half[field.stop :]


def told_by(*packets: bytes, apart_s: float = 0.04) -> Played:
    return heard(
        *((1.0 + place * apart_s, "body_composition", one) for place, one in enumerate(packets))
    )


@pytest.mark.parametrize("nothing", ["ffff", "0000"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_packet_without_a_body_fat_contradicts_none_that_has_one(
    nothing: str, which: int
) -> None:
    halves = list(HALVES)
    halves[which] = with_(halves[which], BODY_FAT, nothing)

    told = told_by(*halves)

    assert shown(told) == [("body_composition", "1", [])]
    assert told.readings[0].parts == WHOLE


def test_a_third_packet_is_held_against_all_that_were_told_before_it() -> None:
    nothing, other = with_(HALVES[0], BODY_FAT, "ffff"), with_(HALVES[1], BODY_FAT, "2c01")

    told = told_by(nothing, HALVES[1], other)

    assert [one.parts["body_fat"] for one in told.readings] == [
        Quantity(Decimal("23.1"), "%"),
        Quantity(Decimal("30.0"), "%"),
    ]


def test_the_last_packet_may_say_that_no_other_follows() -> None:
    last = with_(HALVES[1], FLAGS, "0606")

    told = told_by(HALVES[0], last)

    assert shown(told) == [("body_composition", "1", [])]
    assert told.readings[0].parts == WHOLE
    assert told.readings[0].raw == HALVES[0] + last


def test_a_packet_that_says_neither_when_nor_that_it_goes_on_is_a_measurement_of_its_own() -> None:
    other = bytes.fromhex("0000e700")

    told = told_by(HALVES[0], other)

    assert [one.raw for one in told.readings] == [HALVES[0], other]


def test_what_comes_when_no_more_is_waited_for_is_a_measurement_of_its_own() -> None:
    told = told_by(*HALVES, apart_s=PATIENCE_S + 0.1)

    assert [mark for *_, mark in shown(told)] == [["incomplete"], ["incomplete"]]


def test_a_place_that_is_nobodys_is_no_new_users() -> None:
    told = visited(Scale(free=NO_USER), ANY_FAT, secrets={"user.anna.code": "4821"})

    assert told.facts == [{}]
    assert str(told.error).endswith("registers no new user: gives place 255, which is nobody's")


def test_half_a_measurement_that_comes_twice_is_still_half() -> None:
    told = heard((1.0, "body_composition", HALVES[0]), (1.04, "body_composition", HALVES[0]))

    assert shown(told) == [("body_composition", "1", ["incomplete"])]
