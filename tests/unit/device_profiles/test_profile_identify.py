"""Which profile a sighting speaks for."""

from dataclasses import replace

import pytest

from device_profiles.identify import Clue, Match, Sighting, Tie, identify
from device_profiles.loader import load_catalogue
from device_profiles.schema import Identify
from device_profiles.sighted import Sighted, recorded

CATALOGUE = load_catalogue()
RECORDED = recorded()
CUFF = "00001810-0000-1000-8000-00805f9b34fb"
NAMED = Sighting("ble", frozenset({CUFF}), "A&D_UA-651BLE_0A1B2C")


@pytest.mark.parametrize("sighted", RECORDED, ids=lambda sighted: sighted.name)
def test_recorded_sightings_are_won_as_they_say(sighted: Sighted) -> None:
    match identify(sighted.sighting, CATALOGUE):
        case Match(profile):
            assert profile == sighted.wins
        case None:
            assert sighted.wins is None
        case Tie(profiles):
            pytest.fail(f"{profiles} tie")


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_profile_wins_a_sighting_and_there_are_near_misses(name: str) -> None:
    assert name in {sighted.wins for sighted in RECORDED}
    assert None in {sighted.wins for sighted in RECORDED}


def test_a_name_says_more_than_a_service_and_a_model_more_than_both() -> None:
    assert identify(NAMED, CATALOGUE) == Match("aandd/ua-651ble", 3, (Clue.SERVICE, Clue.NAME))
    assert Clue.MODEL > Clue.COMPANY > Clue.NAME > Clue.SERVICE
    assert all(clue > sum(lesser for lesser in Clue if lesser < clue) for clue in Clue)


@pytest.mark.parametrize(
    "contradiction", [{"model": "UA-767PBT"}, {"name": "UB-1100BLE_88C32F"}, {"services": frozenset({"x"})}]
)  # fmt: skip
def test_one_clue_that_contradicts_costs_the_match(contradiction: dict[str, str]) -> None:
    found = identify(replace(NAMED, **contradiction), CATALOGUE)

    assert not (isinstance(found, Match) and found.profile == "aandd/ua-651ble")


def test_a_service_alone_speaks_for_no_single_model() -> None:
    found = identify(Sighting("ble", frozenset({CUFF})), CATALOGUE)

    assert isinstance(found, Match)
    assert found.profile == "generic/blood-pressure"


@pytest.mark.parametrize(
    ("seen", "profile"),
    [
        (Sighting("ble", frozenset({CUFF}), "a&d_ua-651ble_0a1b2c"), "aandd/ua-651ble"),
        (Sighting("ble", frozenset({CUFF}), "BLESMART_0000011F001122334455"), "omron/bp7000"),
        # Its frames are its own: as the standard reads them, the pulse is another number.
        (Sighting("ble", frozenset({CUFF}), "elite900"), "beurer/bm85"),
        (Sighting("ble", frozenset({CUFF}), model="bm 85 "), "beurer/bm85"),
    ],
)
def test_a_name_or_model_in_other_letters_is_the_same(seen: Sighting, profile: str) -> None:
    found = identify(seen, CATALOGUE)

    assert isinstance(found, Match)
    assert found.profile == profile


def test_a_cable_alone_speaks_for_no_meter() -> None:
    assert identify(Sighting("serial", usb="067b:2303"), CATALOGUE) is None


def test_two_profiles_that_are_spoken_for_equally_are_a_question_for_a_person() -> None:
    twin = replace(
        CATALOGUE["aandd/ua-651ble"],
        profile=replace(CATALOGUE["aandd/ua-651ble"].profile, id="acme/twin"),
    )

    found = identify(NAMED, {**CATALOGUE, "acme/twin": twin})

    assert found == Tie(("aandd/ua-651ble", "acme/twin"), 3)


def test_the_order_of_profiles_does_not_matter() -> None:
    backwards = dict(reversed(list(CATALOGUE.items())))

    assert identify(NAMED, backwards) == identify(NAMED, CATALOGUE)


def test_a_makers_number_is_a_clue() -> None:
    entry = CATALOGUE["generic/blood-pressure"]
    omron = replace(entry, identify=Identify(companies=(526,)))

    found = identify(Sighting("ble", companies=frozenset({526, 7})), {"acme/omron": omron})

    assert found == Match("acme/omron", 4, (Clue.COMPANY,))
    assert identify(Sighting("ble", companies=frozenset({7})), {"acme/omron": omron}) is None


def test_a_device_on_another_link_is_another_device() -> None:
    assert identify(replace(NAMED, link="serial"), CATALOGUE) is None


def test_a_service_that_only_another_device_shows_rules_a_profile_out() -> None:
    plain, beacon = "0000181d-0000-1000-8000-00805f9b34fb", "0000fe95-0000-1000-8000-00805f9b34fb"

    scale = identify(Sighting("ble", frozenset({plain})), CATALOGUE)

    assert scale == Match("generic/weight-scale", 1, (Clue.SERVICE,))
    assert identify(Sighting("ble", frozenset({plain, beacon})), CATALOGUE) is None


@pytest.mark.parametrize("padding", ["\0", "\0\0\0", " ", " \0"])
@pytest.mark.parametrize("sighted", RECORDED, ids=lambda sighted: sighted.name)
def test_a_padded_name_or_model_is_the_same(sighted: Sighted, padding: str) -> None:
    # Read as the standard says, a BM48's octets would be another pressure.
    seen = sighted.sighting
    name, model = (f"{text}{padding}" if text else "" for text in (seen.name, seen.model))

    padded = identify(replace(seen, name=name, model=model), CATALOGUE)

    assert padded == identify(seen, CATALOGUE)
    assert identify(replace(seen, name=padding), CATALOGUE) == identify(
        replace(seen, name=""), CATALOGUE
    )
