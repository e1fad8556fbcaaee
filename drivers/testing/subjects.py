"""Finds subjects among the installed packages, and reads what lies beside them. The kit's only reader of files."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from device_profiles.identify import Match, identify
from device_profiles.loader import Entry, installed
from device_profiles.shelves import OURS, Shelf, offers, shelf
from device_profiles.sighted import recorded
from drivers.testing.case import Case, Sight
from drivers.testing.judge import CHECKS
from drivers.testing.quality import parse_quality
from drivers.testing.subject import Subject
from gateway.contract.capture import Capture, CaptureError, parse
from gateway.contract.session import CONTRACT
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found, load

SUBJECTS = "gateway.subjects"
QUALITY = "quality.toml"
CAPTURES_MAX = 200
FILE_BYTES_MAX = 10_000_000


def offered() -> Sequence[str]:
    """Drivers that have a subject, by name. Raises ConfigError where two packages claim one name."""
    return sorted(found(SUBJECTS))


def cases(driver: str, seed: int) -> list[Case]:
    """The driver with each of its profiles. Raises ConfigError where it has no subject, or its files can't be read."""
    points = found(SUBJECTS)
    if driver not in points and driver in found(DRIVERS):
        cure = f"it under the entry point group {SUBJECTS}, and install the package again"
        raise ConfigError("installed plugins", driver, "offers no subject to the kit", cure)
    if driver not in points:
        known = f"one of {', '.join(sorted(points)) or 'none'}"
        raise ConfigError("installed plugins", driver, "is no driver", known)
    module = points[driver].module
    subject = cast("Subject", load(points[driver]))
    if subject.driver.contract != CONTRACT:
        why = f"driver {driver} is written for contract {subject.driver.contract!r}; this is {CONTRACT}"
        raise ConfigError(
            module, driver, why, "a version of it that fits (docs/contract-versions.md)"
        )
    return [replace(case, installed=driver) for case in cases_of(subject, _home(module), seed)]


def quality_file(driver: str) -> Path:
    """Where it stands with which profiles a driver that offers a subject is tried."""
    return _home(found(SUBJECTS)[driver].module) / QUALITY


def cases_of(subject: Subject, home: Path, seed: int) -> list[Case]:
    """A subject with the files in its folder. Raises ConfigError."""
    file = home / QUALITY
    quality = parse_quality(_text(file), str(file), list(CHECKS))
    known = installed()
    catalogue = known.entries
    sightings = _sightings(catalogue)
    captures = _captures(home)
    for missing in (name for name in quality.profiles if name not in catalogue):
        faults = [fault.why for fault in known.faults if fault.profile == missing]
        why = f"can't be read: {faults[0]}" if faults else "is no profile"
        raise ConfigError(
            str(file), "profiles", f"{missing!r} {why}", "ids as in `vitalgate profile list`"
        )
    return [
        Case(
            subject,
            catalogue[name].profile,
            quality,
            _of(name, captures),
            seed,
            sightings=sightings,
        )
        for name in quality.profiles
    ]


def _sightings(catalogue: Mapping[str, Entry]) -> Sequence[Sight]:
    """All that are recorded, ours and other distributions', and who wins them."""
    folders = [OURS.sightings, *(one.sightings for one in _shelves())]
    sights: list[Sight] = []
    for one in (sighted for folder in folders for sighted in recorded(folder)):
        found = identify(one.sighting, catalogue)
        sights.append(
            Sight(one.name, one.wins, found.profile if isinstance(found, Match) else None)
        )
    return sights


def _shelves() -> Iterator[Shelf]:
    """Those that can be read: `vitalgate profile list` says why another can't, and a driver is not held up by another's."""
    for point in offers().values():
        with suppress(ConfigError):
            yield shelf(point)


def _home(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"{module} was imported before"
    assert spec.origin is not None, f"{module} has a file"
    return Path(spec.origin).parent


def _captures(home: Path) -> Mapping[str, Capture]:
    paths = sorted((home / "captures").glob("*.jsonl"))
    if len(paths) > CAPTURES_MAX:
        raise ConfigError(
            str(home / "captures"), "*.jsonl", f"{len(paths)} captures", f"at most {CAPTURES_MAX}"
        )
    return {path.name: _capture(path) for path in paths}


def _capture(path: Path) -> Capture:
    try:
        return parse(_text(path).splitlines())
    except CaptureError as error:
        raise ConfigError(str(path), "(file)", str(error), "a capture that can be read") from error


def _of(profile: str, captures: Mapping[str, Capture]) -> Mapping[str, Capture]:
    return {name: one for name, one in captures.items() if one.header.get("profile") == profile}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            told = file.read(FILE_BYTES_MAX + 1)
        if len(told) > FILE_BYTES_MAX:
            raise ConfigError(str(path), "(file)", f"over {FILE_BYTES_MAX} bytes", "a smaller one")
        return told.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "(file)", f"can't be read: {error}", "a text file") from error
