"""Visits to a scale with users: who agreed, whose a measurement is, and who is new."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from gateway.contract.session import (
    Read,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from tests.unit.drivers.scale_stand_in import (
    ANY,
    ANY_FAT,
    CODES,
    FAT,
    OF_USER_1,
    OTHER,
    UNKNOWN,
    VECTORS,
    WEIGHT,
    Scale,
    shown,
    visited,
)


def of_two_users() -> Scale:
    return Scale(
        codes={1: 3752, 2: 1111},
        values={name: bytes.fromhex(octets) for name, octets in OF_USER_1.items()},
        upon={
            "slot_list": [(0.0, "slot_list", bytes.fromhex("0001ffffffbf070808c00103"))] * 2
            + [(0.0, "slot_list", b"\x01")],
            1: [(1.0, "weight", WEIGHT), (1.4, "body_composition", FAT)],
            2: [(0.0, "weight", OTHER)],
        },
    )


def test_each_user_is_asked_for_consent_with_their_own_code() -> None:
    scale = of_two_users()

    told = visited(scale, secrets=CODES)

    asked = [data.hex() for channel, data in scale.written if channel == "user_control"]
    assert asked == ["0201a80e", "02025704"]
    assert shown(told) == [
        ("body_weight", "1", []),
        ("body_composition", "1", []),
        ("body_weight", "2", []),
    ]
    assert told.ending is Ending.FINISHED


def test_the_order_is_that_of_beurers_own_app() -> None:
    scale = of_two_users()

    told = visited(scale, secrets={"user.1.code": "3752"})

    subscribed = [c.channel for c in told.performed if isinstance(c, Subscribe)]
    assert subscribed == ["user_control", "weight", "body_composition", "slot_list"]
    written = [c for c in told.performed if isinstance(c, Write)]
    assert [c.channel for c in written] == [
        "current_time", "slot_list", "user_control", *OF_USER_1, "change_increment",
    ]  # fmt: skip
    back = {c.channel: c.data.hex() for c in written}
    assert {name: back[name] for name in OF_USER_1} == OF_USER_1
    assert (back["slot_list"], back["change_increment"]) == ("00", "01000000")
    first = told.performed.index(written[0])
    assert first > told.performed.index(Subscribe("slot_list"))


def test_a_field_that_cannot_be_read_is_not_written_back() -> None:
    scale = of_two_users()
    del scale.values["gender"]

    visited(scale, secrets={"user.1.code": "3752"})

    assert "gender" not in {channel for channel, _ in scale.written}
    assert ("change_increment", b"\1\0\0\0") in scale.written


def test_a_wrong_code_is_told_once_and_shown_nowhere() -> None:
    scale = of_two_users()

    told = visited(scale, secrets={"user.1.code": "9173"})

    assert [channel for channel, _ in scale.written].count("user_control") == 1
    assert told.ending is Ending.PEER
    assert str(told.error) == (
        "user 1: the scale does not take the consent code of slot 1: user not authorized: another code"
    )
    assert "9173" not in str(told.facts)


def test_a_wrong_code_of_one_user_costs_the_other_nothing() -> None:
    told = visited(of_two_users(), secrets={**CODES, "user.1.code": "1"})

    assert shown(told) == [("body_weight", "2", [])]
    assert told.ending is Ending.PEER


def test_a_code_for_a_slot_that_is_empty_is_told() -> None:
    told = visited(Scale(codes={}), secrets={"user.4.code": "1"})

    assert "no such user" in str(told.error)


def test_a_scale_that_does_not_answer_is_waited_for_and_heard_all_the_same() -> None:
    scale = Scale(silent=True, upon={"change_increment": [], "slot_list": []})
    scale.upon["weight"] = [(40.0, "weight", UNKNOWN)]

    told = visited(scale, secrets={"user.1.code": "1"})

    assert "no answer" in str(told.error)


@pytest.mark.parametrize(
    "says", [b"", b"\x20\x02", b"\x21\x02\x01"], ids=["none", "cut", "foreign"]
)
def test_a_scale_whose_answer_cannot_be_read_is_heard_all_the_same(says: bytes) -> None:
    class Mumbles(Scale):
        def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
            if isinstance(command, Write) and command.channel == "user_control":
                yield Received(0.0, command.channel, says)
            else:
                yield from super().hear(command)

    told = visited(Mumbles(upon={"weight": [(12.0, "weight", UNKNOWN)]}), secrets=CODES)

    assert shown(told) == [("body_weight", None, ["unknown_user"])]
    assert "user 1: the scale does not take the consent code of slot 1: no answer" in str(
        told.error
    )


def test_what_an_unknown_user_weighs_is_told_without_a_slot_and_marked() -> None:
    scale = of_two_users()
    scale.upon["weight"] = [(12.0, "weight", UNKNOWN)]

    told = visited(scale, secrets={"user.1.code": "1111"})

    assert shown(told) == [("body_weight", None, ["unknown_user"])]


def test_a_slot_whose_user_did_not_agree_is_nobodys() -> None:
    # A scale that lost its battery gives the slot to whoever comes next: the code is refused, and the slot says nothing.
    scale = of_two_users()
    scale.upon["weight"] = [(12.0, "weight", WEIGHT), (12.4, "body_composition", FAT)]

    told = visited(scale, secrets={"user.1.code": "1111"})

    assert shown(told) == [
        ("body_weight", None, ["user_without_consent"]),
        ("body_composition", None, ["user_without_consent"]),
    ]
    assert [one.context["user"] for one in told.readings] == ["1", "1"]


def test_two_users_who_did_not_agree_are_not_taken_for_one() -> None:
    scale = of_two_users()
    of_user_5 = VECTORS["bc-bsp-0c007800"]
    scale.upon["weight"] = [(12.0, "weight", WEIGHT), (12.4, "body_composition", of_user_5)]

    told = visited(scale, secrets={"user.1.code": "1111"})

    weighed, fat = told.readings
    assert [one.context for one in (weighed, fat)] == [{"user": "1"}, {"user": "5"}]
    assert (weighed.taken is None, fat.taken) == (False, None)


def test_a_scale_whose_users_have_no_codes_says_itself_whose_it_is() -> None:
    told = visited(Scale(upon={"weight": [(0.0, "weight", WEIGHT)]}))

    assert shown(told) == [("body_weight", "1", [])]
    assert Subscribe("user_control") not in told.performed


NEW = {
    "user.anna.code": "4821",
    "user.anna.birth_date": "1988-05-16",
    "user.anna.gender": "female",
    "user.anna.user_height": "165",
}


def test_a_new_user_is_registered_and_their_data_written_and_read_back() -> None:
    scale = Scale(values={"change_increment": (6).to_bytes(4, "little")})

    told = visited(scale, ANY_FAT, secrets=NEW)

    assert [(channel, data.hex()) for channel, data in scale.written if channel != "current_time"] == [
        ("user_control", "01d512"), ("user_control", "0203d512"), ("birth_date", "c4070510"),
        ("gender", "01"), ("user_height", "a500"), ("change_increment", "07000000"),
    ]  # fmt: skip
    assert {"slot.anna": "3"} in told.facts
    reads = [c.channel for c in told.performed if isinstance(c, Read)]
    assert reads[-4:] == ["user_index", "birth_date", "gender", "user_height"]
    assert told.ending is Ending.FINISHED


def test_a_user_who_was_registered_before_is_not_registered_again() -> None:
    scale = Scale(codes={3: 4821})

    visited(scale, ANY_FAT, secrets=NEW, facts={"slot.anna": "3"})

    assert [d.hex() for c, d in scale.written if c == "user_control"] == ["0203d512"]
    assert "birth_date" not in {channel for channel, _ in scale.written}


def test_a_scale_that_is_full_says_so() -> None:
    told = visited(Scale(free=None), ANY_FAT, secrets=NEW)

    assert str(told.error).endswith("registers no new user: operation failed: no free place")
    assert told.facts == [{}]


def test_data_that_does_not_stand_as_it_was_written_is_told() -> None:
    class Stubborn(Scale):
        def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
            yield from super().hear(command)
            self.values["user_height"] = b"\0\0"

    told = visited(Stubborn(), ANY_FAT, secrets=NEW)

    assert "does not hold what was written: user_height" in str(told.error)


def test_no_secret_stands_in_the_words_for_a_unit() -> None:
    assert "4821" not in repr(UnitInfo(ANY, secrets=NEW))


@dataclass
class Slow(Scale):
    """It answers what user 1 is asked when user 2 has been asked, and user 2 never."""

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        if isinstance(command, Write) and command.channel == "user_control":
            self.written.append(("user_control", command.data))
            if command.data[1] == 1:
                yield Received(11.0, "user_control", bytes.fromhex("200201"))
                yield Received(15.0, "weight", OTHER)
            return
        yield from super().hear(command)


def test_an_answer_that_comes_late_gives_nobody_elses_consent() -> None:
    scale = Slow()

    told = visited(scale, secrets=CODES)

    assert shown(told) == [("body_weight", None, ["user_without_consent"])]
    assert [data[1] for channel, data in scale.written if channel == "user_control"] == [1]
    assert "user 1: the scale does not take the consent code of slot 1: no answer" in str(
        told.error
    )
    assert "user 2: not asked" in str(told.error)
