"""Times of a box whose clock was wrong: corrected by the header wherever an envelope is read, and nowhere else."""

import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import ManualClock, SystemClock, TimeBase
from gateway.wire.box_clock import CLOCK_UNSURE_S, in_doubt
from gateway.wire.envelope import (
    EnvelopeError,
    Positions,
    Unreadable,
    assemble,
    decode_envelope,
    decode_header,
    encode_observation,
)

DAY_S = 86_400.0
EPOCH = "0" * 16


def observation(**time: object) -> Observation:
    told = {
        "utc": "2026-03-13T06:05:09.250Z",
        "method": TimeMethod.CORRECTED,
        "early_s": 1.5,
        "late_s": 2.0,
        "offset_s": -28_800.0,
    }
    return Observation(
        key="20260314-c-" + "0" * 32,
        device="ab" * 10,
        kind="blood_pressure",
        parts={"systolic": Part(unit="mm[Hg]", value="192")},
        time=Moment(**{**told, **time}),  # type: ignore[arg-type]
        content="cd" * 16,
        source=Source.PUSHED,
        accepted="2026-03-13T06:05:10.000Z",
        driver="gatt.blood_pressure",
        profile="generic/blood-pressure",
        transport="ble",
    )


def sent(seen: Observation, off_s: float | None) -> bytes:
    return assemble("box-1", EPOCH, 1, [encode_observation(seen)], clock_off_s=off_s)


def read(seen: Observation, off_s: float | None) -> Observation:
    payload = sent(seen, off_s)
    (told,) = decode_envelope(payload).observations
    assert isinstance(told, Observation), told
    assert Positions(payload).at(0) == told
    return told


def test_what_rests_on_the_box_clock_is_moved_and_stands_in_a_wider_interval() -> None:
    told = read(observation(), DAY_S)

    assert told.time.utc == "2026-03-14T06:05:09.250Z"
    assert told.accepted == "2026-03-14T06:05:10.000Z"
    assert (told.time.early_s, told.time.late_s) == (1.5 + CLOCK_UNSURE_S, 2.0 + CLOCK_UNSURE_S)
    assert told.time.offset_s == DAY_S - 28_800
    assert told.time.box_off_s == DAY_S


@pytest.mark.parametrize(("off_s", "doubted"), [(None, True), (0.0, False), (DAY_S, False)])
@pytest.mark.parametrize("method", TimeMethod)
def test_a_box_whose_clock_is_held_against_the_cloud_s_is_in_doubt_no_more(
    off_s: float | None, *, doubted: bool, method: TimeMethod
) -> None:
    seen = observation(box_in_doubt=True, method=method)

    assert read(seen, off_s).time.box_in_doubt is doubted


def test_key_and_content_stay_so_that_another_correction_is_the_same_measurement() -> None:
    seen = observation()

    assert [
        (read(seen, off_s).key, read(seen, off_s).content) for off_s in (None, 60.0, -DAY_S)
    ] == [(seen.key, seen.content)] * 3


def test_a_moment_of_arrival_is_moved_and_what_bounds_nothing_bounds_nothing_still() -> None:
    told = read(
        observation(method=TimeMethod.ARRIVAL, known=False, early_s=None, offset_s=None), -3_600.0
    )

    assert told.time.utc == "2026-03-13T05:05:09.250Z"
    assert told.time.early_s is None
    assert told.time.offset_s is None


def test_a_time_that_was_taken_from_the_device_alone_stays() -> None:
    seen = observation(method=TimeMethod.ASSUMED)

    assert read(seen, DAY_S).time == seen.time


def test_an_envelope_without_the_field_is_as_it_always_was() -> None:
    seen = observation()
    payload = sent(seen, None)

    assert b"clock_off_s" not in payload.partition(b"\n")[0]
    assert read(seen, None) == seen


@pytest.mark.parametrize("garbage", ['"soon"', "4.1e9", "-4.1e9", "1e999", "NaN", "[]"])
def test_a_garbage_offset_is_a_garbage_header(garbage: str) -> None:
    line, _, body = sent(observation(), 60.0).partition(b"\n")
    header = {**json.loads(line), "clock_off_s": "HERE"}
    payload = json.dumps(header).replace('"HERE"', garbage).encode() + b"\n" + body

    with pytest.raises(EnvelopeError):
        decode_header(payload)


@pytest.mark.parametrize(
    ("utc", "off_s"), [("2261-12-31T00:00:00.000Z", 3e9), ("1678-01-02T00:00:00.000Z", -3e9)]
)
def test_a_correction_that_leaves_the_calendar_condemns_that_observation_alone(
    utc: str, off_s: float
) -> None:
    bodies = [encode_observation(observation(utc=utc)), encode_observation(observation())]
    payload = assemble("box-1", EPOCH, 1, bodies, clock_off_s=off_s)

    gone, kept = decode_envelope(payload).observations

    assert isinstance(gone, Unreadable)
    assert "its year is outside" in gone.why
    assert isinstance(kept, Observation)
    assert Positions(payload).at(0) is None


def test_steps_of_a_wall_clock_show_in_its_base_and_passing_time_does_not() -> None:
    clock = ManualClock(datetime(2026, 3, 14, tzinfo=UTC))
    before = clock.base()
    clock.advance(500)
    assert clock.base() == before

    clock.step(-90_000)
    assert clock.base() == TimeBase(before.boot, before.anchor_s - 90_000)

    clock.reboot()
    assert clock.base().boot != before.boot


def test_the_system_clock_has_one_base_for_as_long_as_nobody_sets_it() -> None:
    one, other = SystemClock().base(), SystemClock().base()

    assert one.boot == other.boot
    assert one.boot
    assert abs(one.anchor_s - other.anchor_s) < 1.0


@pytest.mark.parametrize(
    "said", ['"box_in_doubt":true', '","box_in_doubt":true,"', "\\", "box_in_doubt"]
)
def test_a_doubt_is_seen_where_it_is_told_and_in_no_text(said: str) -> None:
    sure = replace(observation(device=said), context={"note": said}, slot=said)

    assert not in_doubt(encode_observation(sure))
    assert in_doubt(encode_observation(replace(sure, time=replace(sure.time, box_in_doubt=True))))
