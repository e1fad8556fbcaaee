"""Beurer's frames on 0x2A35, both ways, and a visit to such a cuff, against the published octets."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import drivers.vendor.beurer_bm.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt.blood_pressure.codec import Measurement, decode_measurement, encode_measurement
from drivers.gatt.blood_pressure.codec import reading as read_by_the_standard
from drivers.gatt.clocks import stored
from drivers.vendor.beurer_bm.codec import DIALECT, decode_frame, encode_frame, reading
from gateway.contract.capture import parse
from gateway.contract.fields import Special
from gateway.contract.replay import replay
from gateway.contract.session import PeerError, SetTimer, Subscribe, UnitInfo
from gateway.contract.visit import Ending
from gateway.model.quantity import Limit, Quantity

VECTORS: list[dict[str, Any]] = [
    vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "gatt.json").read_text()
    )["vectors"]
    if vector.get("quirk") == "beurer_bm85"
]  # fmt: skip
PROFILES = load_profiles()
CAPTURE = Path(driver.__file__).parent / "captures" / "bm85_four_records.jsonl"


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def test_there_are_four_published_frames() -> None:
    assert [vector["kind"] for vector in VECTORS] == ["published"] * 4


@pytest.mark.parametrize("vector", VECTORS, ids=by_id)
def test_a_published_frame_says_what_its_owner_says(vector: dict[str, Any]) -> None:
    expected, raw = vector["expected"], bytes.fromhex(vector["hex"])

    told = reading(raw)

    assert told.parts == {
        "systolic": Quantity(Decimal(expected["systolic"]), "mmHg"),
        "diastolic": Quantity(Decimal(expected["diastolic"]), "mmHg"),
        "pulse_rate": Quantity(Decimal(expected["pulse_rate_bpm"]), "/min"),
    }
    assert told.taken == datetime.fromisoformat(expected["timestamp"])
    assert told.slot == str(expected["user_id"])
    irregular = expected["measurement_status"]["irregular_pulse"]
    assert told.marks == {"not_available:mean_arterial_pressure"} | (
        {"irregular_pulse"} if irregular else set()
    )
    assert told.raw == raw
    assert encode_frame(decode_frame(raw)) == raw


@pytest.mark.parametrize("vector", VECTORS, ids=by_id)
def test_by_the_standard_it_would_be_another_pulse_and_another_status(
    vector: dict[str, Any],
) -> None:
    raw = bytes.fromhex(vector["hex"])

    assert read_by_the_standard(raw).parts["pulse_rate"] != reading(raw).parts["pulse_rate"]
    assert read_by_the_standard(raw).slot is None


NUMBERS = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(-2045, 2045),
    st.integers(-8, 7),
) | st.sampled_from(Special)
MEASURED = st.builds(
    Measurement,
    unit=st.sampled_from(["mmHg", "kPa"]),
    systolic=NUMBERS,
    diastolic=NUMBERS,
    mean=NUMBERS,
    time=st.none() | st.datetimes(datetime(1582, 1, 1)).map(lambda t: stored(t.replace(microsecond=0))),
    pulse=st.none() | NUMBERS,
    user=st.integers(0, 255),
    status=st.none() | st.integers(0, 0xFFFF),
)  # fmt: skip


@given(MEASURED)
def test_a_frame_comes_back_both_ways(told: Measurement) -> None:
    assert decode_frame(encode_frame(told)) == told


@given(MEASURED)
def test_every_prefix_of_a_frame_is_refused(told: Measurement) -> None:
    whole = encode_frame(told)

    for end in range(len(whole)):
        with pytest.raises(PeerError):
            reading(whole[:end])


@given(MEASURED)
def test_a_frame_without_the_dialects_flag_is_the_standards(told: Measurement) -> None:
    raw = encode_measurement(told)

    assert not raw[0] & DIALECT
    assert decode_frame(raw) == decode_measurement(raw) == told


def test_limits_and_what_could_not_be_measured_are_told_as_of_any_cuff() -> None:
    told = reading(
        encode_frame(
            Measurement(
                "mmHg", Special.ABOVE, Special.NAN, Decimal(0), None, Special.BELOW, 255, 0x24
            )
        )
    )

    assert told.parts == {"systolic": Limit.ABOVE, "pulse_rate": Limit.BELOW}
    assert told.slot is None
    assert {"irregular_pulse", "improper_position", "not_available:diastolic"} <= told.marks


def test_four_records_of_two_users_are_told_each_in_a_commit_of_its_own() -> None:
    capture = parse(CAPTURE.read_text().splitlines())

    told = replay(driver.DRIVER.open(UnitInfo(PROFILES["beurer/bm85"])), capture.heard)

    assert [len(commit) for commit in told.commits] == [1, 1, 1, 1]
    shown = [tuple(str(one.parts[name].number) for name in ("systolic", "diastolic", "pulse_rate")) for one in told.readings]  # type: ignore[union-attr]  # fmt: skip
    assert shown == [("106", "71", "63"), ("113", "73", "65"), ("119", "70", "87"), ("118", "80", "60")]  # fmt: skip
    assert [one.slot for one in told.readings] == ["0", "1", "1", "0"]
    assert ["irregular_pulse" in one.marks for one in told.readings] == [False, False, False, True]
    assert told.facts[0]["firmware"] == "ELITE900"
    assert told.ending is Ending.FINISHED


@pytest.mark.parametrize("model", ["bm48", "bm59", "bm85"])
def test_it_is_left_a_pause_before_the_subscription(model: str) -> None:
    profile = PROFILES[f"beurer/{model}"]
    capture = parse(CAPTURE.read_text().splitlines())

    first, *_ = driver.DRIVER.open(UnitInfo(profile)).on(capture.opened)

    assert profile.driver == "beurer.bm"
    assert first == SetTimer("settle", 0.1)
    told = replay(driver.DRIVER.open(UnitInfo(profile)), capture.heard)
    assert told.performed[-1] == Subscribe("measurement")
