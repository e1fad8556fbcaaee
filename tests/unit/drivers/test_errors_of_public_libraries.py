"""What public libraries get wrong in cuffs, meters, clocks and numbers: each a test by its name (reference notes, section 15).

Whose error it is stands in the comment; the octets are theirs, or the smallest that show it. Those of other services stand
with their drivers.
"""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from drivers.gatt import racp
from drivers.gatt.blood_pressure.codec import decode_measurement, encode_measurement, reading
from drivers.gatt.blood_pressure.record import Joining
from drivers.gatt.clocks import decode_current_time, decode_date_time
from drivers.gatt.device_information import decode_battery_level, decode_system_id
from drivers.gatt.device_time import decode_device_time, decode_local_time
from drivers.gatt.glucose.codec import Measurement  # fmt: skip
from drivers.gatt.glucose.codec import decode_measurement as decode_record
from drivers.gatt.glucose.codec import reading as meters_reading
from drivers.gatt.glucose.context import decode_context, in_words
from gateway.contract.fields import Fields, Special
from gateway.contract.session import PeerError, Reading
from gateway.model.quantity import Limit, Quantity


def sfloat(octets: str) -> Decimal | Special:
    return Fields(bytes.fromhex(octets)).sfloat("value")


def float32(octets: str) -> Decimal | Special:
    return Fields(bytes.fromhex(octets)).float32("value")


def cuff(octets: str) -> Reading:
    return reading(bytes.fromhex(octets))


def record(octets: str) -> Reading:
    raw = bytes.fromhex(octets)
    return meters_reading(decode_record(raw), raw)


# bluetooth-sig 0.6.0 takes 8 off the exponent's nibble, and 128 off its octet; its own tests encode the same.
def test_an_exponent_is_twos_complement_and_not_biased() -> None:
    assert sfloat("6fb0") == Decimal("0.00111")
    assert sfloat("7800") == Decimal(120)
    assert float32("6e0100ff") == Decimal("36.6")
    assert float32("01020304") == Decimal(1_971_210_000)


# The same library's own frame for 120/80 has exponent nibbles of 8: it says millionths.
def test_a_frame_of_millionths_is_not_mended_into_a_plausible_pressure() -> None:
    told = decode_measurement(bytes.fromhex("00788050805a80"))

    assert (told.systolic, told.diastolic) == (Decimal("0.00000120"), Decimal("8.0E-7"))


def test_the_exponent_keeps_its_digits() -> None:
    # Binary floats make 36.6000001 of it.
    assert str(float32("6e0100ff")) == "36.6"
    assert str(sfloat("d0e2")) == "7.20"


# bluetooth-sig and others decode the reserved pattern as -2047 or -8388607.
def test_a_reserved_pattern_is_no_number() -> None:
    assert sfloat("0108") is Special.RESERVED
    assert float32("01008000") is Special.RESERVED
    told = cuff("000108500060" + "00")
    assert "systolic" not in told.parts
    assert "not_available:systolic" in told.marks


# Several libraries report "not at this resolution" as "not a number".
def test_nres_is_not_nan() -> None:
    assert sfloat("0008") is Special.NRES
    assert sfloat("ff07") is Special.NAN
    assert float32("00008000") is Special.NRES
    assert float32("ffff7f00") is Special.NAN


# A test of Nordic's toolbox calls 7FFFFFFF an infinity.
def test_an_infinity_has_exponent_zero() -> None:
    assert float32("ffffff7f") == Decimal("-1E127")
    assert float32("feff7f00") is Special.ABOVE
    assert float32("02008000") is Special.BELOW


# xDrip and others know three specials only: -INFINITY becomes -2046.
def test_minus_infinity_is_a_limit_and_no_number() -> None:
    told = record("020100ea07030e0705090208" + "11")

    assert told.parts == {"value": Limit.BELOW}


# bluetooth-sig labels kg/L as mg/dL without scaling: 0.00111 "mg/dL" where the display showed 111.
def test_a_concentration_is_scaled_to_what_the_meter_shows() -> None:
    assert record("020100ea07030e0705096fb011").parts == {"value": Quantity(Decimal(111), "mg/dL")}
    assert record("060100ea07030e0705093dc011").parts == {"value": Quantity(Decimal("6.1"), "mmol/L")}  # fmt: skip


