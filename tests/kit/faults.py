"""Faults that drivers typically have, each as an edit of ours that are sound, and the check that must name it. Reads tables; plants nothing.

`faults.toml` says what goes wrong, and which check is expected to say so; `plants/<driver>.toml` how each is planted in a driver, or why it
can't have it. To add a driver: a file there. A `file` that begins with "/" is not the driver's own: then several drivers share the edit.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from tests.kit.planting import Edit

HERE = Path(__file__).parent
MODELS = "device_profiles/models"
PROFILE = "profile"  # the word for the driver's own profile, where a file is named


class _Planted(TypedDict):
    file: str
    swaps: list[tuple[str, str]]
    profile: NotRequired[str]
    named_by: NotRequired[str]


class _Bed(TypedDict):
    driver: str
    profile: str
    home: str
    without: dict[str, str]
    plant: dict[str, _Planted]


@dataclass(frozen=True)
class Plant:
    """A fault in a driver. With `profile`, `check` must name it."""

    fault: str
    driver: str
    profile: str
    check: str
    edit: Edit

    def __str__(self) -> str:
        return f"{self.fault}-{self.driver}"


@dataclass(frozen=True)
class Bed:
    """A driver: the profile with which faults are tried, where they name no other; which it has, and why not the others."""

    driver: str
    profile: str
    plants: Sequence[Plant]
    without: Mapping[str, str]


def _beds(named_by: Mapping[str, str]) -> Iterator[Bed]:
    for file in sorted((HERE / "plants").glob("*.toml")):
        told: _Bed = tomllib.loads(file.read_text())  # type: ignore[assignment]  # its tests hold it
        plants = [_plant(told, fault, one, named_by) for fault, one in told["plant"].items()]
        yield Bed(told["driver"], told["profile"], plants, told["without"])


def _plant(bed: _Bed, fault: str, told: _Planted, named_by: Mapping[str, str]) -> Plant:
    profile = told.get("profile", bed["profile"])
    swaps = tuple((old, new) for old, new in told["swaps"])
    edit = Edit(_path(bed["home"], told["file"], profile), swaps)
    check = told.get("named_by", named_by.get(fault, ""))
    return Plant(fault, bed["driver"], profile, check, edit)


def _path(home: str, file: str, profile: str) -> str:
    if file == PROFILE:
        return f"{MODELS}/{profile}.toml"
    return file[1:] if file.startswith("/") else f"{home}/{file}"


NAMED_BY: Mapping[str, str] = {
    fault: told["named_by"]
    for fault, told in tomllib.loads((HERE / "faults.toml").read_text()).items()
}
BEDS: Sequence[Bed] = tuple(_beds(NAMED_BY))
PLANTS: Sequence[Plant] = tuple(plant for bed in BEDS for plant in bed.plants)
