"""A box whose clock has been in another century since a device told all: what it says of the time fits an envelope."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from edge.clock_history import NOTHING, emptied
from edge.timekeeping import Arrival, moment_of
from gateway.contract.session import Reading
from gateway.model.observation import SPAN_S_MAX, Moment
from tests.unit.edge.visit_shelf import PROFILE, reading

LATE_IN_THE_CENTURY = datetime(2099, 1, 1, tzinfo=UTC)


def undated_since(emptied_s: float) -> Moment:
    pushed: Reading = replace(reading(120), pushed=True)
    arrival = Arrival(LATE_IN_THE_CENTURY, ZoneInfo("UTC"))
    return moment_of(pushed, PROFILE, arrival, None, emptied(NOTHING, emptied_s))


def test_an_interval_wider_than_the_wire_takes_is_unbounded() -> None:
    moment = undated_since(0.0)

    assert moment.early_s is None
    assert msgspec.json.decode(msgspec.json.encode(moment), type=Moment) == moment


def test_one_that_fits_is_told() -> None:
    since_s = LATE_IN_THE_CENTURY.timestamp() - SPAN_S_MAX + 100.0

    assert undated_since(since_s).early_s == SPAN_S_MAX - 95.0