# GlucoseRelay reads mol/L as mmol/L; the field's unit says otherwise, and the value is not made plausible.
def test_mol_per_litre_is_not_taken_for_millimol() -> None:
    assert record("160200e507061508300037f011").parts == {"value": Quantity(Decimal(5500), "mmol/L")}  # fmt: skip


# Current Health's tests expect 0.0308 of an exponent of +1.
def test_an_exponent_that_is_positive_stays_positive() -> None:
    assert record("020100d007010203040534111a").parts == {"value": Quantity(Decimal(308_000_000), "mg/dL")}  # fmt: skip


# GlucoseRelay has a value whose flag is clear: what stands behind the last flagged field is none.
def test_a_value_without_its_flag_is_none() -> None:
    told = record("000100ea07030e070509" + "6fb011")

    assert told.parts == {}
    assert "not_available:value" in told.marks


# nRF Connect's issue 59 and Tidepool swap them; the type is the low nibble.
def test_type_is_the_low_nibble_and_location_the_high_one() -> None:
    sample = decode_record(bytes.fromhex("020100ea07030e0705096fb0a1")).concentration
    assert sample is not None
    assert (sample.type, sample.location) == (1, 10)
    assert "control" not in record("020100ea07030e0705096fb0a1").marks
    assert "control" in record("020100ea07030e0705096fb01a").marks


# Many read the offset as unsigned, or drop it.
def test_a_time_offset_is_signed_and_its_two_ends_say_nothing() -> None:
    def offset(octets: str) -> tuple[timedelta | None, bool]:
        told = record(f"030100ea07030e070509{octets}6fb011")
        return told.offset, "offset_unknown" in told.marks

    assert offset("c4ff") == (timedelta(hours=-1), False)
    assert offset("0000") == (timedelta(), False)
    assert offset("ff7f") == (None, True)
    assert offset("0080") == (None, True)


# bluetooth-sig and others raise on a year, month or day of 0, which says "not known".
@pytest.mark.parametrize(
    "octets", ["00000000000000", "0000041114293b", "ea070000000000", "ea070300000000"]
)  # fmt: skip
def test_a_date_that_is_not_known_costs_no_value(octets: str) -> None:
    assert decode_date_time(bytes.fromhex(octets)) is None
    told = cuff(f"02780050005d00{octets}")
    assert told.parts["systolic"] == Quantity(Decimal(120), "mmHg")
    assert told.taken is None
    assert record(f"020100{octets}6fb011").parts == {"value": Quantity(Decimal(111), "mg/dL")}


# labmcp gives no time at all where the date is impossible: the text is evidence.
@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("ea070d010a0000", "2026-13-01T10:00:00"),
        ("ea07021e0a0000", "2026-02-30T10:00:00"),
        ("ea070301180000", "2026-03-01T24:00:00"),
    ],
)
def test_a_date_that_is_impossible_is_kept_as_text(octets: str, text: str) -> None:
    told = cuff(f"02780050005d00{octets}")

    assert (told.taken, told.raw_time) == (None, text)


# bluetooth-sig refuses NaN as a pressure, though it is how "no mean" is sent, and pressures over 300 mmHg or 40 kPa.
def test_no_pressure_is_refused_by_the_decoder() -> None:
    assert "not_available:mean_arterial_pressure" in cuff("0078005000ff07").marks
    assert cuff("00450150005d00").parts["systolic"] == Quantity(Decimal(325), "mmHg")  # fmt: skip
    assert cuff("012d0010001400").parts["systolic"] == Quantity(Decimal(45), "kPa")  # fmt: skip


# bluetooth-sig skips a field that is cut, and reads the octets left as the next one: users, pulses and statuses that nobody sent.
@pytest.mark.parametrize(
    "octets",
    [
        "1e780050005d00ea07030e0705",
        "04780050005d0046",
        "08780050005d00",
        "10780050005d0001",
        "007800",
        "",
    ],
)
def test_a_cut_frame_is_no_shorter_frame(octets: str) -> None:
    with pytest.raises(PeerError, match="truncated"):
        cuff(octets)


@pytest.mark.parametrize(
    "octets", ["1b0100ea07030e070509", "0a0100ea07030e0705096fb0", "020100ea0703"]
)
def test_a_cut_record_is_no_shorter_record(octets: str) -> None:
    with pytest.raises(PeerError, match="truncated"):
        record(octets)


