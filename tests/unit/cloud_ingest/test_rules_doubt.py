"""Readings of a box that doubts its own clock: whether they page does not hang on which came first."""

from zlib import crc32

import msgspec
import pytest

from cloud_ingest.rules.judge import SECOND_US, Assessment, judge, micros, when
from cloud_ingest.rules.state import EMPTY, STATE_VERSION, Crossing, decode_state
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.schema import alerts
from gateway.model.observation import Observation
from tests.unit.cloud_ingest.voided_kit import BAD, GOOD, by, void

THRESHOLDS = default_thresholds()
HOURS_2 = 120
THREE_DAYS = 3 * 1440


@pytest.mark.parametrize("doubted_first", [True, False])
def test_a_pair_with_one_whose_age_nobody_knows_pages_whichever_came_first(
    make, *, doubted_first: bool
):
    doubted = make.bp(212, 66, HOURS_2 + 7, box_in_doubt=True)
    stale = make.bp(200, 76, HOURS_2 + 5)

    *_, last = told(make, *((doubted, stale) if doubted_first else (stale, doubted)))

    (finding,) = last.findings
    assert (finding.confirmed, finding.alert_live) == (True, True)


def test_hours_after_it_was_told_it_makes_no_pair_page(make):
    doubted = make.bp(212, 66, HOURS_2 + 7, box_in_doubt=True)
    (first,) = told(make, doubted)
    now_us = micros(make.now) + (HOURS_2 + 1) * 60 * SECOND_US
    stale = make.bp(200, 76, HOURS_2 + 5)

    (finding,) = judge(THRESHOLDS, stale, when(stale), first.state, now_us).findings

    assert (finding.confirmed, finding.alert_live) == (True, False)


def test_a_row_that_was_written_before_the_two_were_told_apart_is_read_as_it_was_meant():
    written = ["BP-CRISIS", "k", 5, "212/66 mm[Hg]", True]
    body = msgspec.msgpack.encode({"v": STATE_VERSION, "crossings": [written]})

    (read,) = decode_state(b"3" + crc32(body).to_bytes(4, "big") + body).crossings

    assert (read, read.fresh_from()) == (Crossing(*written), 5)


@pytest.mark.parametrize(("passed_min", "how"), [(20, "live"), (HOURS_2 + 20, "late")])
def test_what_voiding_brings_to_light_pages_by_when_it_was_told(kit, passed_min: int, how: str):
    kit.wearer(kit.cuff)
    hidden = kit.bp(186, 122, THREE_DAYS + 5, box_in_doubt=True)
    kit.send(1, by(GOOD, hidden), by(BAD, kit.bp(120, 80, THREE_DAYS + 2, box_in_doubt=True)))
    pass_minutes(kit, passed_min)

    void(kit, from_us=0)

    (alert,) = kit.rows(alerts)
    assert (alert["condition"], alert["how"]) == ("BP-CRISIS?", how)


@pytest.mark.parametrize(("passed_min", "how"), [(20, "live"), (HOURS_2 + 20, "late")])
def test_a_pair_that_voiding_brings_to_light_pages_by_when_it_was_told(kit, passed_min, how):
    kit.wearer(kit.cuff)
    doubted = kit.bp(185, 121, THREE_DAYS + 5, box_in_doubt=True)
    kit.send(1, by(GOOD, doubted), by(BAD, kit.bp(186, 122, THREE_DAYS + 2)))
    kit.records.resolve(kit.rows(alerts)[0]["id"], "dr. lin")
    pass_minutes(kit, 1)
    kit.send(3, by(GOOD, kit.bp(186, 122, THREE_DAYS + 2, arrival="1", transport="usb")))
    pass_minutes(kit, passed_min)

    void(kit, from_us=0)

    assert [alert["how"] for alert in kit.rows(alerts)] == ["live", how]


@pytest.mark.parametrize(("passed_min", "how"), [(20, "live"), (THREE_DAYS, "late")])
def test_what_is_given_to_a_patient_days_after_it_was_told_pages_nobody(
    kit, passed_min: int, how: str
):
    low = kit.glucose("45", HOURS_2 + 7, box_in_doubt=True)
    kit.send(1, low)
    pass_minutes(kit, passed_min)

    kit.records.assign(low.key, kit.records.add_patient("Ann Example").id, "dr. lin")

    assert [alert["how"] for alert in kit.rows(alerts)] == [how]


def pass_minutes(kit, minutes: int) -> None:
    kit.clock.advance(minutes * 60)
    kit.records.act_on_due(kit.clock.now())


def told(make, *seen: Observation) -> list[Assessment]:
    """Judge readings one after another, all told now."""
    state, assessed = EMPTY, list[Assessment]()
    for each in seen:
        assessed.append(judge(THRESHOLDS, each, when(each), state, micros(make.now)))
        state = assessed[-1].state
    return assessed
