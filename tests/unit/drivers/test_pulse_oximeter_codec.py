"""0x2A5E, 0x2A5F and 0x2A60 both ways, against published and derived octets, and what they are worth."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.gatt.pulse_oximeter.codec import (
    decode_continuous,
    decode_features,
    decode_spot_check,
    encode_continuous,
    encode_features,
    encode_spot_check,
)
from drivers.gatt.pulse_oximeter.meaning import reading, sample, statuses
from drivers.gatt.pulse_oximeter.sim import spot_check
from gateway.contract.fields import Special, StoredTime
from gateway.contract.session import PeerError, Reading
from gateway.model.quantity import Limit, Quantity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt_streams.json").read_text()
)["vectors"]


def of(uuid: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["characteristic_uuid"] == uuid]


def is_whole(vector: dict[str, Any]) -> bool:
    return "error" not in vector["expected"]


SPOTS = list(filter(is_whole, of("2A5E")))
STREAM = list(filter(is_whole, of("2A5F")))
FEATURES = list(filter(is_whole, of("2A60")))
CUT = [v for uuid in ("2A5E", "2A5F", "2A60") for v in of(uuid) if not is_whole(v)]
CODECS = {
    "2A5E": (decode_spot_check, encode_spot_check),
    "2A5F": (decode_continuous, encode_continuous),
    "2A60": (decode_features, encode_features),
}


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def frame(vector_id: str) -> bytes:
    return bytes.fromhex(next(v["hex"] for v in VECTORS if v["id"] == vector_id))


def number(told: Any) -> Decimal | Special | None:  # noqa: ANN401 a JSON value
    if told is None:
        return None
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def names(expected: dict[str, Any], field: str) -> set[str]:
    told = expected.get(field, {}).get("flags", [])
    return {name for name in told if not name.startswith("rfu_")}


@pytest.mark.parametrize("vector", SPOTS, ids=by_id)
def test_spot_checks_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_spot_check(bytes.fromhex(vector["hex"]))

    assert told.shown.spo2 == number(expected["spo2_pct"])
    assert told.shown.pulse == number(expected["pulse_rate_bpm"])
    assert (told.time.text if told.time else None) == expected.get("timestamp")
    assert told.measurement == expected.get("measurement_status", {}).get("raw")
    assert told.device == expected.get("device_sensor_status", {}).get("raw")
    assert told.amplitude == number(expected.get("pulse_amplitude_index_pct"))
    assert told.clock_not_set == expected["clock_not_set"]


@pytest.mark.parametrize("vector", STREAM, ids=by_id)
def test_samples_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_continuous(bytes.fromhex(vector["hex"]))

    pairs = {"": told.shown, "fast": told.fast, "slow": told.slow}
    for name, pair in pairs.items():
        wanted = expected.get(name, {}) if name else expected
        assert (pair.spo2 if pair else None) == number(wanted.get("spo2_pct"))
        assert (pair.pulse if pair else None) == number(wanted.get("pulse_rate_bpm"))
    wanted_names = names(expected, "measurement_status") | names(expected, "device_sensor_status")
    assert statuses(told.measurement, told.device) == wanted_names
    assert told.amplitude == number(expected.get("pulse_amplitude_index_pct"))


@pytest.mark.parametrize("vector", FEATURES, ids=by_id)
def test_features_of_the_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_features(bytes.fromhex(vector["hex"]))

    assert told.bits == expected["raw"]
    assert told.stores == ("measurement_storage" in expected["features"])
    supported = [
        names(expected, f"{of}_support") for of in ("measurement_status", "device_sensor_status")
    ]
    assert statuses(told.measurement, told.device) == supported[0] | supported[1]


@pytest.mark.parametrize("vector", CUT, ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    decode, _ = CODECS[vector["characteristic_uuid"]]
    with pytest.raises(PeerError, match="truncated"):
        decode(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", [*SPOTS, *STREAM, *FEATURES], ids=by_id)
def test_a_frame_encodes_to_itself_again(vector: dict[str, Any]) -> None:
    decode, encode = CODECS[vector["characteristic_uuid"]]
    raw = bytes.fromhex(vector["hex"])
    known = 0x1F if vector["characteristic_uuid"] != "2A60" else 0xFF
    assert encode(decode(raw)) == bytes((raw[0] & known,)) + raw[1:]  # type: ignore[operator]


def test_there_are_vectors_of_all_sorts() -> None:
    assert (len(SPOTS), len(FEATURES)) == (7, 2)
    assert len(STREAM) > 40
    assert len(CUT) > 4


def spot(vector_id: str) -> Reading:
    raw = frame(vector_id)
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    return told


def test_a_full_spot_check_as_a_reading() -> None:
    told = spot("plx-spot-full")

    assert told.parts == {
        "spo2": Quantity(Decimal(97), "%"),
        "pulse_rate": Quantity(Decimal(72), "/min"),
        "perfusion_index": Quantity(Decimal("4.2"), "%"),
    }
    assert told.taken == datetime(2026, 3, 14, 7, 5, 9)
    assert told.marks == frozenset()
    assert told.context == {}


def test_digits_stay_as_they_were_shown() -> None:
    told = decode_continuous(frame("plx-spz-1"))
    assert (str(told.shown.spo2), str(told.shown.pulse)) == ("100.0", "90.0")


@pytest.mark.parametrize(
    "status",
    ["data_for_demonstration", "data_for_testing", "calibration_ongoing", "measurement_unavailable",
     "invalid_measurement_detected", "sensor_unconnected_to_user", "sensor_disconnected"],
)  # fmt: skip
def test_a_value_that_its_status_denies_is_not_told_as_one(status: str) -> None:
    raw = spot_check(
        {"spo2": Quantity(Decimal(97), "%"), "pulse_rate": Quantity(Decimal(72), "/min")},
        None,
        marks=frozenset({status}),
    )

    told = reading(decode_spot_check(raw), raw, pushed=True)

    assert told is not None
    assert told.parts == {}
    assert told.marks == {status, "not_available:spo2", "not_available:pulse_rate"}
    assert told.context == {"sent_spo2": "97 %", "sent_pulse_rate": "72 /min"}


def test_a_finger_that_is_out_is_no_measurement() -> None:
    raw = bytes.fromhex("17FF07FF07D00701010000030020000800")
    assert reading(decode_spot_check(raw), raw, pushed=True) is None


def test_a_measurement_that_failed_is_told_without_a_value() -> None:
    told = spot("plx-spot-invalid")
    assert told.parts == {}
    assert "invalid_measurement_detected" in told.marks


def test_a_doubtful_value_is_told_with_its_doubt() -> None:
    raw = spot_check(
        {"spo2": Quantity(Decimal(91), "%"), "pulse_rate": Quantity(Decimal(72), "/min")},
        None,
        marks=frozenset({"questionable_measurement_detected", "low_perfusion"}),
    )
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    assert told.parts["spo2"] == Quantity(Decimal(91), "%")
    assert told.marks == {"questionable_measurement_detected", "low_perfusion"}


def test_a_clock_that_was_not_set_costs_the_time_alone() -> None:
    raw = bytes.fromhex("1161004800E1070101000003")

    told = reading(decode_spot_check(raw), raw, pushed=True)

    assert told is not None
    assert told.parts["spo2"] == Quantity(Decimal(97), "%")
    assert (told.taken, told.raw_time) == (None, "2017-01-01T00:00:03")
    assert told.marks == {"clock_not_set"}


@pytest.mark.parametrize("text", ["0000-00-00T00:00:00", "2026-13-32T25:61:61"])
def test_a_date_that_no_calendar_has_costs_the_time_alone(text: str) -> None:
    time = StoredTime(None, text)
    raw = spot_check({"spo2": Quantity(Decimal(97), "%")}, time)
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    assert (told.taken, told.raw_time) == (None, text)
    assert told.parts == {"spo2": Quantity(Decimal(97), "%")}
    assert told.marks == {"not_available:pulse_rate"}


@pytest.mark.parametrize("code", ["FF07", "0008", "0108"])
def test_a_number_that_is_none_is_absent_and_marked(code: str) -> None:
    raw = bytes.fromhex(f"00{code}4800")
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    assert told.parts == {"pulse_rate": Quantity(Decimal(72), "/min")}
    assert told.marks == {"not_available:spo2"}


def test_reserved_bits_neither_raise_nor_mark() -> None:
    told = sample(frame("plx-cont-all"))
    assert told.marks == {"low_perfusion"}
    assert sample(frame("plx-cont-rfu")).values["spo2"] == (Decimal(97),)


def test_infinity_is_a_limit() -> None:
    raw = bytes.fromhex("000208FE07")
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    assert told.parts == {"spo2": Limit.BELOW, "pulse_rate": Limit.ABOVE}


@pytest.mark.parametrize("vector_id", ["plx-pm100-fingerout", "plx-pm100-stale", "plx-p-nan"])
def test_a_sample_of_nobody_does_not_count_whatever_stands_in_it(vector_id: str) -> None:
    told = sample(frame(vector_id))
    assert (told.unfit, told.worn, told.values) == ("sensor_unconnected_to_user", False, {})


@pytest.mark.parametrize("values", ["7F004800", "FF01FF01", "00000000", "FF074800", "61000000"])
def test_codes_for_no_value_do_not_count_without_a_status_either(values: str) -> None:
    told = sample(bytes.fromhex(f"00{values}"))
    assert (told.unfit, told.worn) == ("no_value", True)


# SpO2 82; pulse NaN, NRes, reserved, below and above what the device can show. Device status: low perfusion.
@pytest.mark.parametrize("pulse", ["FF07", "0008", "0108", "0208", "FE07"])
def test_a_low_saturation_counts_without_a_pulse_on_somebodys_finger(pulse: str) -> None:
    told = sample(bytes.fromhex(f"085200{pulse}200000"))
    assert told.values == {"spo2": (Decimal(82),)}
    assert told.marks == {"low_perfusion", "not_available:pulse_rate"}


@pytest.mark.parametrize(
    "octets",
    ["005200FF07", "085200FF01000000", "08FF07FF07000000", "087F00FF07000000", "08FF074800000000"],
    ids=["no status", "pulse 511", "both NaN", "SpO2 127", "no SpO2"],
)
def test_a_saturation_without_a_pulse_counts_by_the_devices_word_alone(octets: str) -> None:
    assert sample(bytes.fromhex(octets)).unfit == "no_value"


def test_a_spot_check_without_a_pulse_keeps_its_saturation() -> None:
    raw = bytes.fromhex("005200FF07")
    told = reading(decode_spot_check(raw), raw, pushed=True)
    assert told is not None
    assert told.parts == {"spo2": Quantity(Decimal(82), "%")}
    assert told.marks == {"not_available:pulse_rate"}


def test_a_sample_that_counts_brings_its_doubts() -> None:
    told = sample(frame("plx-pm100-2"))
    assert told.values == {
        "spo2": (Decimal(96),),
        "pulse_rate": (Decimal(73),),
        "perfusion_index": (Decimal("3.5"),),
    }
    assert told.marks == {"signal_processing_irregularity", "low_perfusion"}


def test_fast_and_slow_values_stand_apart() -> None:
    told = sample(frame("plx-cont-all"))
    assert told.values["spo2"] == (Decimal(97),)
    assert told.values["spo2_fast"] == (Decimal(96),)
    assert told.values["spo2_slow"] == (Decimal(98),)


# SpO2 below and above what the device can show, with a pulse, and without one on somebody's finger.
@pytest.mark.parametrize(("code", "limit"), [("0208", Limit.BELOW), ("FE07", Limit.ABOVE)])
@pytest.mark.parametrize(("flags", "rest"), [("00", "4800"), ("08", "FF07200000")])
def test_a_saturation_off_the_scale_counts_as_a_limit(
    code: str, limit: Limit, flags: str, rest: str
) -> None:
    told = sample(bytes.fromhex(flags + code + rest))

    assert told.unfit is None
    assert told.values["spo2"] == (limit,)


def test_a_saturation_off_the_scale_does_not_count_without_pulse_and_status() -> None:
    assert sample(bytes.fromhex("000208FF07")).unfit == "no_value"
    assert sample(bytes.fromhex("080208FF07000800")).unfit == "sensor_unconnected_to_user"
