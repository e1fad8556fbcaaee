"""Discovery filters let through what BlueZ's do."""

import pytest
from dbus_fast import Variant

from drivers.sim.world.bluez.filters import Sighted, full_uuid, lets_through, parse
from drivers.sim.world.bluez.words import BluezError

FULL = "00001810-0000-1000-8000-00805f9b34fb"
CUFF = Sighted("F0:00:00:00:00:01", "Cuff", frozenset({FULL}), rssi_dbm=-60)
MUTE = Sighted("F0:00:00:00:00:02", "Mute", frozenset(), rssi_dbm=-60)


@pytest.mark.parametrize("written", ["1810", "0x1810", "00001810", FULL, FULL.upper()])
def test_a_service_may_be_written_in_every_form_that_bluez_takes(written: str) -> None:
    assert full_uuid(written) == FULL


@pytest.mark.parametrize("written", ["", "181", "blood pressure", "18zz", FULL + "0", FULL[:-1]])
def test_what_is_no_uuid_is_refused(written: str) -> None:
    with pytest.raises(BluezError, match=r"org\.bluez\.Error\.InvalidArguments"):
        full_uuid(written)


def test_one_of_the_services_is_enough_and_a_device_that_tells_none_matches_none() -> None:
    wish = parse({"UUIDs": Variant("as", ["1808", "1810"])})

    assert lets_through([wish], CUFF)
    assert not lets_through([wish], MUTE)
    assert not lets_through([parse({"UUIDs": Variant("as", ["1808"])})], CUFF)


def test_a_client_without_a_filter_lets_everything_through_for_all() -> None:
    wish = parse({"UUIDs": Variant("as", ["1808"])})

    assert lets_through([wish, None], MUTE)
    assert not lets_through([], MUTE)


def test_an_empty_filter_is_none_and_one_without_services_takes_all() -> None:
    assert parse({}) is None
    assert lets_through([parse({"Transport": Variant("s", "le")})], MUTE)
    assert not lets_through([parse({"Transport": Variant("s", "bredr")})], MUTE)


def test_the_near_are_let_through() -> None:
    assert lets_through([parse({"RSSI": Variant("n", -60)})], CUFF)
    assert not lets_through([parse({"RSSI": Variant("n", -59)})], CUFF)
    # Without a told transmit power the loss on the path is not known.
    assert not lets_through([parse({"Pathloss": Variant("q", 137)})], CUFF)


@pytest.mark.parametrize(
    "asked",
    [
        {"Colour": Variant("s", "red")},
        {"UUIDs": Variant("s", "1810")},
        {"RSSI": Variant("n", -128)},
        {"RSSI": Variant("n", -60), "Pathloss": Variant("q", 20)},
        {"Pathloss": Variant("q", 138)},
        {"Transport": Variant("s", "pigeon")},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(asked: dict[str, Variant]) -> None:
    with pytest.raises(BluezError, match=r"org\.bluez\.Error\.InvalidArguments"):
        parse(asked)
