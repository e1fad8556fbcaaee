"""0x2A35 both ways, against published and derived octets."""

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gatt.blood_pressure.codec import (
    Measurement,
    decode_measurement,
    encode_measurement,
    reading,
)
from drivers.gatt.blood_pressure.sim import STATUS_BITS, CuffClock, CuffMemory, frame
from drivers.gatt.clocks import (
    decode_current_time,
    encode_current_time,
    encode_stored_time,
    stored,
)
from gateway.contract.fields import Special, StoredTime
from gateway.contract.session import PeerError
from gateway.model.quantity import Limit, Quantity

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gatt.json").read_text()
)["vectors"]
MEASUREMENTS = [vector for vector in VECTORS if vector["characteristic_uuid"] == "2A35"]
WHOLE = [vector for vector in MEASUREMENTS if "error" not in vector["expected"]]
CUT = [vector for vector in MEASUREMENTS if "error" in vector["expected"]]
CURRENT_TIMES = [vector for vector in VECTORS if vector["characteristic_uuid"] == "2A2B"]
FULL = "1e83005400630" + "0ea07030e0705094700010000"


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def number(told: Any) -> Decimal | Special:  # noqa: ANN401 a JSON value
    return Special(told) if isinstance(told, str) else Decimal(str(told))


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_measurements_of_the_vectors(vector: dict[str, Any]) -> None:
    # A frame of a device that breaks the standard: this decoder reads what the standard says.
    expected = vector.get("spec_expected", vector["expected"])

    told = decode_measurement(bytes.fromhex(vector["hex"]))

    assert told.unit == expected["unit"]
    assert told.systolic == number(expected["systolic"])
    assert told.diastolic == number(expected["diastolic"])
    assert told.mean == number(expected["map"])
    assert (told.time.text if told.time else None) == expected.get("timestamp")
    if told.time:
        assert (told.time.naive is None) == ("timestamp_status" in expected)
    pulse = expected.get("pulse_rate_bpm")
    assert told.pulse == (None if pulse is None else number(pulse))
    assert told.user == expected.get("user_id")
    assert told.status == expected.get("measurement_status", {}).get("raw")


@pytest.mark.parametrize("vector", CUT, ids=by_id)
def test_a_cut_field_condemns_its_frame(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError, match="truncated"):
        reading(bytes.fromhex(vector["hex"]))


def test_there_are_vectors_of_both_sorts() -> None:
    assert len(WHOLE) > 30
    assert len(CUT) > 5


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_status_bits_are_marks(vector: dict[str, Any]) -> None:
    expected = vector.get("spec_expected", vector["expected"])
    status = expected.get("measurement_status", {})
    names = {
        "body_movement": "body_movement", "cuff_loose": "cuff_too_loose",
        "irregular_pulse": "irregular_pulse", "improper_position": "improper_position",
    }  # fmt: skip
    ranges = {"above_upper_limit": "pulse_above_range", "below_lower_limit": "pulse_below_range"}

    told = reading(bytes.fromhex(vector["hex"]))

    due = {mark for mark, name in names.items() if status.get(name)}
    due |= (
        {ranges[status["pulse_rate_range"]]} if status.get("pulse_rate_range") in ranges else set()
    )
    due |= {"unknown_user"} if expected.get("user_id") == 0xFF else set()
    assert {mark for mark in told.marks if not mark.startswith("not_available:")} == due


def test_a_full_indication_as_a_reading() -> None:
    raw = bytes.fromhex(FULL)

    told = reading(raw)

    assert told.kind == "blood_pressure"
    assert told.parts == {
        "systolic": Quantity(Decimal(131), "mmHg"),
        "diastolic": Quantity(Decimal(84), "mmHg"),
        "mean_arterial_pressure": Quantity(Decimal(99), "mmHg"),
        "pulse_rate": Quantity(Decimal(71), "/min"),
    }
    assert told.taken == datetime(2026, 3, 14, 7, 5, 9)
    assert told.raw_time is None
    assert told.slot == "1"
    assert told.marks == frozenset()
    assert told.raw == raw
    assert told.pushed


