"""A pushed reading whose stored time says nothing: since when it can have been measured, and when nobody can say."""

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edge.clock_history import (
    AGAIN_S,
    BOX_STEP_S,
    NOTHING,
    ClockMemory,
    HangUp,
    decode,
    emptied,
    encode,
    met,
)
from edge.timekeeping import Arrival, moment_of
from gateway.contract.profile import ClockRule
from gateway.contract.session import Reading
from gateway.model.observation import Moment
from gateway.runtime.clock import from_iso
from tests.unit.edge.clock_life import CUFF, NOON_S, RESET, base

ZONE = ZoneInfo("Asia/Shanghai")
# A cuff whose clock nothing is known of.
DEAD = dataclasses.replace(CUFF, clock=ClockRule())


def told(memory: ClockMemory, at_s: float, *, pushed: bool = True) -> Moment:
    arrival = Arrival(datetime.fromtimestamp(at_s, UTC), ZONE)
    reading = Reading("blood_pressure", {}, RESET, pushed=pushed)
    return moment_of(reading, DEAD, arrival, None, memory)


def after_hanging_up(ended_s: float) -> ClockMemory:
    began_s = ended_s - 10
    memory, _ = met(NOTHING, began_s, base(began_s, began_s))
    return replace(memory, hang_up=HangUp(began_s, ended_s))


def test_what_a_device_pushes_at_its_first_visit_can_have_been_measured_at_any_time() -> None:
    moment = told(NOTHING, NOON_S)
    assert (moment.known, moment.early_s, moment.late_s) == (False, None, 0.0)


def test_after_a_visit_that_told_all_it_was_measured_since_that_visit_began() -> None:
    moment = told(emptied(NOTHING, NOON_S), NOON_S + 3_600)
    assert (moment.known, moment.early_s) == (False, 3_600 + BOX_STEP_S)


@pytest.mark.parametrize("within_s", [0.0, 4.5, 300.0])
def test_what_a_visit_saw_being_measured_is_known_by_its_arrival(within_s: float) -> None:
    reading = Reading("body_weight", {}, RESET, pushed=True, within_s=within_s)
    arrival = Arrival(datetime.fromtimestamp(NOON_S, UTC), ZONE)
    moment = moment_of(reading, DEAD, arrival, None, emptied(NOTHING, NOON_S - 9_000))
    assert (moment.known, moment.early_s, moment.late_s) == (True, within_s, 0.0)
    assert from_iso(moment.utc).timestamp() == NOON_S


@pytest.mark.parametrize("within_s", [-1.0, float("nan"), float("inf"), 1e12])
def test_a_driver_that_saw_nonsense_proves_nothing(within_s: float) -> None:
    reading = Reading("body_weight", {}, RESET, pushed=True, within_s=within_s)
    arrival = Arrival(datetime.fromtimestamp(NOON_S, UTC), ZONE)
    moment = moment_of(reading, DEAD, arrival, None, NOTHING)
    assert (moment.known, moment.early_s) == (False, None)


def test_what_is_read_from_memory_has_no_such_bound() -> None:
    assert told(emptied(NOTHING, NOON_S), NOON_S + 3_600, pushed=False).early_s is None


def test_a_device_that_hung_up_after_telling_and_stayed_away_had_told_all() -> None:
    memory, _ = met(
        after_hanging_up(NOON_S), NOON_S + AGAIN_S, base(NOON_S + AGAIN_S, NOON_S + AGAIN_S)
    )
    moment = told(memory, NOON_S + AGAIN_S + 2)
    assert moment.early_s == AGAIN_S + 2 + 10 + BOX_STEP_S


def test_a_device_that_comes_again_at_once_had_not_told_all() -> None:
    memory, _ = met(after_hanging_up(NOON_S), NOON_S + 20, base(NOON_S + 20, NOON_S + 20))
    assert told(memory, NOON_S + 21).early_s is None


def test_one_that_comes_again_at_once_keeps_what_an_earlier_visit_proved() -> None:
    memory = emptied(after_hanging_up(NOON_S), NOON_S - 500)
    again, _ = met(memory, NOON_S + 20, base(NOON_S + 20, NOON_S + 20))
    assert told(again, NOON_S + 21).early_s == 521 + BOX_STEP_S


def test_a_box_that_was_started_anew_or_moved_its_clock_proves_nothing() -> None:
    memory, _ = met(NOTHING, NOON_S, base(NOON_S, 5_000.0))
    memory = emptied(memory, NOON_S)
    same, _ = met(memory, NOON_S + 600, base(NOON_S + 600, 5_600.0))
    moved, moved_back = met(memory, NOON_S + 7_200, base(NOON_S + 7_200, 5_600.0))
    back, back_back = met(memory, NOON_S - 7_200, base(NOON_S - 7_200, 5_600.0))
    rebooted, _ = met(memory, NOON_S + 600, base(NOON_S + 600, 20.0))

    assert told(same, NOON_S + 600).early_s == 600 + BOX_STEP_S
    assert told(moved, NOON_S + 7_200).early_s is None
    assert told(back, NOON_S - 7_200).early_s is None
    assert told(rebooted, NOON_S + 600).early_s is None
    assert (moved_back, back_back) == (False, True)


@dataclass
class Cuff:
    """Its clock stands; what is told is forgotten. `true` beside what the box states of each reading."""

    now_s: float = NOON_S
    untold: list[float] = field(default_factory=list)
    kept: str | None = None
    told: list[tuple[float, Moment]] = field(default_factory=list)

    def visit(self, how: str) -> None:
        began_s = self.now_s
        memory, _ = met(decode(self.kept), began_s, base(began_s, began_s))
        count = len(self.untold) if how in ("finished", "hangs up") else len(self.untold) // 2
        telling, self.untold = self.untold[:count], self.untold[count:]
        for true_s in telling:
            self.now_s += 0.2
            self.told.append((true_s, told(memory, self.now_s)))
        self.now_s += 1.0
        if how == "finished":
            memory = emptied(memory, began_s)
        elif how in ("hangs up", "cut off") and telling:
            memory = replace(memory, hang_up=HangUp(began_s, self.now_s))
        self.kept = encode(memory)

    def play(self, acts: list[tuple[float, str]]) -> None:
        for gap_s, act in acts:
            self.now_s += gap_s
            if act == "measure":
                self.untold.append(self.now_s)
                continue
            self.visit(act)
            if act == "cut off" and self.untold:
                # It still advertises, and is heard at once.
                self.now_s += min(gap_s, AGAIN_S - 1)
                self.visit("hangs up")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(1.0, 10_000.0),
            st.sampled_from(["measure", "measure", "finished", "hangs up", "cut off", "died"]),
        ),
        max_size=40,
    )
)
def test_every_readings_true_time_lies_within_its_interval(acts: list[tuple[float, str]]) -> None:
    cuff = Cuff()
    cuff.play([*acts, (60.0, "finished")])

    for true_s, moment in cuff.told:
        at_s = from_iso(moment.utc).timestamp()
        assert moment.early_s is None or at_s - moment.early_s <= true_s
        assert true_s <= at_s + moment.late_s
