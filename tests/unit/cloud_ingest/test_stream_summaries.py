"""Summaries of streams, from the driver's reading to records, series and console: stored, never parked, none taken for another."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from cloud_ingest.console.trends import LIMITS
from cloud_ingest.console.values import marks, show
from cloud_ingest.console.words import words
from cloud_ingest.projection import Projection
from cloud_ingest.rules.judge import WITHHELD
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.fate import decode_fates
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import journal, keys
from device_profiles.loader import load_profiles
from drivers.gatt.heart_rate.codec import SUMMING as HEART
from drivers.gatt.heart_rate.codec import Measurement, encode_measurement
from drivers.gatt.heart_rate.codec import sample as beat
from drivers.gatt.pulse_oximeter.codec import decode_spot_check
from drivers.gatt.pulse_oximeter.meaning import SUMMING as OXIMETRY
from drivers.gatt.pulse_oximeter.meaning import reading as spot_check
from drivers.gatt.pulse_oximeter.meaning import sample as saturation
from drivers.gatt.pulse_oximeter.sim import second
from drivers.gatt.streaming import Stream
from edge.normalise import Provenance, normalise
from edge.timekeeping import Arrival, moment_of
from gateway.contract.session import Reading, Received, Report
from gateway.model.observation import Observation

PROFILES = load_profiles()
STRAP, OXIMETER = PROFILES["generic/heart-rate"], PROFILES["generic/pulse-oximeter"]
BEGAN = datetime(2026, 3, 14, 7, 0, tzinfo=UTC)
DEVICE = "c0" * 10


def window(spo2: int = 97, pulse: int = 70) -> Reading:
    """A minute of an even oximeter."""
    stream = Stream(OXIMETRY, OXIMETER, raw=False)
    for turn in range(61):
        for command in stream.hear(
            Received(float(turn), "continuous", second(spo2, pulse, "4.2")), saturation
        ):
            if isinstance(command, Report):
                return command.reading
    raise AssertionError("61 samples at 1 Hz make a window of 60 s")


def beats(rate: int = 66) -> Reading:
    """A minute of an even heart."""
    stream = Stream(HEART, STRAP, raw=False)
    data = encode_measurement(Measurement(rate, True, rr=(931,)))
    for turn in range(61):
        for command in stream.hear(Received(float(turn), "measurement", data), beat):
            if isinstance(command, Report):
                return command.reading
    raise AssertionError("61 samples at 1 Hz make a window of 60 s")


def seen(reading: Reading, minute: float, arrival: str = "0") -> Observation:
    profile = OXIMETER if reading.kind == "pulse_oximetry" else STRAP
    told_at = BEGAN + timedelta(minutes=minute)
    moment = moment_of(reading, profile, Arrival(told_at, ZoneInfo("UTC")), None)
    origin = Provenance("box-1", DEVICE, "ble", told_at, f"{int(minute * 60):08x}{arrival:>08}")
    return normalise(reading, profile, moment, origin)


def test_a_summary_is_dated_by_the_window_that_it_is_of() -> None:
    one = seen(window(), 1)
    assert one.time.utc == "2026-03-14T07:01:00.000Z"
    assert (one.time.known, one.time.early_s, one.time.late_s) == (True, 60.0, 0.0)
    assert one.marks == ("summary",)


def test_summaries_are_stored_none_parked_and_come_again_as_they_were(kit) -> None:
    told = [seen(window(), 1), seen(beats(), 1)]

    receipt = kit.send(1, *told).receipt

    assert (receipt.duplicates, receipt.parked, receipt.new_epoch) == ([], [], False)
    again = kit.send(1, *told).receipt
    assert again == receipt
    assert len(kit.rows(keys)) == 2


def test_equal_minutes_are_different_measurements_and_none_is_suspected(kit) -> None:
    kit.wearer(DEVICE)
    told = [seen(window(), minute) for minute in range(1, 6)]

    receipt = kit.send(1, *told).receipt

    assert (receipt.duplicates, receipt.parked) == ([], [])
    assert suspected(kit) == []


def test_one_minute_that_two_boxes_heard_is_suspected(kit) -> None:
    kit.wearer(DEVICE)
    kit.send(1, seen(window(), 1))
    kit.send(1, seen(window(), 1.1, "1"), agent="box-2")
    assert len(suspected(kit)) == 1


# SpO2 82 %, pulse NaN; device status: low perfusion, and so on somebody's finger.
WITHOUT_PULSE = bytes.fromhex("085200ff07200000")


def window_without_pulse() -> Reading:
    stream = Stream(OXIMETRY, OXIMETER, raw=False)
    for turn in range(61):
        for command in stream.hear(Received(float(turn), "continuous", WITHOUT_PULSE), saturation):
            if isinstance(command, Report):
                return command.reading
    raise AssertionError("they counted for nothing")


def spot_check_without_pulse() -> Reading:
    octets = bytes.fromhex("005200ff07")
    one = spot_check(decode_spot_check(octets), octets, pushed=True)
    assert one is not None
    return one


@pytest.mark.parametrize("told", [window_without_pulse, spot_check_without_pulse])
def test_a_low_saturation_is_kept_and_shown_also_without_a_pulse_rate(kit, told) -> None:
    one = seen(told(), 1)

    receipt = kit.send(1, one).receipt

    assert receipt.parked == []
    assert one.parts["spo2"].value == "82"
    assert WITHHELD.isdisjoint(one.marks)
    assert show(one, words("en"), None).text == "82 %"


def suspected(kit) -> list[str]:
    fates = [fate for row in kit.rows(journal) for fate in decode_fates(row["fate"])]
    return [fate.suspect_of for fate in fates if fate.suspect_of]


def test_a_summary_reaches_the_series_by_all_its_parts(kit, tmp_path) -> None:
    patient = kit.wearer(DEVICE)
    kit.send(1, seen(window(), 1), seen(beats(), 2))
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    tail = Tail(kit.records.engine, "embedded", kit.clock)
    projection = Projection(tail, series, tmp_path / "projection.lock", kit.clock)
    while projection.once():
        pass

    (one,) = series.read("pulse_oximetry", patient, 0, 10**16)
    (other,) = series.read("heart_rate", patient, 0, 10**16)
    assert one.fields["spo2_lowest"] == 97.0
    assert other.fields["sdrr"] == 0.0
    series.close()


@pytest.mark.parametrize(
    ("reading", "lang", "text", "note"),
    [
        (window(), "en", "97 %", "SpO2 lowest 97 %"),
        (window(), "zh", "97 %", "血氧最低 97 %"),
        (beats(), "en", "66 /min", "heart rate lowest 66 /min"),
        (beats(), "zh", "66 /min", "心率最低 66 /min"),
    ],
)
def test_a_summary_is_shown_in_words_of_both_languages(reading, lang, text, note) -> None:
    one = seen(reading, 1)
    shown = show(one, words(lang), None)
    assert shown.text == text
    assert note in shown.note
    assert words(lang).maybe("kind", one.kind) != one.kind


def test_of_how_many_samples_it_is_made_stands_not_beside_each_value() -> None:
    assert marks(seen(window(), 1), words("en")) == ("summary of a stream",)


def test_both_kinds_have_a_trend_without_a_limit() -> None:
    assert LIMITS["pulse_oximetry"].part == "spo2"
    assert LIMITS["heart_rate"].part == "heart_rate"
    assert LIMITS["heart_rate"].alert == LIMITS["pulse_oximetry"].alert == ()


def test_digits_of_a_summary_are_the_devices() -> None:
    assert window().parts["perfusion_index"].number == Decimal("4.2")  # type: ignore[union-attr]