def of(**fields: Any) -> Measurement:  # noqa: ANN401 fields of several types
    return Measurement(
        **{
            "unit": "mmHg", "systolic": Decimal(120), "diastolic": Decimal(80),
            "mean": Decimal(93), **fields,
        }
    )  # fmt: skip


@pytest.mark.parametrize("special", [Special.NAN, Special.NRES, Special.RESERVED])
@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("systolic", "systolic"),
        ("diastolic", "diastolic"),
        ("mean", "mean_arterial_pressure"),
        ("pulse", "pulse_rate"),
    ],
)
def test_what_a_cuff_could_not_measure_is_absent_and_marked(
    field: str, part: str, special: Special
) -> None:
    told = reading(encode_measurement(of(**{field: special})))

    assert part not in told.parts
    assert told.marks == {f"not_available:{part}"}


def test_a_mean_of_zero_was_not_measured() -> None:
    told = reading(encode_measurement(of(mean=Decimal(0))))

    assert "mean_arterial_pressure" not in told.parts
    assert told.marks == {"not_available:mean_arterial_pressure"}


def test_beyond_the_scale_is_a_limit_and_never_a_number() -> None:
    told = reading(encode_measurement(of(systolic=Special.ABOVE, diastolic=Special.BELOW)))

    assert told.parts["systolic"] is Limit.ABOVE
    assert told.parts["diastolic"] is Limit.BELOW
    assert told.marks == frozenset()


def test_kilopascals_keep_unit_and_digits() -> None:
    told = reading(encode_measurement(of(unit="kPa", systolic=Decimal("16.0"))))

    assert told.parts["systolic"] == Quantity(Decimal("16.0"), "kPa")
    assert str(told.parts["systolic"].number) == "16.0"  # type: ignore[union-attr]


@pytest.mark.parametrize(("user", "slot"), [(None, None), (0xFF, None), (0, "0"), (2, "2")])
def test_an_unknown_user_is_no_slot(user: int | None, slot: str | None) -> None:
    told = reading(encode_measurement(of(user=user)))

    assert told.slot == slot
    assert ("unknown_user" in told.marks) == (user == 0xFF)


@pytest.mark.parametrize(
    "text", ["0000-00-00T00:00:00", "2026-13-05T10:00:00", "2026-02-30T10:00:00", "1581-12-31T00:00:00"]
)  # fmt: skip
def test_an_impossible_clock_never_costs_the_measurement(text: str) -> None:
    told = reading(encode_measurement(of(time=StoredTime(None, text))))

    assert told.taken is None
    assert told.raw_time == text
    assert told.parts["systolic"] == Quantity(Decimal(120), "mmHg")


@pytest.mark.parametrize("vector", CURRENT_TIMES, ids=by_id)
def test_current_times_of_the_vectors(vector: dict[str, Any]) -> None:
    octets, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    if "error" in expected:
        with pytest.raises(PeerError):
            decode_current_time(octets)
        return

    shown = decode_current_time(octets)

    assert shown is not None
    assert shown.replace(microsecond=0) == datetime.fromisoformat(expected["date_time"])
    assert shown.microsecond == round(expected["fractions256"] / 256 * 1e6)


def test_the_clock_is_written_as_the_standard_says() -> None:
    assert encode_current_time(datetime(2026, 3, 14, 7, 5, 9)).hex() == "ea07030e070509060001"


NUMBERS = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent),
    st.integers(-2045, 2045),
    st.integers(-8, 7),
) | st.sampled_from(Special)
TIMES = st.builds(
    stored, st.none() | st.datetimes(datetime(1582, 1, 1)).map(lambda t: t.replace(microsecond=0))
) | st.just(StoredTime(None, "65535-255-99T77:61:200"))
MEASURED = st.builds(
    Measurement,
    unit=st.sampled_from(["mmHg", "kPa"]),
    systolic=NUMBERS,
    diastolic=NUMBERS,
    mean=NUMBERS,
    time=st.none() | TIMES,
    pulse=st.none() | NUMBERS,
    user=st.none() | st.integers(0, 255),
    status=st.none() | st.integers(0, 0xFFFF),
)


