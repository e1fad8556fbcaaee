"""Devices that only advertise: what is a new measurement, and what the same one shown again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from gateway.contract.broadcast import (
    REFRESH_S,
    REPEAT_S_MAX,
    STEADY_GAP_S,
    Between,
    BroadcastDriver,
    Shows,
)
from gateway.contract.profile import IdentityRule, Profile
from gateway.contract.replay import Played, replay
from gateway.contract.session import (
    Closed,
    PeerError,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
)
from gateway.contract.visit import Ending
from gateway.model.identity import Scheme
from gateway.model.quantity import Quantity

QUIET_S = 8.0
PROFILE = Profile(
    id="acme/scale", maker="Acme", model="Scale", kind="body_weight", driver="acme.scale",
    support="", link="advert", identity=IdentityRule(Scheme.CLOCK), quiet_s=QUIET_S, deadline_s=600.0,
)  # fmt: skip
MORNING = datetime(2026, 3, 14, 7, 0)


def decode(channel: str, data: bytes) -> Shows | Between | None:
    """`w72 8`: 72 kg at 07:00:08; `p72 8` the same, a fuller one may follow; `f72 14` the fuller; `-5`: between, the clock shows 07:00:05."""
    told = data.decode()
    match told[0]:
        case "w" | "p" | "f":
            weight, _, second = told[1:].partition(" ")
            taken = MORNING + timedelta(seconds=int(second)) if second else None
            raw = None if taken else "0000-00-00T00:00:00"
            parts, context = {"weight": Quantity(Decimal(weight), "kg")}, {"fuller": "yes"}
            reading = Reading(
                "body_weight", parts, taken, raw, context=context if told[0] == "f" else {}
            )
            return Shows(reading, fuller_follows=told[0] == "p")
        case "-":
            return Between(MORNING + timedelta(seconds=int(told[1:])) if told[1:] else None)
        case "?":
            raise PeerError("garbage")
        case _:
            return None


DRIVER = BroadcastDriver("acme.scale", decode)


def heard(*frames: tuple[float, str]) -> list[Received]:
    return [Received(1000.0 + at, "weight", told.encode()) for at, told in frames]


def burst(*frames: tuple[float, str], cursor: str | None = None) -> Played:
    return replay(DRIVER.open(UnitInfo(PROFILE, cursor)), heard(*frames))


def weights(played: Played) -> Sequence[str]:
    return [
        f"{part.number}" for one in played.readings
        if isinstance(part := one.parts["weight"], Quantity)
    ]  # fmt: skip


def test_a_weighing_is_told_once_however_often_it_is_shown() -> None:
    played = burst((0, "-5"), *((at / 10, "w72 8") for at in range(30, 150)))
    assert weights(played) == ["72"]
    assert played.ending is Ending.FINISHED


def test_it_is_told_and_stored_when_it_is_first_shown_not_when_the_burst_ends() -> None:
    session = DRIVER.open(UnitInfo(PROFILE))
    events = [*heard((0, "-5"), (1, "w72 8")), Closed(1001.5, "killed")]
    played = replay(session, events)
    assert weights(played) == ["72"]
    assert played.cursor is not None


def test_the_same_frame_is_no_new_weighing_after_a_restart_in_mid_burst() -> None:
    first = burst((0, "-5"), (1, "w72 8"), (2, "w72 8"))
    again = burst((4, "w72 8"), (5, "w72 8"), cursor=first.cursor)
    assert weights(again) == []


def test_nor_where_it_has_no_time_of_its_own() -> None:
    first = burst((0, "-"), (1, "w72"), (2, "w72"))
    again = burst((40, "w72"), cursor=first.cursor)
    assert (weights(first), weights(again)) == (["72"], [])


def test_the_same_weight_again_is_a_new_one_after_the_device_showed_something_else() -> None:
    played = burst((0, "w72"), (1, "w72"), (2, "-"), (3, "w72"))
    assert weights(played) == ["72", "72"]


def test_also_where_the_agent_was_killed_between_the_two() -> None:
    first = burst((0, "w72"), (1, "w72"), (2, "-"))
    assert weights(burst((4, "w72"), cursor=first.cursor)) == ["72"]


def test_another_time_stamp_makes_another_weighing() -> None:
    first = burst((0, "w72 8"))
    assert weights(burst((30, "w72 38"), cursor=first.cursor)) == ["72"]


def test_an_old_weighing_that_is_shown_again_days_later_is_none() -> None:
    first = burst((0, "w72 8"))
    assert weights(burst((200_000, "w72 8"), cursor=first.cursor)) == []


def test_one_without_a_time_is_another_once_no_device_repeats_so_long() -> None:
    first = burst((0, "w72"))
    later = REPEAT_S_MAX + 1
    assert weights(burst((later, "w72"), cursor=first.cursor)) == ["72"]


def test_one_that_is_shown_for_minutes_stays_the_same_over_visits() -> None:
    shown = [(float(at), "w72") for at in range(0, 700, 2)]
    cursor, told = None, list[str]()
    while shown:
        events = heard(*shown)
        played = replay(DRIVER.open(UnitInfo(PROFILE, cursor)), events)
        told += weights(played)
        cursor = played.cursor or cursor
        shown = [one for one in shown if one[0] > shown[0][0] + PROFILE.deadline_s / 2]
    assert told == ["72"]


def test_the_cursor_is_refreshed_while_a_weighing_is_repeated() -> None:
    short = burst((0, "w72"), (1, "w72"))
    long = burst(*((float(at), "w72") for at in range(0, int(REFRESH_S) + 4, 2)))
    assert short.cursor != long.cursor


def test_a_clock_that_ticks_on_makes_no_new_weighing_while_the_device_is_heard_on() -> None:
    played = burst(*((at, f"w72 {8 + int(at)}") for at in (0.0, 1.0, 2.0, 4.5)))
    assert STEADY_GAP_S >= 2.5
    assert weights(played) == ["72"]


def test_two_people_one_after_the_other_are_two() -> None:
    played = burst((0, "w72 8"), (1, "-9"), (6, "w64 15"), (7, "w64 15"))
    assert weights(played) == ["72", "64"]


def test_another_weight_is_another_even_where_nothing_was_heard_between() -> None:
    assert weights(burst((0, "w72 8"), (1, "w64 9"))) == ["72", "64"]


def second(at: int) -> datetime:
    return MORNING + timedelta(seconds=at)


def fuller(played: Played) -> Sequence[tuple[str, datetime | None, bool]]:
    return [
        (weight, one.taken, bool(one.context))
        for weight, one in zip(weights(played), played.readings, strict=True)
    ]


def test_a_measurement_is_told_before_the_fuller_frame_and_again_under_its_name() -> None:
    played = burst((0, "p72 8"), (1, "p72 9"), (6, "f72 14"), (7, "f72 14"))
    assert fuller(played) == [("72", second(8), False), ("72", second(8), True)]


def test_nothing_is_held_back_when_an_agent_is_killed() -> None:
    killed = replay(DRIVER.open(UnitInfo(PROFILE)), [*heard((0, "p72 8")), Closed(1000.1, "gone")])
    assert (weights(killed), killed.ending) == (["72"], Ending.CLOSED)
    assert killed.cursor is not None
    rest = burst((5, "f72 14"), (6, "f72 14"), cursor=killed.cursor)
    assert fuller(rest) == [("72", second(8), True)]
    assert fuller(burst((7, "f72 14"), cursor=rest.cursor)) == []


@pytest.mark.parametrize("first", ["p72", "p72 3"])
def test_a_measurement_without_a_name_of_its_own_is_told_once_and_stays_without_context(
    first: str,
) -> None:
    reset = replace(PROFILE, identity=IdentityRule(Scheme.CLOCK, (MORNING,), 60))
    frames = heard((0, first), (1, first), (6, first.replace("p", "f")))
    assert fuller(replay(DRIVER.open(UnitInfo(reset)), frames)) == [
        ("72", second(3) if " " in first else None, False)
    ]


@pytest.mark.parametrize("then", [(11.0, "p72 8"), (2.0, "-"), (2.0, "w64 9"), (2.0, "x")])
def test_where_no_fuller_one_follows_it_is_told_all_the_same(then: tuple[float, str]) -> None:
    told = weights(burst((0, "p72 8"), then))
    assert told[0] == "72"
    assert told.count("72") == 1


@pytest.mark.parametrize("frame", ["w72 8", "w72"])
@pytest.mark.parametrize("bent", ["w40 8", "-", "?"])
def test_one_frame_bent_on_the_way_makes_no_second_reading_of_the_true_one(
    frame: str, bent: str
) -> None:
    if (frame, bent) == ("w72", "-"):
        return  # without any time, somebody stepping on again can't be told from it
    shown = [(float(at), frame) for at in range(6)]
    shown[3] = (3.0, bent)
    played = burst((-1, "-"), *shown)
    assert sorted(weights(played)) == (["40", "72"] if bent == "w40 8" else ["72"])
    assert weights(burst((7, frame), cursor=played.cursor)) == []


def test_a_measurement_that_was_seen_coming_says_since_when_it_can_have_been_made() -> None:
    played = burst((0, "-"), (1, "-"), (4, "w72"), (5, "w72"), (6, "w64"), (7, "-"), (9, "w81"))
    assert [one.within_s for one in played.readings] == [4.0, 2.0, 2.0]


def test_one_that_was_there_when_the_burst_began_says_nothing_of_the_kind() -> None:
    assert [one.within_s for one in burst((0, "w72"), (1, "w72")).readings] == [None]


def test_the_clock_is_told_once_and_before_the_weighing() -> None:
    played = burst((0, "-5"), (1, "-6"), (2, "w72 8"))
    assert [(clock.at, clock.shown) for clock in played.clocks] == [
        (1000.0, MORNING + timedelta(seconds=5))
    ]


def test_a_frame_that_cannot_be_read_costs_no_other() -> None:
    played = burst((0, "?"), (1, "w72 8"), (2, "?"))
    assert weights(played) == ["72"]
    assert played.ending is Ending.FINISHED


def test_a_burst_of_which_nothing_can_be_read_is_told_of() -> None:
    played = burst((0, "?"), (1, "?"))
    assert (played.ending, str(played.error)) == (Ending.PEER, "garbage")


def test_what_says_nothing_changes_nothing() -> None:
    assert weights(burst((0, "w72"), (1, "x"), (2, "w72"))) == ["72"]


@pytest.mark.parametrize(("last", "ending"), [
    (PROFILE.deadline_s / 2 - 1, Ending.CLOSED), (PROFILE.deadline_s / 2, Ending.FINISHED),
])  # fmt: skip
def test_a_device_that_never_falls_silent_has_its_visit_ended_before_the_deadline(
    last: float, ending: Ending
) -> None:
    beats = [(float(at), "-") for at in range(int(last) + 1)]
    session = DRIVER.open(UnitInfo(PROFILE))
    assert replay(session, [*heard(*beats), Closed(1000.5 + last, "gone")]).ending is ending


@pytest.mark.parametrize(
    "cursor",
    ["", "u2:00", "[]", "[1]", '[2,0.0,"","",true,true,true]', "{", "[" * 100_000, "null", '[1,"a",1,2,3,4,5]'],
)  # fmt: skip
def test_a_cursor_of_another_make_costs_no_weighing(cursor: str) -> None:
    assert weights(burst((0, "w72 8"), cursor=cursor)) == ["72"]


def test_nor_does_one_whose_time_is_none() -> None:
    first = burst((0, "p72 8"))
    assert first.cursor is not None
    bent = first.cursor.replace("2026-03-14", "2026-13-14")
    assert bent != first.cursor
    assert fuller(burst((9, "f72 14"), cursor=bent)) == [("72", second(14), True)]


def test_nothing_is_ever_asked_of_the_device() -> None:
    assert burst((0, "-"), (1, "w72 8")).performed == []


def test_refusals_are_passed_over() -> None:
    events = [Refused(1000.0, Subscribe("weight")), *heard((1, "w72 8"))]
    assert weights(replay(DRIVER.open(UnitInfo(PROFILE)), events)) == ["72"]


def test_marks_and_context_make_no_other_weighing() -> None:
    def with_context(channel: str, data: bytes) -> Shows | Between | None:
        said = decode(channel, data)
        assert isinstance(said, Shows)
        return replace(said, reading=replace(said.reading, context={"at": data.hex()}))

    driver = BroadcastDriver("acme.scale", with_context)
    played = replay(driver.open(UnitInfo(PROFILE)), heard((0, "w72"), (1, "w72"), (2, "w72")))
    assert weights(played) == ["72"]
