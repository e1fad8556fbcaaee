"""Visits to a scale: what it tells at once, body composition joined with its weight, halves made whole."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

import pytest

from drivers.gatt.weight_scale.joining import JOIN_S, PATIENCE_S
from drivers.gatt.weight_scale.session import DRIVER
from gateway.contract.replay import replay
from gateway.contract.session import Closed, Opened, Received, Subscribe, UnitInfo, Write
from gateway.contract.unreadable import UnreadableError
from gateway.contract.visit import Ending
from tests.unit.drivers.scale_stand_in import (
    AANDD,
    ANY_FAT,
    AT,
    FAT,
    HALVES,
    OTHER,
    STUB,
    UNKNOWN,
    VECTORS,
    WEIGHT,
    Scale,
    heard,
    shown,
    visited,
)


def test_a_body_composition_takes_time_and_user_of_the_weight_just_told() -> None:
    told = heard((1.0, "weight", WEIGHT), (1.4, "body_composition", FAT))

    weighed, fat = told.readings
    assert fat.taken == weighed.taken == datetime(2026, 5, 12, 18, 53, 54)
    assert fat.slot == weighed.slot == "1"
    assert fat.context == {"weighed": "79.96 kg"}
    assert "weight" not in fat.parts
    assert [len(commit) for commit in told.commits] == [1, 1]


def test_a_body_composition_that_comes_late_is_nobodys_and_of_unknown_time() -> None:
    told = heard((1.0, "weight", WEIGHT), (1.0 + JOIN_S + 0.1, "body_composition", FAT))

    fat = told.readings[1]
    assert (fat.taken, fat.slot, fat.context) == (None, None, {})


def test_one_weight_goes_with_one_body_composition() -> None:
    told = heard(
        (1.0, "weight", WEIGHT), (1.2, "body_composition", FAT), (1.4, "body_composition", FAT)
    )

    assert [one.slot for one in told.readings] == ["1", "1", None]


def test_a_body_composition_of_another_user_or_time_keeps_its_own() -> None:
    told = heard((1.0, "weight", WEIGHT), (1.4, "body_composition", VECTORS["bc-user2"]))

    fat = told.readings[1]
    assert (fat.slot, fat.taken) == ("2", datetime(2026, 3, 14, 7, 5, 9))


def test_a_body_composition_that_names_another_user_takes_no_time_of_this_weight() -> None:
    told = heard((1.0, "weight", WEIGHT), (1.4, "body_composition", VECTORS["bc-bsp-0c007800"]))

    assert (told.readings[1].slot, told.readings[1].taken) == ("5", None)


def test_what_is_joined_to_an_unknown_users_weight_is_an_unknown_users() -> None:
    told = heard((1.0, "weight", UNKNOWN), (1.4, "body_composition", FAT))

    assert shown(told) == [
        ("body_weight", None, ["unknown_user"]),
        ("body_composition", None, ["unknown_user"]),
    ]


def test_a_stub_of_zeros_is_no_measurement_and_uses_up_its_weight() -> None:
    told = heard(
        (1.0, "weight", OTHER), (1.2, "body_composition", STUB), (1.4, "body_composition", FAT)
    )

    assert [one.kind for one in told.readings] == ["body_weight", "body_composition"]
    assert told.readings[1].slot is None


def test_two_packets_are_one_measurement() -> None:
    told = heard((1.0, "body_composition", HALVES[0]), (1.04, "body_composition", HALVES[1]))

    (one,) = told.readings
    assert {n: str(p.number) for n, p in one.parts.items()} == {  # type: ignore[union-attr]
        "body_fat": "23.1", "impedance": "512.3", "weight": "73.00",
    }  # fmt: skip
    assert (one.slot, one.marks, one.raw) == ("1", frozenset(), HALVES[0] + HALVES[1])


def test_two_packets_are_told_when_the_scale_hangs_up_upon_the_second() -> None:
    events = [Received(AT + 1, "body_composition", half) for half in HALVES]
    told = replay(DRIVER.open(UnitInfo(ANY_FAT)), [*events, Closed(AT + 1.1)], opened=Opened(AT))

    assert shown(told) == [("body_composition", "1", [])]


@pytest.mark.parametrize("end", ["quiet", "closed", "cut", "another", "weight"])
def test_half_a_measurement_is_told_and_says_so(end: str) -> None:
    then: Mapping[str, Callable[[], list[Received | Closed]]] = {
        "quiet": lambda: [Received(AT + 1 + PATIENCE_S + 0.1, "body_composition", b"\0\0\0\0")],
        "closed": lambda: [Closed(AT + 1.1)],
        "cut": lambda: [Received(AT + 1.1, "body_composition", b"\x02\x10\xe7")],
        "another": lambda: [Received(AT + 1.1, "body_composition", VECTORS["bc-user2"])],
        "weight": lambda: [Received(AT + 1.1, "weight", OTHER)],
    }
    first = Received(AT + 1, "body_composition", HALVES[0])

    told = replay(DRIVER.open(UnitInfo(ANY_FAT)), [first, *then[end]()], opened=Opened(AT))

    assert shown(told)[0] == ("body_composition", "1", ["incomplete"])
    assert told.readings[0].parts["body_fat"].number == Decimal("23.1")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("octet", "value"), [(0, 0x07), (4, 0xEB), (9, 0x06), (11, 0x02)], ids=["unit", "year", "minute", "user"]
)  # fmt: skip
def test_a_packet_of_another_user_time_or_unit_is_another_measurement(
    octet: int, value: int
) -> None:
    other = bytes((*HALVES[1][:octet], value, *HALVES[1][octet + 1 :]))

    told = heard((1.0, "body_composition", HALVES[0]), (1.04, "body_composition", other))

    assert [mark for *_, mark in shown(told)] == [["incomplete"], ["incomplete"]]
    assert [one.raw for one in told.readings] == [HALVES[0], other]


def test_a_second_packet_that_contradicts_the_first_is_another_measurement() -> None:
    contrary = HALVES[1].replace(bytes.fromhex("e700"), bytes.fromhex("e800"))

    told = heard((1.0, "body_composition", HALVES[0]), (1.04, "body_composition", contrary))

    assert [mark for *_, mark in shown(told)] == [["incomplete"], ["incomplete"]]


@pytest.mark.parametrize("channel", ["weight", "body_composition"])
def test_a_cut_indication_costs_itself_only_and_the_visit_fails_with_it_at_its_end(
    channel: str,
) -> None:
    cut = {"weight": WEIGHT, "body_composition": FAT}[channel][:3]

    told = heard((1.0, "weight", OTHER), (1.2, channel, cut), (4.0, "weight", WEIGHT))

    assert [one.raw for one in told.readings] == [OTHER, WEIGHT]
    assert told.ending is Ending.PEER
    assert isinstance(told.error, UnreadableError)
    assert [frame.data for frame in told.error.frames] == [cut]


def test_packets_with_a_cut_one_between_them_are_not_put_together() -> None:
    told = heard(
        (1.0, "body_composition", HALVES[0]),
        (1.02, "body_composition", HALVES[1][:3]),
        (1.04, "body_composition", HALVES[1]),
    )

    assert [mark for *_, mark in shown(told)] == [["incomplete"], ["incomplete"]]
    assert [one.raw for one in told.readings] == [HALVES[0], HALVES[1]]


def test_a_scale_that_tells_without_end_is_left_before_the_deadline() -> None:
    told = heard(*((float(n), "weight", WEIGHT) for n in range(1, 400)))

    assert (told.ending, told.told_all) == (Ending.FINISHED, False)


def test_a_scale_of_weight_alone_is_not_asked_for_more() -> None:
    told = visited(Scale(upon={"weight": [(0.0, "weight", VECTORS["ws-aandd-uc352"])]}), AANDD)

    assert Subscribe("body_composition") not in told.performed
    assert shown(told) == [("body_weight", None, [])]


def test_a_scale_that_refuses_all_that_it_measures_is_trouble() -> None:
    told = visited(Scale(refuses=frozenset({"weight", "body_composition"})))

    assert told.ending is Ending.PEER


def test_a_scale_without_weight_is_read_for_its_body_composition() -> None:
    upon = {"body_composition": [(0.0, "body_composition", VECTORS["bc-user2"])]}

    told = visited(Scale(upon=upon, refuses=frozenset({"weight"})), ANY_FAT)

    assert shown(told) == [("body_composition", "2", [])]


def test_the_resolutions_are_told_as_facts() -> None:
    values = {"weight_feature": VECTORS["wsf-8f000000"], "body_composition_feature": b"\0"}

    assert visited(Scale(values=values), ANY_FAT).facts == [
        {"weight_resolution": "0.5 kg / 1 lb", "height_resolution": "0.01 m / 1 in"}
    ]


def test_aandds_clock_is_set_before_the_subscription() -> None:
    told = visited(Scale(), AANDD)

    write = Write("date_time", bytes.fromhex("ea07030e070702"))
    assert told.performed.index(write) < told.performed.index(Subscribe("weight"))