# A&D's own sample reads the status where the user's octet stands.
def test_the_users_octet_is_skipped_before_the_status() -> None:
    told = cuff("18780050005d00010400")

    assert told.slot == "1"
    assert told.marks == {"irregular_pulse"}


# Nordic's toolbox rejects a frame for a reserved flag; it is to be ignored, as are octets behind the last field.
def test_reserved_flags_and_a_tail_are_no_fault() -> None:
    assert cuff("e0780050005d00beef").parts == cuff("00780050005d00").parts  # fmt: skip
    assert record("e20100ea07030e0705096fb011ff").parts == record("020100ea07030e0705096fb011").parts  # fmt: skip


# bluetooth-sig raises on enumerations that it doesn't know.
def test_a_reserved_code_is_kept_and_raises_nothing() -> None:
    told = record("020100ea07030e0705096fb0cc")
    assert told.parts == {"value": Quantity(Decimal(111), "mg/dL")}
    assert told.context["sample_type"] == "reserved_12"
    assert dict(in_words(decode_context(bytes.fromhex("0201007f"))))
    assert decode_current_time(bytes.fromhex("ea07030e070509ff00ff")) == datetime(2026, 3, 14, 7, 5, 9)  # fmt: skip
    assert racp.decode_answer(bytes.fromhex("060001fe")) == racp.Answer(1, 0xFE)
    assert decode_local_time(b"\x04\x07").dst is None


# bluetooth-sig takes the bit pair as two flags: a range of 11 is "above" and "below" at once.
def test_a_reserved_pulse_range_says_nothing() -> None:
    assert cuff("10780050005d001800").marks == frozenset()


# bluetooth-sig never checks an E2E-CRC, and takes that of a Device Time for its first field.
def test_a_crc_is_checked_where_the_feature_says_so() -> None:
    whole = bytes.fromhex("030800342b4e780050005d0025c547314600017e89")
    assert Joining(sealed=True).hear(whole) is not None
    with pytest.raises(PeerError, match="CRC"):
        Joining(sealed=True).hear(whole[:-1] + b"\x88")
    time = bytes.fromhex("fdf925c5473104001200")
    sealed = frozenset({"e2e_crc"})
    assert decode_device_time(time, sealed).base == datetime(2026, 3, 14, 7, 5, 9)
    with pytest.raises(PeerError, match="CRC"):
        decode_device_time(bytes((time[0] ^ 1,)) + time[1:], sealed)


# Zones are signed quarters of an hour; bluetooth-sig makes 59 h of UTC-5 in one place.
def test_a_zone_west_of_greenwich_is_negative() -> None:
    assert decode_local_time(b"\xec\x00").zone == timedelta(hours=-5)
    assert decode_local_time(b"\x80\xff").zone is None
    west = decode_device_time(bytes.fromhex("25c54731ec001200"), frozenset())
    assert west.shown == datetime(2026, 3, 14, 2, 5, 9)


# bluetooth-sig leaves a System ID's octets as they come, and finds another maker in them.
def test_a_system_id_is_read_from_its_end() -> None:
    told = decode_system_id(bytes.fromhex("debc9afeff563412"))

    assert told.maker == "123456"
    assert told.mac == "1234569abcde"


# 255 is sent for "not known"; clamped, it is a full battery.
def test_a_reserved_battery_level_is_none() -> None:
    with pytest.raises(PeerError):
        decode_battery_level(b"\xff")


# "No records" is an answer to a report; a count of none is a count.
def test_no_records_and_a_count_of_none_are_told_apart() -> None:
    assert racp.decode_answer(bytes.fromhex("05000000")) == racp.Counted(0)
    assert racp.decode_answer(bytes.fromhex("06000106")) == racp.Answer(1, racp.Outcome.NO_RECORDS)


# A mean of 0 is shown by many as a pressure.
def test_a_mean_of_zero_is_no_pressure() -> None:
    raw = encode_measurement(decode_measurement(bytes.fromhex("00780050000000")))

    assert "mean_arterial_pressure" not in reading(raw).parts


def test_all_status_bits_of_a_meter_together_raise_nothing() -> None:
    told = record("0a0100ea07030e0705096fb011ffff")

    assert isinstance(decode_record(told.raw), Measurement)
    # Both "too high" and "too low": the number that was sent stays.
    assert told.parts == {"value": Quantity(Decimal(111), "mg/dL")}
