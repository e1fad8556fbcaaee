"""How far the claim of each profile of ours goes. Reads which profiles the quality files name; runs no check, imports no driver."""

import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from gateway.runtime.plugins import DISTRIBUTION, distribution, found

SUBJECTS = "gateway.subjects"
DECLARED, CONFORMANT = "declared", "conformant"


def tried() -> Mapping[str, str]:
    """Profile -> driver, for each profile with which one of our own drivers is held to the conformance kit.

    Our tests hold every check over all of these, so that they are conformant as they are published. What another distribution earns,
    `vitalgate driver check` shows where it is installed.
    """
    named: dict[str, str] = {}
    for driver, point in found(SUBJECTS).items():
        if distribution(point) != DISTRIBUTION:
            continue
        spec = find_spec(point.module)
        assert spec is not None, f"{point.module} is ours"
        assert spec.origin is not None, f"{point.module} has a file"
        told = tomllib.loads(
            (Path(spec.origin).parent / "quality.toml").read_text(encoding="utf-8")
        )
        named |= dict.fromkeys(map(str, told["profiles"]), driver)
    return named


def tier(profile: str, driver: str, named: Mapping[str, str]) -> str:
    """What may be said of it. None is proven: that takes captures recorded from real units."""
    return CONFORMANT if named.get(profile) == driver else DECLARED
