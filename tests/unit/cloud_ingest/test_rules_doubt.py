"""Readings of a box that doubts its own clock: whether they page does not hang on which came first."""

from zlib import crc32

import msgspec
import pytest

from cloud_ingest.rules.judge import SECOND_US, Assessment, judge, micros, when
from cloud_ingest.rules.state import EMPTY, STATE_VERSION, Crossing, decode_state
from cloud_ingest.rules.thresholds import default_thresholds
from gateway.model.observation import Observation

THRESHOLDS = default_thresholds()
HOURS_2 = 120


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


def told(make, *seen: Observation) -> list[Assessment]:
    """Judge readings one after another, all told now."""
    state, assessed = EMPTY, list[Assessment]()
    for each in seen:
        assessed.append(judge(THRESHOLDS, each, when(each), state, micros(make.now)))
        state = assessed[-1].state
    return assessed
