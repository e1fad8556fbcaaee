"""A family's profile beside its models': among equals the longer name says more (ADR 23)."""

from dataclasses import replace

import pytest

from device_profiles.identify import Match, Sighting, Tie, identify
from device_profiles.loader import load_catalogue

CATALOGUE = load_catalogue()
CUFF = frozenset({"00001810-0000-1000-8000-00805f9b34fb"})
OMRON = frozenset({0x020E})


def seen(name: str, **more: object) -> Sighting:
    return replace(Sighting("ble", services=CUFF, name=name, companies=OMRON), **more)  # type: ignore[arg-type]


def profile_of(sighting: Sighting) -> str | None:
    found = identify(sighting, CATALOGUE)
    assert not isinstance(found, Tie)
    return found.profile if found else None


@pytest.mark.parametrize("more", [{}, {"companies": frozenset()}, {"services": frozenset()}])
def test_a_model_goes_before_its_family_whatever_else_is_seen(more: dict[str, object]) -> None:
    assert profile_of(seen("BLESmart_0000011FAABBCCDDEEFF", **more)) == "omron/bp7000"
    assert profile_of(seen("BLESmart_00000999AABBCCDDEEFF", **more)) == "omron/blp-cuff"


def test_the_score_stays_the_sum_of_the_clues() -> None:
    family = identify(seen("BLESmart_00000999AABBCCDDEEFF"), CATALOGUE)
    model = identify(seen("BLESmart_0000011FAABBCCDDEEFF"), CATALOGUE)

    assert isinstance(family, Match)
    assert isinstance(model, Match)
    assert family.score == model.score


def test_a_model_that_was_read_goes_before_any_name() -> None:
    assert profile_of(seen("BLESmart_0000011FAABBCCDDEEFF", model="BP5250")) == "omron/blp-cuff"


def with_names(*names: str) -> dict[str, tuple[str, ...]]:
    return {f"acme/{number}": (name,) for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("names", "wins"),
    [
        (with_names("Cuff*", "Cuff 7*"), "acme/1"),
        # Wildcards and sets spell out nothing: these say equally much.
        (with_names("Cuff*", "Cuff???"), None),
        (with_names("Cuff[ 0-9]*", "Cuff*"), None),
        (with_names("Cuff 7*", "*Cuff 70"), "acme/1"),
    ],
)
def test_only_letters_that_are_spelled_out_count(
    names: dict[str, tuple[str, ...]], wins: str | None
) -> None:
    plain = CATALOGUE["boso/medicus-system"]
    catalogue = {
        name: replace(
            plain,
            profile=replace(plain.profile, id=name),
            identify=plain.identify.model_copy(update={"names": told, "models": ()}),
        )
        for name, told in names.items()
    }

    found = identify(seen("Cuff 70", companies=frozenset()), catalogue)

    assert (found.profile if isinstance(found, Match) else None) == wins
    assert isinstance(found, Match | Tie)


def test_of_several_names_of_a_profile_the_one_that_fits_is_counted() -> None:
    # Each Beurer profile has short and long spellings; a long one that doesn't fit says nothing.
    assert profile_of(seen("BM85", companies=frozenset())) == "beurer/bm85"
    assert profile_of(seen("BM 59", companies=frozenset())) == "beurer/bm59"