@given(MEASURED)
def test_a_measurement_comes_back_both_ways(told: Measurement) -> None:
    assert decode_measurement(encode_measurement(told)) == told


@given(MEASURED)
def test_every_prefix_of_a_frame_is_refused(told: Measurement) -> None:
    whole = encode_measurement(told)

    for end in range(len(whole)):
        with pytest.raises(PeerError):
            reading(whole[:end])


@given(MEASURED, st.binary(max_size=8), st.integers(0, 7))
def test_reserved_flags_and_octets_behind_the_last_field_are_ignored(
    told: Measurement, tail: bytes, reserved: int
) -> None:
    whole = encode_measurement(told)

    assert decode_measurement(bytes([whole[0] | reserved << 5]) + whole[1:] + tail) == told


@given(st.binary(max_size=40))
def test_any_octets_give_a_reading_or_a_peer_error(data: bytes) -> None:
    try:
        told = reading(data)
    except PeerError:
        return
    assert told.raw == data
    assert (told.taken is None) or (told.raw_time is None)


def test_a_stored_time_that_is_no_text_of_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="no date"):
        encode_stored_time(StoredTime(None, "yesterday"))


@pytest.mark.parametrize("mark", STATUS_BITS)
def test_what_the_simulated_cuff_stores_is_what_is_read(mark: str) -> None:
    parts = {
        "systolic": Quantity(Decimal("16.0"), "kPa"),
        "diastolic": Limit.BELOW,
        "pulse_rate": Quantity(Decimal(71), "/min"),
    }
    taken = datetime(2026, 3, 14, 7, 5, 9)

    told = reading(frame(parts, stored(taken), slot=2, marks=frozenset({mark})))

    assert told.parts == parts
    assert told.taken == taken
    assert told.slot == "2"
    assert told.marks == {mark, "not_available:mean_arterial_pressure"}


@pytest.mark.parametrize(
    "parts",
    [
        {"systolic": Quantity(Decimal(1), "psi")},
        {"systolic": Quantity(Decimal(1), "kPa"), "diastolic": Quantity(Decimal(1), "mmHg")},
        {"systolic": Quantity(Decimal("120.55"), "mmHg")},
    ],
)
def test_the_simulated_cuff_refuses_what_the_frame_cannot_hold(parts: dict[str, Quantity]) -> None:
    with pytest.raises(ValueError, match=r"psi|one at a time|SFLOAT"):
        frame(parts)


def test_the_simulated_memory_forgets_what_was_confirmed_and_only_that() -> None:
    memory = CuffMemory(2)
    assert memory.oldest is None
    assert [memory.store(name, name.encode()) for name in "abc"] == [None, None, "a"]

    memory.confirmed("a")
    assert memory.oldest == ("b", b"b")
    memory.confirmed("b")
    assert memory.oldest == ("c", b"c")
    assert len(memory) == 1


@pytest.mark.parametrize("form", ["date_time", "current_time"])
def test_a_simulated_clock_runs_ahead_until_it_is_set(form: Any) -> None:  # noqa: ANN401 a literal
    local = datetime(2026, 3, 14, 7, 5, 9)
    clock = CuffClock(stopped_at=datetime(2010, 1, 1))
    assert clock.shows(local) == datetime(2010, 1, 1)

    given_to_it = encode_current_time(local) if form == "current_time" else clock.read(form, local)
    if form == "date_time":
        given_to_it = encode_stored_time(stored(local))
    assert clock.write(form, given_to_it, local) == local
    assert clock.shows(datetime(2026, 3, 14, 8)) == datetime(2026, 3, 14, 8)
    assert clock.write(form, b"\1", local) is None
    assert clock.write(form, b"\0" * 10, local) is None
