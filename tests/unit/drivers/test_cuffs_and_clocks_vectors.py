"""Published and derived octets of the cuff's other characteristics, of clocks, Device Information and Battery."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.gatt.blood_pressure.enhanced import (
    Enhanced,
    Stamp,
    decode_enhanced,
    encode_enhanced,
    enhanced_reading,
)
from drivers.gatt.blood_pressure.feature import FEATURES, decode_feature, encode_feature
from drivers.gatt.blood_pressure.intermediate import (
    decode_enhanced_intermediate,
    decode_intermediate,
)
from drivers.gatt.blood_pressure.record import Joining, decode_segment, encode_segment
from drivers.gatt.device_information import (
    decode_battery_level,
    decode_battery_status,
    decode_pnp,
    decode_system_id,
    decode_text,
)
from drivers.gatt.device_time import (
    decode_device_time,
    decode_local_time,
    decode_reference,
    decode_time_feature,
)
from drivers.gatt.e2e_crc import crc_of
from drivers.gatt.glucose.feature import decode_feature as decode_meters_feature
from gateway.contract.fields import Special
from gateway.contract.session import PeerError

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS: list[dict[str, Any]] = [
    vector
    for file in ("gatt.json", "gatt_cuffs_and_clocks.json")
    for vector in json.loads((FOLDER / file).read_text())["vectors"]
]
# Those that stand in test files of their own.
ELSEWHERE = {"SFLOAT", "FLOAT", "2A18", "2A34", "2A35", "2A52", "2A08", "2A2B"}


def of(*characteristics: str, whole: bool = True) -> list[dict[str, Any]]:
    return [
        vector
        for vector in VECTORS
        if vector["characteristic_uuid"] in characteristics
        and whole == ("error" not in vector["expected"])
    ]


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def octets(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def names(told: list[str]) -> set[str]:
    return {name for name in told if not name.startswith("rfu")}


DECODERS = {
    "2A49": decode_feature,
    "2A51": decode_meters_feature,
    "2B34": decode_enhanced,
    "2B35": decode_enhanced_intermediate,
    "2A36": decode_intermediate,
    "2A23": decode_system_id,
    "2A19": decode_battery_level,
}


@pytest.mark.parametrize("vector", of(*DECODERS, whole=False), ids=by_id)
def test_a_cut_or_reserved_value_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        DECODERS[vector["characteristic_uuid"]](octets(vector))


@pytest.mark.parametrize("vector", of("2A49"), ids=by_id)
def test_features_of_a_cuff(vector: dict[str, Any]) -> None:
    told = decode_feature(octets(vector))

    assert told == names(vector["expected"]["features"])
    known = vector["expected"]["raw"] & sum(FEATURES)
    assert encode_feature(told) == known.to_bytes(2, "little")


@pytest.mark.parametrize("vector", of("2A51"), ids=by_id)
def test_features_of_a_meter(vector: dict[str, Any]) -> None:
    assert decode_meters_feature(octets(vector)) == set(vector["expected"]["features"])


def test_a_feature_without_a_bit_is_refused() -> None:
    with pytest.raises(ValueError, match="no feature: levitation"):
        encode_feature(frozenset({"levitation"}))


@pytest.mark.parametrize("vector", of("2A36"), ids=by_id)
def test_pressures_of_a_cuff_that_inflates(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_intermediate(octets(vector))

    assert (told.unit, told.pressure) == (expected["unit"], number(expected["cuff_pressure"]))
    assert told.user == expected.get("user_id")
    assert told.status == expected.get("measurement_status", {}).get("raw")
    assert (told.pulse is None) == ("pulse_rate_bpm" not in expected)
    assert (told.time is None) == ("timestamp" not in expected)


@pytest.mark.parametrize("vector", of("2B35"), ids=by_id)
def test_enhanced_pressures_of_a_cuff_that_inflates(vector: dict[str, Any]) -> None:
    expected = vector["expected"]

    told = decode_enhanced_intermediate(octets(vector))

    assert (told.unit, told.pressure) == (expected["unit"], number(expected["cuff_pressure"]))
    assert iso(told.time if isinstance(told.time, Stamp) else None) == expected.get("timestamp")


def iso(stamp: Stamp | None) -> str | None:
    return stamp.naive.isoformat() if stamp else None


@pytest.mark.parametrize("vector", of("2B34"), ids=by_id)
def test_enhanced_measurements(vector: dict[str, Any]) -> None:
    check_enhanced(decode_enhanced(octets(vector)), vector["expected"])
    flags = octets(vector)[0]
    if flags & 0x22 or not flags & 0x40:  # a frame without a time says an epoch for nothing
        assert encode_enhanced(decode_enhanced(octets(vector))) == octets(vector)


def check_enhanced(told: Enhanced, expected: dict[str, Any]) -> None:
    assert told.unit == expected["unit"]
    assert told.systolic == number(expected["systolic"])
    assert told.diastolic == number(expected["diastolic"])
    assert told.mean == number(expected["map"])
    assert iso(told.tail.stamp) == expected.get("timestamp")
    assert iso(told.tail.user_facing) == expected.get("user_facing_time")
    pulse = expected.get("pulse_rate_bpm")
    assert told.tail.pulse == (None if pulse is None else number(pulse))
    assert told.tail.user == expected.get("user_id")
    assert told.tail.status == expected.get("measurement_status", {}).get("raw")


@pytest.mark.parametrize("vector", of("2B34"), ids=by_id)
def test_enhanced_measurements_as_readings_keep_base_time_and_offset_apart(
    vector: dict[str, Any],
) -> None:
    expected = vector["expected"]

    told = enhanced_reading(octets(vector))

    taken = expected.get("timestamp")
    assert told.taken == (datetime.fromisoformat(taken) if taken else None)
    if "user_facing_time" in expected:
        assert told.taken is not None
        assert told.offset is not None
        assert told.taken + told.offset == datetime.fromisoformat(expected["user_facing_time"])
    assert told.slot == (
        None if expected.get("user_id") in (None, 255) else str(expected["user_id"])
    )
    assert told.raw == octets(vector)


@pytest.mark.parametrize("vector", of("2B36"), ids=by_id)
def test_records_of_a_cuff(vector: dict[str, Any]) -> None:
    expected = vector["expected"]
    sealed = bool(vector.get("context", {}).get("e2e_crc"))

    told = decode_segment(octets(vector))

    assert encode_segment(told) == octets(vector)
    assert (told.first, told.last, told.counter) == tuple(expected["segment"].values())
    assert told.sequence == expected["sequence_number"]
    assert f"{told.uuid:04X}" == expected["uuid"]
    value = told.value[:-2] if sealed else told.value
    assert value.hex().upper() == expected["value_hex"]
    if "value" in expected:
        reading = Joining(sealed=sealed).hear(octets(vector))
        assert reading is not None
        assert reading.sequence == expected["sequence_number"]
        assert not reading.pushed
        check_enhanced(decode_enhanced(reading.raw), expected["value"])


@pytest.mark.parametrize("vector", of("2B36", whole=False), ids=by_id)
def test_a_record_with_another_crc_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="CRC"):
        Joining(sealed=True).hear(octets(vector))


def test_an_enhanced_measurement_has_one_epoch() -> None:
    told = decode_enhanced(octets(next(v for v in of("2B34") if v["id"] == "ebp-full-1900")))
    tail = replace(told.tail, stamp=Stamp(0))

    with pytest.raises(ValueError, match="two epochs"):
        encode_enhanced(replace(told, tail=tail))


@pytest.mark.parametrize("vector", of("2A0F"), ids=by_id)
def test_local_time_information(vector: dict[str, Any]) -> None:
    told, expected = decode_local_time(octets(vector)), vector["expected"]

    assert told.zone == minutes(expected["time_zone_min"])
    assert told.dst == minutes(expected["dst_offset_min"])


def minutes(told: int | None) -> timedelta | None:
    return None if told is None else timedelta(minutes=told)


@pytest.mark.parametrize("vector", of("2A14"), ids=by_id)
def test_reference_time_information(vector: dict[str, Any]) -> None:
    told, expected = decode_reference(octets(vector)), vector["expected"]

    assert told.source == expected["source"]
    assert told.accuracy == timedelta(seconds=expected["accuracy_s"])
    assert told.since_update == timedelta(
        days=expected["days_since_update"], hours=expected["hours_since_update"]
    )


@pytest.mark.parametrize("vector", of("2B8E"), ids=by_id)
def test_features_of_a_device_time_service(vector: dict[str, Any]) -> None:
    assert decode_time_feature(octets(vector)) == names(vector["expected"]["features"])


@pytest.mark.parametrize("vector", of("2B90"), ids=by_id)
def test_device_times(vector: dict[str, Any]) -> None:
    expected, context = vector["expected"], vector.get("context", {})
    features = {"e2e_crc"} if context.get("e2e_crc") else set[str]()
    features |= {"separate_user_timeline"} if "user_time" in context.get("fields", ()) else set()

    told = decode_device_time(octets(vector), frozenset(features))

    assert told.base == datetime.fromisoformat(expected["base_time"])
    assert told.local.zone == minutes(expected["time_zone_min"])
    assert told.local.dst == minutes(expected["dst_offset_min"])
    assert told.status == set(expected["status"])
    if "user_time" in expected:
        assert told.shown == told.user == datetime.fromisoformat(expected["user_time"])
    else:
        local = timedelta(minutes=expected["time_zone_min"] + expected["dst_offset_min"])
        assert told.shown == told.base + local


@pytest.mark.parametrize("vector", of("2A23"), ids=by_id)
def test_system_ids(vector: dict[str, Any]) -> None:
    told, expected = decode_system_id(octets(vector)), vector["expected"]

    assert told.eui64.upper() == expected["eui64"]
    assert told.maker.upper() == expected["oui"]
    assert (told.mac or "").upper() == expected.get("mac48", "")


@pytest.mark.parametrize("vector", of("2A24", "2A26", "2A29"), ids=by_id)
def test_texts_of_device_information(vector: dict[str, Any]) -> None:
    assert decode_text(octets(vector)) == vector["expected"]["text"]


@pytest.mark.parametrize("vector", of("2A50"), ids=by_id)
def test_pnp_ids(vector: dict[str, Any]) -> None:
    told, expected = decode_pnp(octets(vector)), vector["expected"]

    assert told.source == {"bluetooth_sig": "bluetooth", "usb_if": "usb"}[expected["vendor_id_source"]]  # fmt: skip
    assert (told.vendor, told.product, told.version) == (
        expected["vendor_id"], expected["product_id"], expected["product_version"],
    )  # fmt: skip


@pytest.mark.parametrize("vector", of("2A19"), ids=by_id)
def test_battery_levels(vector: dict[str, Any]) -> None:
    assert decode_battery_level(octets(vector)) == vector["expected"]["battery_pct"]


@pytest.mark.parametrize("vector", of("2BED"), ids=by_id)
def test_battery_statuses(vector: dict[str, Any]) -> None:
    told, expected = decode_battery_status(octets(vector)), vector["expected"]

    assert (told.present, told.wired) == (expected["battery_present"], expected["wired_power"])
    assert told.charge == expected["charge_level"]
    assert told.level == expected.get("battery_pct")


@pytest.mark.parametrize("vector", of("CRC16"), ids=by_id)
def test_end_to_end_crcs(vector: dict[str, Any]) -> None:
    assert f"{crc_of(octets(vector)):04X}" == vector["expected"]["crc"]


HELD = {
    "2A36", "2A49", "2B34", "2B35", "2B36", "2A0F", "2A14", "2B8E", "2B90", "2A23", "2A24", "2A26",
    "2A29", "2A50", "2A19", "2BED", "CRC16", "2A51",
}  # fmt: skip


def test_every_vector_of_these_files_is_held_somewhere() -> None:
    assert {vector["characteristic_uuid"] for vector in VECTORS} == HELD | ELSEWHERE
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS)
