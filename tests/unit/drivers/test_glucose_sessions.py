"""Glucose visits as published sessions and captures have them: the readings that they say, and no request that erases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import drivers.gatt.glucose.session as driver
from drivers.gatt import racp
from gateway.contract.capture import parse
from gateway.contract.profile import Profile
from gateway.contract.replay import replay
from gateway.contract.session import (
    Received,
    UnitInfo,
)
from gateway.contract.visit import Ending
from tests.unit.drivers.glucose_meters import (
    CAPTURES,
    CONTOUR,
    FORTY_TWO,
    GENERIC,
    GUIDE,
    PROFILES,
    SESSIONS,
    Transcript,
    as_result,
    asked,
    expected,
    known_by,
    mark,
    transcript,
    visited,
)

FIFTEEN = bytes.fromhex("1B0F00E807011E053A1B53016FB0F80000")
SEVENTEEN = bytes.fromhex("0B1100E807011E102D1F53010208F84000")


@pytest.mark.parametrize(
    ("session", "profile", "before"),
    [
        ("ses-accuchek-guide-full", GUIDE, []),
        ("ses-accuchek-guide-incremental", GUIDE, [FIFTEEN]),
        ("ses-accuchek-guide-nothing-new", GUIDE, [SEVENTEEN]),
        ("ses-glucose-count-zero", GENERIC, []),
        ("ses-racp-abort-idle", GENERIC, []),
        ("ses-racp-op-not-supported", GENERIC, []),
        ("ses-racp-delete", GENERIC, []),
        ("ses-contour-next-one", CONTOUR, [FORTY_TWO]),
        ("ses-taidoc-diamond", GENERIC, []),
        ("ses-isens-ketone", GENERIC, []),
    ],
)
def test_the_published_sessions_give_the_readings_that_they_say(
    session: str, profile: Profile, before: list[bytes]
) -> None:
    cursor = known_by(before[-1]) if before else None

    told = visited(transcript(session, before), cursor, profile)

    assert told.ending is Ending.FINISHED
    assert as_result(told) == expected(session)
    assert not any(request.startswith("02") for request in asked(told))
    if (last := SESSIONS[session]["result"].get("last_sequence_number")) is not None:
        known = mark(told.cursor or cursor)
        assert known is not None
        assert known.sequence == last


def test_a_meter_without_the_filter_is_asked_for_all_and_only_what_is_new_is_told() -> None:
    session = "ses-racp-operator-not-supported"
    second = bytes.fromhex("0B0200EA0703020800003C0066B0110000")

    told = visited(transcript(session, filters=False), known_by(second))

    assert as_result(told) == expected(session)
    assert asked(told) == ["0403010200", "0103010200", "0401", "0101"]


def test_a_control_solution_is_told_and_marked() -> None:
    told = visited(transcript("ses-contour-next-one", [FORTY_TWO]), known_by(FORTY_TWO), CONTOUR)

    assert [(r.sequence, "control" in r.marks) for r in told.readings] == [
        (43, False), (44, False), (45, True),
    ]  # fmt: skip


def test_a_transfer_that_is_aborted_tells_what_came_and_leaves_the_cursor() -> None:
    class Stalls(Transcript):
        def _answer(self, request: racp.Request) -> Iterator[Received]:
            if request.op == racp.Op.ABORT:
                yield self._said(racp.Answer(request.op, racp.Outcome.SUCCESS))
            else:
                yield from list(super()._answer(request))[
                    : None if request.op == racp.Op.COUNT else -1
                ]

    frames = transcript("ses-racp-abort").frames
    told = visited(Stalls({}, frames))

    assert as_result(told) == expected("ses-racp-abort")
    assert told.cursor is None
    assert told.ending is Ending.PEER
    assert asked(told).count("0300") == 1
    assert asked(told).count("0101") == 2


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_captures_give_what_their_sessions_say(path: Path) -> None:
    capture = parse(path.read_text().splitlines())
    profile = PROFILES[capture.header["profile"]]

    told = replay(driver.DRIVER.open(UnitInfo(profile)), capture.heard)

    assert told.ending in (Ending.FINISHED, Ending.CLOSED)
    assert as_result(told) == expected(capture.header["session"])


def test_there_are_captures() -> None:
    assert len(list(CAPTURES.glob("*.jsonl"))) >= 2
