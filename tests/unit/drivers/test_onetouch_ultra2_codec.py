"""Lines of the Ultra 2 both ways, against published and derived octets."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vendor.onetouch_ultra2.codec import (
    COMMENTS,
    FRAMING,
    MEALS,
    RECORDS_MAX,
    Header,
    Record,
    checksum,
    decode_clock,
    decode_header,
    decode_record,
    decode_serial,
    encode_clock,
    encode_header,
    encode_record,
    encode_serial,
    reading,
    request,
    unwrap,
    wrap,
)
from drivers.vendor.onetouch_ultra2.sim import record
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

FILE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "serial.json").read_text()
)
VECTORS = FILE["vectors"]
LINES = [v for v in VECTORS if v["direction"] == "device->host" and "error" not in v["expected"]]
RECORDS = [v for v in LINES if "mg_dl" in v["expected"]]
PUBLISHED = [
    bytes.fromhex(step["hex"])
    for transcript in FILE["transcripts"]
    for step in transcript["steps"]
    if step["dir"] == "device->host"
]


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def line(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex(vector["hex"]).removesuffix(FRAMING.end)


@pytest.mark.parametrize("vector", LINES, ids=by_id)
def test_checksums_of_the_vectors(vector: dict[str, Any]) -> None:
    assert wrap(unwrap(line(vector))) == bytes.fromhex(vector["hex"])


@pytest.mark.parametrize("vector", RECORDS, ids=by_id)
def test_records_of_the_vectors(vector: dict[str, Any]) -> None:
    expected, meals = vector["expected"], {"none": "N", "before": "B", "after": "A"}

    told = decode_record(line(vector))

    assert told.value == expected["mg_dl"]
    assert told.control == expected.get("control", False)
    assert told.parity_fault == expected.get("parity_error", False)
    if "datetime" in expected:
        assert told.taken == datetime.fromisoformat(expected["datetime"])
    if "meal" in expected:
        assert told.meal == meals[expected["meal"]]
        assert told.comment == expected["comment"]
    assert encode_record(told) + b"" == bytes.fromhex(vector["hex"])


@pytest.mark.parametrize(
    "vector", [v for v in LINES if set(v["expected"]) >= {"count", "serial"}], ids=by_id
)
def test_headers_of_the_vectors(vector: dict[str, Any]) -> None:
    told = decode_header(line(vector))

    assert (told.count, told.serial) == (vector["expected"]["count"], vector["expected"]["serial"])
    assert encode_header(told) == bytes.fromhex(vector["hex"])


@pytest.mark.parametrize(
    "vector", [v for v in LINES if "serial" in v["expected"] and "count" not in v["expected"]], ids=by_id
)  # fmt: skip
def test_serial_numbers_of_the_vectors(vector: dict[str, Any]) -> None:
    assert decode_serial(line(vector)) == vector["expected"]["serial"]
    assert encode_serial(vector["expected"]["serial"]) == bytes.fromhex(vector["hex"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "error" in v["expected"]], ids=by_id)
def test_a_line_with_a_wrong_checksum_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="checksum"):
        unwrap(bytes.fromhex(vector["hex"]).rstrip(b"\r\n"))


@pytest.mark.parametrize(
    ("command", "vector"), [(b"DMP", "u2-cmd-dump"), (b"DMF", "u2-cmd-dmf"), (b"DMSU?", "u2-cmd-dmsu")]
)  # fmt: skip
def test_requests_of_the_vectors(command: bytes, vector: str) -> None:
    (published,) = [v for v in VECTORS if v["id"] == vector]

    assert request(command) == bytes.fromhex(published["hex"])


@pytest.mark.parametrize("octets", PUBLISHED)
def test_every_published_line_of_the_transcripts_has_its_checksum(octets: bytes) -> None:
    assert wrap(unwrap(octets.removesuffix(FRAMING.end))) == octets


def test_the_checksum_is_that_of_the_reference() -> None:
    assert checksum(b'T "SAT","08/03/13","22:12:00   "') == 0x0608


def test_an_older_ultra_leaves_meal_and_comment_out() -> None:
    told = decode_record(wrap('P "SAT","03/21/15","16:45:24   ","  081 ", 00')[:-2])

    assert told == Record("2015-03-21T16:45:24", 81, datetime(2015, 3, 21, 16, 45, 24), meal=None)
    assert reading(told, b"").context == {}


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (0, Limit.BELOW), (19, Limit.BELOW), (20, Quantity(Decimal(20), "mg/dL")),
        (94, Quantity(Decimal(94), "mg/dL")), (600, Quantity(Decimal(600), "mg/dL")),
        (601, Limit.ABOVE), (999, Limit.ABOVE),
    ],
)  # fmt: skip
def test_lo_and_hi_are_limits(value: int, part: Quantity | Limit) -> None:
    told = decode_record(
        encode_record(Record("2026-03-14T07:05:09", value, datetime(2026, 3, 14, 7, 5, 9)))[:-2]
    )

    assert reading(told, b"").parts == {"value": part}


def test_the_value_is_in_milligrams_whatever_the_display_shows() -> None:
    header = decode_header(encode_header(Header(1, "HAXGR4PV", "MMOL/L"))[:-2])

    assert header.unit == "MMOL/L"
    assert reading(Record("", 100), b"").parts == {"value": Quantity(Decimal(100), "mg/dL")}


def test_control_solution_and_a_memory_fault_are_marks() -> None:
    told = reading(Record("", 118, control=True, parity_fault=True), b"")

    assert told.marks == {"control", "memory_parity"}
    assert reading(Record("", 118), b"").marks == frozenset()


def test_meal_and_comment_are_context() -> None:
    assert reading(Record("", 105, meal="B", comment=2), b"").context == {
        "meal": "before",
        "comment": "too much food",
    }


@pytest.mark.parametrize("date", ["13/01/15", "02/30/15", "00/00/00"])
@pytest.mark.parametrize("time", ["24:00:00", "07:05:09"])
def test_an_impossible_clock_never_costs_the_measurement(date: str, time: str) -> None:
    told = decode_record(wrap(f'P "SAT","{date}","{time}   ","  081 ","N","00", 00')[:-2])

    seen = reading(told, b"x")
    assert seen.taken is None
    month, day, year = date.split("/")
    assert seen.raw_time == f"20{year}-{month}-{day}T{time}"
    assert seen.parts == {"value": Quantity(Decimal(81), "mg/dL")}
    assert decode_record(encode_record(told)[:-2]) == told


@pytest.mark.parametrize(
    "text",
    [
        'P "SAT","03/21/15","16:45:24   ","  08A ","N","03", 00',
        'P "SAT","03/21/15","16:45:24   ","  81 ","N","03", 00',
        'P "SAT","03/21/15","16:45:24   ","X 081 ","N","03", 00',
        'P "SAT","03/21/15","16:45:24   ","  081!","N","03", 00',
        'P "SAT","03/21/15","16:45:24   ","  081 ","X","03", 00',
        'P "SAT","03/21/15","16:45:24   ","  081 ","N","12", 00',
        'P "XXX","03/21/15","16:45:24   ","  081 ","N","03", 00',
        'P "SAT","03/21/15","16:45   ","  081 ","N","03", 00',
        'P "SAT","03/21/15","16:45:24   ","  081 ","N","03", 00 ',
        "",
        "P",
    ],
)
def test_a_right_checksum_on_nonsense_is_no_record(text: str) -> None:
    with pytest.raises(PeerError, match=r"no record|no text"):
        decode_record(wrap(text)[:-2])


def test_more_records_than_the_model_holds_are_refused() -> None:
    with pytest.raises(PeerError, match="claims 501 records; the model holds 500"):
        decode_header(wrap('P 501,"HAXGR4PV","MG/DL "')[:-2])


@pytest.mark.parametrize("serial", ["HAXGR4P", "HAXGR4PV12", "haxgr4pv", 'HA","R4PV'])
def test_a_serial_number_of_another_form_is_refused(serial: str) -> None:
    with pytest.raises(PeerError):
        decode_serial(wrap(f'@ "{serial}"')[:-2])


def test_a_clock_that_was_never_set_shows_nothing() -> None:
    assert decode_clock(wrap('F "MON","00/00/00","00:00:00   "')[:-2]) is None
    assert decode_clock(encode_clock(datetime(2017, 1, 3, 17, 59, 55))[:-2]) == datetime(
        2017, 1, 3, 17, 59, 55
    )
    assert encode_clock(datetime(2017, 1, 3, 17, 59, 55)).startswith(
        b'F "TUE","01/03/17","17:59:55   " '
    )


MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)
TOLD = st.builds(
    lambda taken, value, control, parity, meal, comment: Record(
        taken.isoformat(), value, taken, control, parity, meal, comment if meal else 0
    ),
    MOMENTS, st.integers(0, 999), st.booleans(), st.booleans(),
    st.sampled_from([*MEALS, None]), st.integers(0, len(COMMENTS) - 1),
)  # fmt: skip


@given(TOLD)
def test_a_record_comes_back_both_ways(told: Record) -> None:
    assert decode_record(encode_record(told)[:-2]) == told


@given(st.integers(0, RECORDS_MAX), st.from_regex(r"[0-9A-Z]{8,9}", fullmatch=True))
def test_a_header_comes_back_both_ways(count: int, serial: str) -> None:
    assert decode_header(encode_header(Header(count, serial))[:-2]) == Header(count, serial)


@given(TOLD)
def test_a_single_flipped_bit_gives_no_record(told: Record) -> None:
    whole = encode_record(told)[:-2]
    for at in range(len(whole)):
        for bit in range(8):
            bent = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
            with pytest.raises(PeerError):
                decode_record(bent)


@given(TOLD)
def test_every_prefix_of_a_record_is_refused(told: Record) -> None:
    whole = encode_record(told)[:-2]
    for end in range(len(whole)):
        with pytest.raises(PeerError):
            decode_record(whole[:end])


@given(st.binary(max_size=130))
def test_any_octets_raise_nothing_but_peer_error(data: bytes) -> None:
    for decode in (decode_record, decode_header, decode_serial, decode_clock):
        with pytest.raises(PeerError):
            decode(data)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_any_text_with_a_right_checksum_is_a_record_or_a_peer_error(text: str) -> None:
    try:
        told = decode_record(wrap(text)[:-2])
    except PeerError:
        return
    assert told.value in range(1000)


def test_a_refusal_does_not_repeat_the_measurement() -> None:
    with pytest.raises(PeerError) as caught:
        decode_record(encode_record(Record("", 477, datetime(2026, 3, 14)))[:-3] + b"X")

    assert "477" not in str(caught.value)


@pytest.mark.parametrize("part", [Limit.BELOW, Limit.ABOVE, Quantity(Decimal(126), "mg/dL")])
def test_what_the_simulated_meter_stores_is_what_is_read(part: Quantity | Limit) -> None:
    marks = frozenset({"control", "memory_parity"})
    taken = datetime(2026, 3, 14, 7, 5, 9)

    seen = reading(decode_record(encode_record(record(part, taken, marks=marks))[:-2]), b"")

    assert seen.parts == {"value": part}
    assert seen.taken == taken
    assert seen.marks == marks


@pytest.mark.parametrize(
    "part",
    [Quantity(Decimal("5.5"), "mmol/L"), Quantity(Decimal("99.5"), "mg/dL"), Quantity(Decimal(19), "mg/dL")],
)  # fmt: skip
def test_the_simulated_meter_refuses_what_it_cannot_hold(part: Quantity) -> None:
    with pytest.raises(ValueError, match="whole mg/dL"):
        record(part, datetime(2026, 3, 14))


@pytest.mark.parametrize("told", [Record("", 1000), Record("", -1), Record("", 1, comment=12)])
def test_a_record_that_has_no_room_for_its_value_is_refused(told: Record) -> None:
    with pytest.raises(ValueError, match="fit"):
        encode_record(told)
