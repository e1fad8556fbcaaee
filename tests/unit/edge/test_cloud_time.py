"""What an answer of the cloud says of the box's clock, and what it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from edge.cloud_time import OFF_S_MAX, ROUND_S_MAX, TOLERANCE_S, CloudTime
from gateway.runtime.clock import ManualClock, TimeBase, iso
from gateway.runtime.counters import Counters

TRUE = datetime(2026, 3, 14, 7, 5, tzinfo=UTC)
BEHIND_S = 25 * 3_600.0


class Heard:
    """A box `behind_s` behind the cloud, and an answer that took `round_s`."""

    def __init__(self, behind_s: float) -> None:
        self.clock = ManualClock(TRUE - timedelta(seconds=behind_s))
        self.true = TRUE
        self.counters = Counters()
        self.time = CloudTime(self.clock, self.counters)

    def pass_s(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.true += timedelta(seconds=seconds)

    def answer(self, round_s: float = 0.0) -> bool:
        asked = self.clock.monotonic()
        self.pass_s(round_s / 2)
        told = iso(self.true)
        self.pass_s(round_s / 2)
        return self.time.hear(told, asked)


@pytest.mark.parametrize("behind_s", [BEHIND_S, -BEHIND_S, TOLERANCE_S + 1])
def test_an_answer_says_how_far_the_clock_is_off(behind_s: float) -> None:
    box = Heard(behind_s)
    here = box.clock.base()
    assert box.time.now_off_s() is None

    assert box.answer(round_s=4.0)

    assert box.time.now_off_s() == pytest.approx(behind_s)
    assert box.time.off_s(here) == pytest.approx(behind_s)


def test_a_step_after_the_answer_is_known_exactly() -> None:
    box = Heard(BEHIND_S)
    before = box.clock.base()
    box.answer()
    box.clock.step(BEHIND_S)

    assert box.time.now_off_s() is None
    assert box.time.off_s(before) == pytest.approx(BEHIND_S)


def test_a_right_clock_that_somebody_sets_wrong_misdates_nothing_that_it_dated_before() -> None:
    box = Heard(0)
    before = box.clock.base()
    box.answer()
    box.clock.step(-BEHIND_S)

    assert box.time.off_s(before) is None
    assert box.time.now_off_s() == pytest.approx(BEHIND_S)


def test_without_an_answer_the_clock_as_it_was_set_since_is_the_judge() -> None:
    box = Heard(BEHIND_S)
    before = box.clock.base()
    box.clock.step(BEHIND_S)

    assert box.time.off_s(before) == pytest.approx(BEHIND_S)


@pytest.mark.parametrize("off_s", [0.0, TOLERANCE_S, -TOLERANCE_S])
def test_what_nobody_would_notice_is_not_corrected(off_s: float) -> None:
    box = Heard(off_s)
    box.answer()

    assert box.time.now_off_s() is None


def test_another_boot_can_not_be_compared() -> None:
    box = Heard(BEHIND_S)
    before = box.clock.base()
    box.answer()
    box.clock.reboot()

    assert box.time.off_s(before) is None
    assert box.time.off_s(None) is None
    assert box.time.now_off_s() is None


def test_an_answer_that_took_long_says_nothing_and_is_asked_for_again() -> None:
    box = Heard(BEHIND_S)

    assert not box.answer(round_s=ROUND_S_MAX + 0.1)

    assert box.time.now_off_s() is None
    assert box.counters.snapshot() == {"clock.answer_slow": 1}


@pytest.mark.parametrize(
    "told", ["", "soon", "2026-03-14T07:05:00", "9" * 5_000, "9999-12-31T23:59:59-23:00"]
)
def test_garbage_is_counted_and_means_nothing(told: str) -> None:
    box = Heard(0)

    assert box.time.hear(told, 0.0)

    assert box.time.now_off_s() is None
    assert box.counters.snapshot() == {"clock.garbage": 1}


def test_a_cloud_that_gives_no_time_is_an_older_one() -> None:
    box = Heard(BEHIND_S)

    assert box.time.hear(None, 0.0)
    assert box.counters.snapshot() == {}


def test_more_than_a_header_carries_is_not_told() -> None:
    box = Heard(0)
    base = box.clock.base()

    assert box.time.off_s(TimeBase(base.boot, base.anchor_s - OFF_S_MAX - 1)) is None
