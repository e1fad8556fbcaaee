"""What is on the air, and what a person is told of it: the profile that fits, a tie that is theirs to decide, what to write."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from device_profiles.identify import Match, Tie
from device_profiles.loader import Entry, load_catalogue
from edge.links.ble_radio import Heard
from edge.nearby import DEVICES_MAX, Neighbourhood
from edge.nearby_cli import in_words
from gateway.contract.profile import Profile

ADDRESS = "C8:25:E1:00:00:01"
CUFF = "00001810-0000-1000-8000-00805f9b34fb"
SCALE = "0000181b-0000-1000-8000-00805f9b34fb"
ENTRIES = load_catalogue()


def heard(
    name: str = "",
    *services: str,
    address: str = ADDRESS,
    maker: int | None = None,
    lasting: bool = True,
) -> Heard:
    return Heard(
        address, lasting, handle=None, name=name, services=frozenset(services),
        maker_data={} if maker is None else {maker: b""},
    )  # fmt: skip


def around(*advertisements: Heard, entries: dict[str, Entry] | None = None) -> Neighbourhood:
    here = Neighbourhood(entries or ENTRIES)
    for one in advertisements:
        here.hear(one)
    return here


def told(
    here: Neighbourhood, *, everything: bool = False, enrolled: str | None = None
) -> Sequence[str]:
    names = {} if enrolled is None else {ADDRESS: enrolled}
    return list(in_words(here, names, everything=everything))


def twin() -> dict[str, Entry]:
    """Another maker's profile that claims the same clues: one that a plug-in brought after ours were linted."""
    ours = ENTRIES["aandd/ua-651ble"]
    profile: Profile = replace(ours.profile, id="acme/cuff")
    return {**ENTRIES, "acme/cuff": replace(ours, profile=profile)}


def test_what_a_device_says_in_several_advertisements_counts_together() -> None:
    here = around(heard("", CUFF), heard("BLESmart_0000011FAABBCCDDEEFF"), heard(maker=0x020E))
    (one,) = here.devices()
    assert isinstance(one.found, Match)
    assert one.found.profile == "omron/bp7000"
    assert told(here)[1:] == [
        "  fits omron/bp7000, by its service, name, company",
        "  to enrol it, in the settings:",
        "    [[device]]",
        '    profile = "omron/bp7000"',
        f'    address = "{ADDRESS}"',
    ]


def test_a_device_that_only_advertises_is_known_by_its_data() -> None:
    data = replace(heard("MIBFS"), service_data={SCALE: bytes(13)})
    (one,) = around(data).devices()
    assert isinstance(one.found, Match)
    assert one.found.profile == "xiaomi/mi-scale-v2"


def test_a_tie_is_left_to_the_person_and_nothing_is_proposed() -> None:
    here = around(heard("A&D_UA-651BLE_0A1B2C", CUFF), entries=twin())
    (one,) = here.devices()
    assert one.found == Tie(("aandd/ua-651ble", "acme/cuff"), 3)
    words = "\n".join(told(here))
    assert "2 profiles fit equally: aandd/ua-651ble and acme/cuff." in words
    assert "Choose the one whose maker and model stand on its label" in words
    assert 'profile = "the one that you chose"' in words


def test_what_is_enrolled_is_said_to_be_and_not_proposed_again() -> None:
    words = told(around(heard("A&D_UA-651BLE_0A1B2C", CUFF)), enrolled="generic/blood-pressure")
    assert words[1:] == [
        "  fits aandd/ua-651ble, by its service, name",
        "  enrolled as generic/blood-pressure",
    ]


def test_other_peoples_devices_are_counted_and_shown_only_when_asked_for() -> None:
    here = around(heard("somebody's phone", address="AA:AA:AA:AA:AA:AA"))
    assert told(here) == ["1 other devices fit no profile: --all shows them."]
    assert told(here, everything=True)[-1] == "  no profile fits"


def test_a_sighting_is_shown_as_the_line_to_record() -> None:
    line = told(around(heard("Cuff", CUFF, "fff0", maker=7)), everything=True)[1]
    assert json.loads(line.removeprefix("  sighting: ")) == {
        "id": "…", "link": "ble", "services": ["1810", "fff0"], "name": "Cuff", "companies": [7],
        "wins": "…", "kind": "recorded", "source": "…",
    }  # fmt: skip


def test_a_name_reaches_the_terminal_without_its_control_characters() -> None:
    words = "\n".join(told(around(heard("\x1b[2J\x07evil" + "x" * 500, CUFF)), everything=True))
    assert "\x1b" not in words
    assert max(map(len, words.splitlines())) < 400


def test_an_address_that_changes_is_said_to() -> None:
    assert "its address may change" in told(around(heard("x", CUFF, lasting=False)))[-1]


def test_silence_says_what_to_do() -> None:
    assert told(around()) == [
        "Nothing was heard. Most devices advertise only right after a measurement: measure, near the box."
    ]


@pytest.mark.parametrize("beyond", [0, 3])
def test_a_crowd_is_bounded_and_says_so(beyond: int) -> None:
    crowd = [heard("x", address=f"{n:012X}") for n in range(DEVICES_MAX + beyond)]
    here = around(*crowd, heard("y", CUFF, address=f"{0:012X}"))
    assert (len(here.devices()), here.unkept) == (DEVICES_MAX, beyond)
    assert any("were not kept" in line for line in told(here)) == bool(beyond)
    assert here.devices()[0].found is not None
