"""Continuous glucose both ways, against published and derived octets, and what public libraries get wrong in them."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt import racp
from drivers.gatt.cgm import codec, ops
from drivers.gatt.cgm.codec import Record, Start
from drivers.gatt.cgm.readings import STATUS_MARKS, Origin, reading
from drivers.gatt.cgm.sim import NEVER, PLAIN
from drivers.gatt.clocks import stored
from drivers.gatt.e2e_crc import crc_of, sealed, unsealed
from gateway.contract.fields import Special
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

HELD: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "cgm.json").read_text()
)
VECTORS = HELD["vectors"]
NOON = datetime(2026, 3, 14, 12)
SEEN = Origin(NOON, Start(stored(NOON), 4, 0), PLAIN)
# As the vectors name the bits where we name them otherwise, as glucose meters do.
RENAMED = {"temperature_too_high": "sensor_temp_too_high", "temperature_too_low": "sensor_temp_too_low",
           "calibration_pending": "calibration_process_pending", "falling_too_fast": "rate_of_decrease_exceeded",
           "rising_too_fast": "rate_of_increase_exceeded", "result_too_low": "below_device_range",
           "result_too_high": "above_device_range"}  # fmt: skip


def of(characteristic: str, *, whole: bool) -> list[dict[str, Any]]:
    return [
        vector
        for vector in VECTORS
        if vector["characteristic_uuid"] == characteristic
        and whole == ("error" not in vector["expected"])
    ]


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def octets(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"])


def e2e(vector: dict[str, Any]) -> bool:
    return vector["context"]["e2e_crc"]


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


def named(bits: int) -> list[str]:
    return [RENAMED.get(mark, mark) for bit, mark in STATUS_MARKS.items() if bits & bit]


def made(raw: str, origin: Origin = SEEN) -> Any:  # noqa: ANN401 a reading, of which tests look at any part
    data = bytes.fromhex(raw)
    return reading(codec.decode_record(data), data, origin)


def test_there_are_vectors_of_every_sort() -> None:
    whole = {name: len(of(name, whole=True)) for name in ("2AA7", "2AA8", "2AA9", "2AAA", "2AAB", "2AAC", "CRC16")}  # fmt: skip
    assert whole == {"2AA7": 39, "2AA8": 4, "2AA9": 5, "2AAA": 7, "2AAB": 3, "2AAC": 25, "CRC16": 9}
    assert len(of("2AA7", whole=False)) == 10
    assert len(HELD["exchanges"]) == 8


@pytest.mark.parametrize("vector", of("CRC16", whole=True), ids=by_id)
def test_checksums_of_the_vectors(vector: dict[str, Any]) -> None:
    assert f"{crc_of(octets(vector)):04X}" == vector["expected"]["crc"]
    assert unsealed(sealed(octets(vector)), "it") == octets(vector)


@pytest.mark.parametrize("vector", of("2AA7", whole=True), ids=by_id)
def test_measurements_of_the_vectors(vector: dict[str, Any]) -> None:
    told = codec.decode_measurement(octets(vector), e2e=e2e(vector))

    assert b"".join(raw for _, raw in told) == octets(vector)
    assert len(told) == len(vector["expected"]["records"])
    for (record, raw), expected in zip(told, vector["expected"]["records"], strict=True):
        trend, quality = expected.get("trend_mg_dl_per_min"), expected.get("quality_pct")
        assert record == Record(
            offset_min=expected["time_offset_min"],
            glucose=number(expected["glucose_mg_dl"]),
            status=expected.get("status_octet"),
            calibration=expected.get("cal_temp_octet"),
            warning=expected.get("warning_octet"),
            trend=None if trend is None else number(trend),
            quality=None if quality is None else number(quality),
        )
        assert named(record.annunciation) == expected.get("annunciations", [])
        assert codec.encode_record(record, e2e=e2e(vector)) == raw


@pytest.mark.parametrize("vector", of("2AA7", whole=False), ids=by_id)
def test_measurements_that_are_none(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        codec.decode_measurement(octets(vector), e2e=e2e(vector))


@pytest.mark.parametrize("vector", of("2AA8", whole=True), ids=by_id)
def test_features_of_the_vectors(vector: dict[str, Any]) -> None:
    told, expected = codec.decode_feature(octets(vector)), vector["expected"]

    assert (told.bits, told.type, told.location) == (
        expected["raw"], expected["sample_type"], expected["sample_location"],
    )  # fmt: skip
    assert told.e2e == ("e2e_crc" in expected["features"])
    if told.e2e or expected["crc"] == "FFFF":
        assert codec.encode_feature(told) == octets(vector)


@pytest.mark.parametrize("vector", of("2AA9", whole=True), ids=by_id)
def test_statuses_of_the_vectors(vector: dict[str, Any]) -> None:
    told, expected = codec.decode_status(octets(vector)), vector["expected"]

    assert (told.offset_min, told.bits) == (expected["time_offset_min"], expected["raw"])
    assert named(told.bits) == expected["annunciations"]
    assert codec.encode_status(told, e2e=False) == octets(vector)


@pytest.mark.parametrize("vector", of("2AAA", whole=True), ids=by_id)
def test_session_starts_of_the_vectors(vector: dict[str, Any]) -> None:
    told, expected = codec.decode_start(octets(vector)), vector["expected"]

    assert told.time.text == expected["session_start"]
    assert (told.time.naive is None) == ("session_start_status" in expected)
    known = expected["time_zone_min"] is not None
    minutes = (expected["time_zone_min"] + expected["dst_offset_min"]) if known else None
    assert told.ahead == (None if minutes is None else timedelta(minutes=minutes))
    assert codec.encode_start(told, e2e="crc" in expected) == octets(vector)


@pytest.mark.parametrize("vector", of("2AAB", whole=True), ids=by_id)
def test_run_times_of_the_vectors(vector: dict[str, Any]) -> None:
    assert codec.decode_run_time(octets(vector)) == vector["expected"]["run_time_h"]
    assert (
        codec.encode_run_time(vector["expected"]["run_time_h"], e2e="crc" in vector["expected"])
        == octets(vector)
    )  # fmt: skip


DECODED: dict[str, Callable[[bytes], object]] = {
    "2AA8": codec.decode_feature,
    "2AA9": codec.decode_status,
    "2AAA": codec.decode_start,
    "2AAC": lambda data: ops.decode(data, e2e=False),
}


@pytest.mark.parametrize(
    "vector", [one for name in DECODED for one in of(name, whole=False)], ids=by_id
)
def test_values_that_are_none(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        DECODED[vector["characteristic_uuid"]](octets(vector))


def check_op(told: ops.Message, expected: dict[str, Any]) -> None:
    assert told.op == expected["op_code"]
    level = next((expected[name] for name in expected if name.startswith("level_")), None)
    match told.operand:
        case ops.Answer(request_op, outcome):
            assert (request_op, outcome) == (expected["request_op_code"], expected["response_code"])
        case ops.Calibration() as one:
            assert (one.glucose, one.time_min, one.type, one.location, one.next_min, one.record) == (
                expected["calibration_mg_dl"], expected["calibration_time_min"],
                expected["sample_type"], expected["sample_location"],
                expected["next_calibration_min"], expected["record_number"],
            )  # fmt: skip
            assert one.status == 0b100  # "process_pending"
        case Decimal() as told_level:
            assert told_level == number(level)
        case operand:
            assert operand == expected.get("interval_min", expected.get("record_number"))


@pytest.mark.parametrize("vector", of("2AAC", whole=True), ids=by_id)
def test_ops_of_the_vectors(vector: dict[str, Any]) -> None:
    told = ops.decode(octets(vector), e2e=e2e(vector))

    check_op(told, vector["expected"])
    assert ops.encode(told, e2e=e2e(vector)) == octets(vector)


@pytest.mark.parametrize(
    "exchange", [x for x in HELD["exchanges"] if x["characteristic"] == "2AAC"], ids=by_id
)
def test_ops_exchanges_of_the_vectors(exchange: dict[str, Any]) -> None:
    sealed_ = exchange["context"]["e2e_crc"]
    for side in (exchange["request"], *exchange["responses"]):
        told = ops.decode(bytes.fromhex(side["hex"]), e2e=sealed_)
        check_op(told, side["expected"])
        assert ops.encode(told, e2e=sealed_).hex() == side["hex"].lower()


def test_records_are_asked_for_by_minute_as_the_vectors_ask() -> None:
    by_hex = {v["hex"]: v["expected"] for v in VECTORS if v["characteristic_uuid"] == "2A52"}
    by_hex |= {x["request"]["hex"]: x["request"]["expected"] for x in HELD["exchanges"] if x["characteristic"] == "2A52"}  # fmt: skip
    assert len(by_hex) == 3
    for asked, expected in by_hex.items():
        told = racp.decode_request(bytes.fromhex(asked))
        bounds = [int.from_bytes(bound, "little") for bound in told.bounds]
        assert bounds == [expected[name] for name in ("minimum", "maximum") if name in expected]
        assert racp.encode_request(told).hex() == asked.lower()


def test_an_op_with_an_operand_that_it_does_not_take_is_no_message() -> None:
    for wrong in (ops.Message(ops.Op.START_SESSION, 1), ops.Message(ops.Op.SET_HYPO)):
        with pytest.raises(ValueError, match="another operand"):
            ops.encode(wrong, e2e=False)


# What public libraries get wrong.
def test_a_time_zone_west_of_greenwich_is_negative() -> None:
    told = codec.decode_start(bytes.fromhex("EA07030E060000EC04"))
    assert told.ahead == timedelta(hours=-4)
    assert told.utc == datetime(2026, 3, 14, 10)


def test_a_size_of_zero_does_not_loop() -> None:
    with pytest.raises(PeerError, match="size 0"):
        codec.decode_measurement(bytes.fromhex("000078001E00"), e2e=False)


def test_a_flipped_bit_under_a_checksum_is_no_record() -> None:
    good = bytes.fromhex("0C0368000F00F4FF6200D0C5")
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PeerError):
            codec.decode_measurement(bytes(bad), e2e=True)


def test_a_checksum_that_is_announced_may_not_be_missing_and_no_other_may_come() -> None:
    plain = bytes.fromhex("0600010101")
    with pytest.raises(PeerError, match="7 are due"):
        codec.decode_status(plain, e2e=True)
    with pytest.raises(PeerError, match="5 are due"):
        codec.decode_status(sealed(plain), e2e=False)


def test_the_filler_of_a_feature_without_checksum_is_not_checked() -> None:
    assert not codec.decode_feature(bytes.fromhex("6E8E0116AFBE")).e2e


# What becomes of a record.
def test_a_record_is_interstitial_glucose_of_its_minute() -> None:
    told = made("0A0370003C0004F06100")

    assert told.kind == "continuous_glucose"
    assert told.parts == {
        "value": Quantity(Decimal(112), "mg/dL"),
        "trend": Quantity(Decimal("0.4"), "mg/dL/min"),
    }
    assert (told.taken, told.sequence) == (datetime(2026, 3, 14, 13), 60)
    assert told.marks == frozenset()
    assert told.context == {
        "sample_type": "interstitial_fluid", "sample_location": "subcutaneous_tissue",
        "session_minutes": "60", "quality": "97 %", "session_zone_min": "60",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        ("0720FE07190080", Limit.ABOVE),
        ("07200208190040", Limit.BELOW),
        ("0600FE071900", Limit.ABOVE),
        ("07200A00190040", Limit.BELOW),
        ("0720FF07190080", Limit.ABOVE),
    ],
)
def test_lo_and_hi_are_limits(raw: str, limit: Limit) -> None:
    assert made(raw).parts == {"value": limit}


def test_a_number_beside_a_limit_stands_in_the_context() -> None:
    assert made("07200A00190040").context["sent"] == "10 mg/dL"
    assert "sent" not in made("0720FE07190080").context


@pytest.mark.parametrize("raw", ["0600FF071400", "060000081400", "060001081400"])
def test_what_is_no_number_is_absent_and_marked(raw: str) -> None:
    told = made(raw)
    assert told.parts == {}
    assert told.marks == {"not_available:value"}


@pytest.mark.parametrize(
    ("quality", "mark"), [("5000", None), ("4F00", "quality_low"), ("FF07", "quality_unknown")]
)
def test_a_quality_that_is_not_good_is_a_mark(quality: str, mark: str | None) -> None:
    told = made(f"080292002300{quality}")
    assert told.marks == ({mark} if mark else frozenset())
    assert told.parts == {"value": Quantity(Decimal(146), "mg/dL")}


def test_a_trend_that_is_no_number_is_absent_and_marked() -> None:
    told = made("080192002300FF07")
    assert told.marks == {"not_available:trend"}
    assert set(told.parts) == {"value"}


def test_what_the_sensor_says_of_itself_is_a_mark() -> None:
    told = made("0DE3930028000308050A005F00")
    assert told.marks == {"session_stopped", "battery_low", "calibration_required", "below_patient_low", "below_hypo"}  # fmt: skip


@pytest.mark.parametrize("named", [None, datetime(9999, 12, 31, 23, 59)])
def test_a_record_without_a_usable_start_keeps_its_value_and_has_no_time(
    named: datetime | None,
) -> None:
    told = made("06000C100600", Origin(named, NEVER, PLAIN))

    assert told.parts == {"value": Quantity(Decimal("1.2E+2"), "mg/dL")}
    assert (told.taken, told.raw_time) == (None, "0000-00-00T00:00:00 + 6 min")
    assert told.marks == {"session_start_unknown"}


def test_control_solution_is_marked_where_the_sensor_says_so() -> None:
    assert made("06000C100600", replace(SEEN, feature=replace(PLAIN, type=10))).marks == {"control"}


numbers = st.integers(-2045, 2045).map(Decimal) | st.sampled_from(list(Special))
octet = st.none() | st.integers(0, 255)


@given(
    st.builds(Record, st.integers(0, 0xFFFF), numbers, octet, octet, octet, st.none() | numbers, st.none() | numbers),
    st.booleans(),
)  # fmt: skip
def test_what_is_encoded_is_decoded_to_the_same(record: Record, sealed_: bool) -> None:  # noqa: FBT001 drawn
    data = codec.encode_record(record, e2e=sealed_)
    assert codec.decode_measurement(data, e2e=sealed_) == [(record, data)]


@given(st.binary(max_size=40), st.booleans())
def test_garbage_is_a_fault_of_the_sensor_or_records(data: bytes, sealed_: bool) -> None:  # noqa: FBT001 drawn
    try:
        told = codec.decode_measurement(data, e2e=sealed_)
    except PeerError:
        return
    assert b"".join(raw for _, raw in told) == data


def packet(*records: Record, e2e: bool) -> tuple[bytes, list[bytes]]:
    made = [codec.encode_record(one, e2e=e2e) for one in records]
    return b"".join(made), made


def three(*, e2e: bool) -> tuple[bytes, list[bytes]]:
    return packet(*(Record(n, Decimal(100 + n)) for n in (5, 10, 15)), e2e=e2e)


def test_a_record_with_another_crc_costs_no_other_of_its_packet() -> None:
    whole, (first, second, third) = three(e2e=True)
    bent = whole.replace(second, second[:-1] + bytes((second[-1] ^ 1,)))

    records, fault = codec.read_measurement(bent, e2e=True)

    assert [octets for _, octets in records] == [first, third]
    assert "CRC" in str(fault)


def test_without_a_crc_nothing_behind_a_broken_record_is_taken_for_one() -> None:
    whole, (first, second, _) = three(e2e=False)
    bent = whole.replace(second, bytes((second[0] + 2,)) + second[1:])

    records, fault = codec.read_measurement(bent, e2e=False)

    assert [octets for _, octets in records] == [first]
    assert fault is not None


@pytest.mark.parametrize("e2e", [True, False])
def test_a_packet_that_is_cut_keeps_the_records_before(e2e: bool) -> None:  # noqa: FBT001 a case
    whole, (first, second, _) = three(e2e=e2e)

    records, fault = codec.read_measurement(whole[:-1], e2e=e2e)

    assert [octets for _, octets in records] == [first, second]
    assert "rest of" in str(fault)
