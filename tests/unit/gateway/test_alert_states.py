"""Which state of an alert may follow which."""

import pytest

from gateway.model.alert import FOLLOWS, RANK, UNRESOLVED, AlertState, Severity, may_follow


def test_what_is_resolved_stays_resolved() -> None:
    assert not any(may_follow(AlertState.RESOLVED, state) for state in AlertState)


@pytest.mark.parametrize("state", UNRESOLVED)
def test_whatever_is_unresolved_can_be_resolved(state: AlertState) -> None:
    assert may_follow(state, AlertState.RESOLVED)


def test_a_live_finding_turns_a_late_one_into_an_open_one_and_never_back() -> None:
    assert may_follow(AlertState.LATE, AlertState.OPEN)
    assert not any(may_follow(state, AlertState.LATE) for state in AlertState)


def test_every_state_and_severity_has_its_place() -> None:
    assert set(FOLLOWS) == set(AlertState)
    assert set(AlertState) - {AlertState.RESOLVED} == UNRESOLVED
    assert sorted(Severity, key=RANK.__getitem__) == [
        Severity.INFO,
        Severity.LOW,
        Severity.MEDIUM,
        Severity.HIGH,
    ]
