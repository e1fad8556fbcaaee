"""Streams of samples: when a window ends, what it tells, what a lost link, a long visit and a removed sensor make of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from device_profiles.loader import load_profiles
from drivers.gatt.device_information import FACTS
from drivers.gatt.heart_rate.codec import Measurement, encode_measurement
from drivers.gatt.heart_rate.session import DRIVER
from drivers.gatt.heart_rate.sim import OFF_BODY, beats
from drivers.gatt.pulse_oximeter import session as oximeter
from drivers.gatt.pulse_oximeter.sim import FINGER_OUT, second
from drivers.gatt.streaming import LEAVE_S, SAMPLES_MAX, SUMMARY, UNFIT_RUN_MAX, unpacked
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse, replay
from gateway.contract.session import (
    Closed,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.contract.visit import Ending
from gateway.model.quantity import Limit, Quantity

PROFILES = load_profiles()
STRAP, PM100 = PROFILES["generic/heart-rate"], PROFILES["medisana/pm100"]
AT = 1773443222.0
WINDOW_S = 60.0


def strap_of(
    frames: Iterable[bytes], every_s: float = 1.0, begin_s: float = 1.0
) -> Iterator[Received]:
    for turn, frame in enumerate(frames):
        yield Received(AT + begin_s + turn * every_s, "measurement", frame)


def heard(
    events: Iterable[Received | Refused | Closed], profile: Profile = STRAP, *, raw: bool = False
) -> Played:
    """It states nothing of itself."""
    asked = (*FACTS, "sensor_location", "features")
    refused = [Refused(AT, Read(name)) for name in asked if name in profile.channels]
    driver = DRIVER if profile.driver == DRIVER.id else oximeter.DRIVER
    session = driver.open(UnitInfo(profile, raw_stream=raw))
    return replay(session, [*refused, *events], opened=Opened(AT))


def rate(*rates: int) -> list[bytes]:
    return [encode_measurement(Measurement(one, contact=True)) for one in rates]


def shown(reading: Reading, part: str) -> Decimal:
    value = reading.parts[part]
    assert isinstance(value, Quantity)
    return value.number


def test_a_minute_of_samples_is_one_reading_in_one_commit() -> None:
    told = heard(strap_of(beats(75, seconds=61)))

    (one,) = told.readings
    assert one.parts == {
        "heart_rate": Quantity(Decimal(75), "/min"),
        "heart_rate_lowest": Quantity(Decimal(75), "/min"),
        "heart_rate_highest": Quantity(Decimal(75), "/min"),
        "rr_interval": Quantity(Decimal("799.80"), "ms"),
        "rr_interval_lowest": Quantity(Decimal("799.805"), "ms"),
        "rr_interval_highest": Quantity(Decimal("799.805"), "ms"),
        "sdrr": Quantity(Decimal("0.00"), "ms"),
    }
    assert one.marks == {SUMMARY}
    assert (one.taken, one.sequence, one.pushed) == (None, None, True)
    assert one.within_s == WINDOW_S
    assert one.context["window_s"] == "60.0"
    assert one.context["window_samples"] == "61"
    assert one.context["window_valid_s"] == "61"
    assert len(told.commits) == 1


def test_a_wearable_at_1_hz_costs_one_commit_a_minute() -> None:
    told = heard(strap_of(beats(75, seconds=540)))
    assert len(told.commits) == 9
    assert sum(int(one.context["window_samples"]) for one in told.readings) == 540


def test_windows_do_not_overlap_and_tell_each_sample_once() -> None:
    rates = [60 + turn % 50 for turn in range(200)]

    told = heard(strap_of(rate(*rates)), raw=True)

    frames = [kept.frame for one in told.readings for kept in unpacked(one.raw)]
    assert frames == rate(*rates)


def test_every_number_of_a_summary_but_the_computed_ones_was_shown() -> None:
    (one,) = heard(strap_of(rate(80, 62, 71, 90))).readings
    assert shown(one, "heart_rate") == 71
    assert shown(one, "heart_rate_lowest") == 62
    assert shown(one, "heart_rate_highest") == 90


def test_the_frames_of_the_extremes_are_the_evidence() -> None:
    (one,) = heard(strap_of(rate(80, 62, 71, 90, 85))).readings
    assert [(kept.ticks, kept.frame) for kept in unpacked(one.raw)] == [
        (100, rate(62)[0]),
        (300, rate(90)[0]),
    ]


def test_two_people_are_never_in_one_window() -> None:
    told = heard(strap_of([*rate(60, 60), OFF_BODY, *rate(110, 110)]))
    assert [shown(one, "heart_rate") for one in told.readings] == [60, 110]
    assert [shown(one, "heart_rate_highest") for one in told.readings] == [60, 110]


@pytest.mark.parametrize(
    "nothing", [bytes.fromhex("0000"), b"\x01"], ids=["searching", "unreadable"]
)
def test_a_device_that_cannot_say_that_it_was_taken_off_ends_a_window_too(nothing: bytes) -> None:
    told = heard(strap_of([*rate(60), *[nothing] * UNFIT_RUN_MAX, *rate(110)]))
    assert [shown(one, "heart_rate_highest") for one in told.readings] == [60, 110]


def test_what_is_no_heart_rate_is_counted_and_never_in_a_value() -> None:
    searching = bytes.fromhex("0000")
    told = heard(strap_of([searching, *rate(70), searching, searching, *rate(72)]))

    (one,) = told.readings
    assert shown(one, "heart_rate_lowest") == 70
    assert one.context["window_searching"] == "2"
    assert (one.context["window_samples"], one.context["window_valid"]) == ("4", "2")


def test_a_frame_that_cannot_be_read_costs_no_other() -> None:
    told = heard(strap_of([*rate(70), b"\x01", *rate(72)]))
    (one,) = told.readings
    assert one.context["window_unreadable"] == "1"
    assert one.context["window_valid"] == "2"
    assert told.ending is Ending.FINISHED


def test_a_stream_of_which_nothing_can_be_read_is_trouble() -> None:
    told = heard(strap_of([b"\x01", b"\x01"]))
    assert told.ending is Ending.PEER
    assert "truncated" in str(told.error)


@pytest.mark.parametrize("samples", [1, 30, 59])
def test_what_was_told_before_the_link_was_lost_is_reported(samples: int) -> None:
    lost = Closed(AT + samples + 3, "out of reach")

    told = heard([*strap_of(beats(75, seconds=samples)), lost])

    (one,) = told.readings
    assert one.context["window_samples"] == str(samples)
    assert one.within_s == samples + 2
    assert told.ending is Ending.CLOSED


def test_a_link_that_is_lost_between_two_windows_tells_nothing_twice() -> None:
    told = heard([*strap_of(beats(75, seconds=61)), Closed(AT + 62, "out of reach")])
    assert len(told.readings) == 1


def test_a_sensor_that_is_on_nobody_ends_the_visit_by_quiet_time() -> None:
    told = heard(
        [
            Received(AT + turn, "continuous", frame)
            for turn, frame in enumerate([*[second(97, 70)] * 10, *[FINGER_OUT] * 600])
        ],
        PM100,
    )
    (one,) = told.readings
    assert one.context["window_samples"] == "10"
    assert told.ending is Ending.FINISHED


def test_nothing_is_told_of_a_sensor_that_was_on_nobody_all_the_time() -> None:
    told = heard([Received(AT + turn, "continuous", FINGER_OUT) for turn in range(30)], PM100)
    assert told.readings == []
    assert told.ending is Ending.FINISHED


class Endless:
    """A strap that never stops."""

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        match command:
            case Subscribe():
                yield from (
                    Received(float(turn), "measurement", frame)
                    for turn, frame in enumerate(beats(66, seconds=2_000))
                )
            case _:
                yield Refused(0.0, command)


def test_what_a_strap_tells_before_it_is_asked_is_in_the_window() -> None:
    session = DRIVER.open(UnitInfo(STRAP))
    told = replay(session, strap_of(beats(75, seconds=30)), opened=Opened(AT))
    assert [one.context["window_samples"] for one in told.readings] == ["30"]


def test_a_visit_gives_its_turn_back_before_its_deadline_and_cuts_no_window() -> None:
    session = DRIVER.open(UnitInfo(STRAP))

    told = converse(session, Endless(), Opened(AT), deadline_s=STRAP.deadline_s)

    assert told.ending is Ending.FINISHED
    lengths = [one.within_s for one in told.readings]
    assert set(lengths) == {WINDOW_S}
    stayed_s = sum(one.within_s or 0 for one in told.readings)
    assert STRAP.deadline_s - 2 * WINDOW_S - LEAVE_S <= stayed_s <= STRAP.deadline_s - LEAVE_S


def test_a_device_that_tells_too_often_gets_shorter_windows_and_all_fits() -> None:
    told = heard(strap_of(rate(*[70] * 2_000), every_s=0.01), raw=True)
    assert sum(int(one.context["window_samples"]) for one in told.readings) == 2_000
    assert max(int(one.context["window_samples"]) for one in told.readings) <= SAMPLES_MAX
    assert max(len(one.raw) for one in told.readings) <= 8_192


def test_frames_as_long_as_a_radio_carries_fit_too() -> None:
    long = encode_measurement(Measurement(70, contact=True, rr=(800,) * 254))
    told = heard(strap_of([long] * 40), raw=True)
    assert max(len(one.raw) for one in told.readings) <= 8_192


def test_a_strap_that_refuses_to_tell_is_trouble() -> None:
    told = heard([Refused(AT + 1, Subscribe("measurement"), 0x05)])
    assert told.ending is Ending.PEER
    assert "0x05" in str(told.error)


def test_the_windows_length_is_the_profiles() -> None:
    assert STRAP.stream is not None
    half = replace(STRAP, stream=replace(STRAP.stream, window_s=30.0))
    told = heard(strap_of(beats(75, seconds=62)), half)
    assert [one.within_s for one in told.readings] == [30.0, 30.0]


def test_low_saturation_is_seen_in_the_lowest_though_the_median_is_calm() -> None:
    spo2 = [97] * 20 + [84] * 6 + [96] * 20
    frames = [second(one, 70, "2.1") for one in spo2]

    (one,) = heard(
        [Received(AT + n, "continuous", f) for n, f in enumerate(frames)], PM100
    ).readings

    assert shown(one, "spo2") == 96
    assert shown(one, "spo2_lowest") == 84
    assert shown(one, "perfusion_index") == Decimal("2.1")


def test_a_cut_block_of_evidence_raises() -> None:
    (one,) = heard(strap_of(rate(70))).readings
    with pytest.raises(PeerError, match="truncated"):
        unpacked(one.raw[:-1])


LOW = bytes.fromhex("0002084800")  # SpO2 below all that the device can show, pulse 72


def oxygen(*frames: bytes) -> Played:
    return heard(
        (Received(AT + 1.0 + n, "continuous", frame) for n, frame in enumerate(frames)), PM100
    )


def test_a_saturation_below_the_scale_is_lower_than_every_number_of_its_window() -> None:
    (one,) = oxygen(second(71, 72), LOW, second(73, 72)).readings

    assert one.parts["spo2"] == Quantity(Decimal(71), "%")
    assert one.parts["spo2_lowest"] is Limit.BELOW
    assert one.parts["spo2_highest"] == Quantity(Decimal(73), "%")
    assert [kept.frame for kept in unpacked(one.raw)] == [LOW, second(73, 72)]


def test_a_stream_that_stays_below_the_scale_is_told_so() -> None:
    (one,) = oxygen(*[LOW] * 8).readings

    assert {one.parts[f"spo2{end}"] for end in ("", "_lowest", "_highest")} == {Limit.BELOW}
    assert one.parts["pulse_rate"] == Quantity(Decimal(72), "/min")
