"""Alerts: severities, states, and which state may follow which. Pure data."""

from collections.abc import Mapping
from enum import StrEnum


class Severity(StrEnum):
    """How soon a person must act; the order of `RANK` is the order of urgency."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


RANK: Mapping[Severity, int] = {
    Severity.HIGH: 3,
    Severity.MEDIUM: 2,
    Severity.LOW: 1,
    Severity.INFO: 0,
}


class AlertState(StrEnum):
    """Where an alert stands. `LATE` is a late finding: on the worklist, never a page."""

    OPEN = "open"
    LATE = "late"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


UNRESOLVED = frozenset({AlertState.OPEN, AlertState.LATE, AlertState.ACKNOWLEDGED})

FOLLOWS: Mapping[AlertState, frozenset[AlertState]] = {
    AlertState.OPEN: frozenset({AlertState.ACKNOWLEDGED, AlertState.RESOLVED}),
    # A live finding of the same condition turns a late one, seen or not, into an open one.
    AlertState.LATE: frozenset({AlertState.OPEN, AlertState.ACKNOWLEDGED, AlertState.RESOLVED}),
    AlertState.ACKNOWLEDGED: frozenset({AlertState.RESOLVED}),
    AlertState.RESOLVED: frozenset(),
}


def may_follow(before: AlertState, after: AlertState) -> bool:
    """Whether an alert may go from `before` to `after`."""
    return after in FOLLOWS[before]
