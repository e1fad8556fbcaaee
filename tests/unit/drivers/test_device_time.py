"""A device time that is cut anywhere is none; a birth date before the calendar is none either."""

from datetime import date

import pytest

from drivers.gatt.device_time import decode_device_time
from drivers.gatt.user_data import decode_birth_date
from gateway.contract.session import PeerError

BASE = bytes.fromhex("25c5473104001200")
OPTIONAL = {
    "separate_user_timeline": 4,
    "rtc_drift_tracking": 2,
    "time_change_logging": 2,
    "base_time_second_fractions": 2,
}


@pytest.mark.parametrize("feature", OPTIONAL)
def test_a_field_that_the_features_announce_and_that_is_cut_condemns_the_time(feature: str) -> None:
    octets = OPTIONAL[feature]
    assert decode_device_time(BASE + bytes(octets), frozenset({feature})).base.year == 2026
    for length in range(octets):
        with pytest.raises(PeerError, match="truncated"):
            decode_device_time(BASE + bytes(length), frozenset({feature}))


@pytest.mark.parametrize(
    ("data", "born"), [("010001 01", None), ("2d060101", None), ("2e060101", date(1582, 1, 1))]
)
def test_nobody_was_born_before_the_calendar(data: str, born: date | None) -> None:
    assert decode_birth_date(bytes.fromhex(data)) == born
