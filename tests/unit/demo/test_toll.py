"""What the soak excuses and what it does not."""

from datetime import UTC, datetime

from demo.findings import Finding
from demo.toll import GROWTH_MIB_MAX, UNDER_WAY_S_MAX, WINDOW_S_MAX, growth, losses

CONFIRMED = datetime(2026, 3, 14, 7, 5, 9, tzinfo=UTC)
AT = CONFIRMED.timestamp()
MISSING = Finding("missing", "m-0001", "systolic 120 of 1")


def excused(*deaths: float, confirmed: bool = True) -> bool:
    (loss,) = losses([MISSING], {"m-0001": CONFIRMED} if confirmed else {}, deaths)
    return loss.excused


def test_a_loss_just_before_the_agent_died_is_excused() -> None:
    assert excused(AT + WINDOW_S_MAX / 2)
    assert excused(AT - 60, AT + WINDOW_S_MAX / 2, AT + 60)


def test_a_confirmation_that_was_under_way_as_the_agent_died_is_excused() -> None:
    assert excused(AT - UNDER_WAY_S_MAX / 2)
    assert excused(AT - UNDER_WAY_S_MAX / 2, AT + 60)


def test_a_loss_that_no_death_explains_is_not_excused() -> None:
    assert not excused()
    assert not excused(AT - UNDER_WAY_S_MAX - 0.01)
    assert not excused(AT + WINDOW_S_MAX + 0.01)


def test_a_reading_that_its_device_still_holds_may_never_be_missing() -> None:
    assert not excused(AT + WINDOW_S_MAX / 2, confirmed=False)


def test_other_findings_are_no_losses() -> None:
    assert losses([Finding("double", "k", "2 stored")], {"k": CONFIRMED}, [AT]) == []


def test_a_leak_is_not_flat_and_a_peak_in_the_middle_is() -> None:
    assert not growth([80.0 + GROWTH_MIB_MAX / 4 * step for step in range(12)]).flat
    assert growth([80, 81, 80, 200, 210, 190, 80, 82, 81]).flat
