"""Documents that are made from the code say what the code says."""

import json
import re
from pathlib import Path

from device_profiles.catalogue import catalogue
from device_profiles.loader import load_profiles
from gateway import sdk
from gateway.wire.schema import wire_schema

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_schema_is_that_of_the_types() -> None:
    published = json.loads((ROOT / "docs" / "wire" / "schema.json").read_text())

    assert published == json.loads(json.dumps(wire_schema()))


def test_the_catalogue_is_that_of_the_profiles() -> None:
    published = (ROOT / "docs" / "catalogue.md").read_text()

    assert published == catalogue(load_profiles().values())


def test_every_public_name_of_the_sdk_is_explained() -> None:
    page = (ROOT / "docs" / "sdk.md").read_text()
    told = set(re.findall(r"`([A-Za-z_]+)`", page))

    assert set(sdk.__all__) - told == set()


def test_every_adr_has_the_five_headings() -> None:
    for path in sorted((ROOT / "docs" / "adr").glob("[0-9]*.md")):
        text = path.read_text()
        missing = [
            heading
            for heading in ("Status", "Context", "Decision", "Consequences", "Not chosen")
            if f"## {heading}" not in text
        ]

        assert missing == [], path.name


def test_every_hazard_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "safety" / "hazards.md").read_text()
    named = set(re.findall(r"`(tests/[a-z_/0-9]+\.py)", page))

    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
