"""The broker away: the outbox grows and says so; on return all arrives, what is fresh first, and still pages."""

from collections import Counter

import pytest


@pytest.mark.slow(70)
@pytest.mark.timeout(240)
def test_a_broker_that_was_away_costs_nothing_and_the_box_says_so(whole) -> None:
    whole.start_broker()
    whole.start_ward("--scenario", "demo", "--seconds", "45")
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    whole.until("the first readings", whole.readings, 60)
    whole.kill("broker")
    whole.until("the box to notice", lambda: not whole.status()["connected"], 30)
    before = whole.status()["issued"]
    whole.until("new readings to wait", lambda: whole.status()["issued"] > before, 60)
    away = whole.status()
    told = whole.spoken_status()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)

    whole.start("broker")
    whole.arrived()

    assert away["pending"] > 0
    assert "broker" in told
    assert whole.judge() == []


@pytest.mark.slow(20)
@pytest.mark.timeout(240)
def test_an_outbox_row_that_vanishes_while_the_broker_is_away_is_named(whole) -> None:
    whole.start_broker()
    whole.start_ward("--scenario", "demo", "--seconds", "15")
    whole.start_edge()
    whole.bind_everybody()
    whole.end("broker")
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until("the box to hold everything", lambda: holds_all(whole), 120)
    whole.end("edge")
    whole.lose_one_pending_row()

    whole.start("broker")
    whole.start("edge")
    whole.start_cloud()
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 60)
    found = whole.judge()

    assert [one.what for one in found if one.what == "missing"] == ["missing"]


def holds_all(whole) -> bool:
    """Whether of each device as many measurements are in the outbox as it made."""
    held, ids = whole.held(), whole.ids()
    measured = Counter(one.serial for one in whole.truth().measured)
    return all(held[ids.get(serial, serial)] >= count for serial, count in measured.items())
