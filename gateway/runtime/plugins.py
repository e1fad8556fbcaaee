"""Drivers, profiles, radios and commands from entry points. Two with one id: refuse, and name both distributions."""

import re
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from gateway.runtime.errors import ConfigError, said

DISTRIBUTION = "vitalgate"  # this one
DRIVERS = "gateway.drivers"
PROFILES = "gateway.profiles"
RADIOS = "gateway.radios"
COMMANDS = "gateway.commands"


def found(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name. Raises ConfigError where two distributions claim one name."""
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = by_name.get(point.name)
        if other is not None and _claim(other) != _claim(point):
            raise ConfigError(
                where=f"installed plugins ({group})",
                key=point.name,
                why=f"claimed by {distribution(other)} ({other.value}) and {distribution(point)} ({point.value})",
                instead="only one of them: uninstall the other",
            )
        by_name[point.name] = point
    return by_name


def load(point: EntryPoint) -> object:
    """What it names. Raises ConfigError: a plugin may raise anything when it is imported, or exit, and ends no command of ours by it."""
    try:
        return point.load()
    except (Exception, SystemExit) as fault:
        deepest = traceback.extract_tb(fault.__traceback__)[-1]
        raise ConfigError(
            where=f"{distribution(point)} ({point.value})",
            key=point.name,
            why=f"does not load: {type(fault).__name__}: {said(fault)}; {Path(deepest.filename).name}, line {deepest.lineno}",
            instead="what can be imported",
        ) from fault


def distribution(point: EntryPoint) -> str:
    """Which distribution brought it, by its name in the package index's spelling (`Acme_Health` is `acme-health`)."""
    return spelled(point.dist.name) if point.dist else "an unnamed distribution"


def spelled(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _claim(point: EntryPoint) -> tuple[str, str]:
    return distribution(point), point.value
