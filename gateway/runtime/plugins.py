"""Drivers, profiles, radios and commands from entry points. Two with one id: refuse, and name both distributions."""

import re
from importlib.metadata import EntryPoint, entry_points

from gateway.runtime.errors import ConfigError

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


def distribution(point: EntryPoint) -> str:
    """Which distribution brought it, by its name in the package index's spelling (`Acme_Health` is `acme-health`)."""
    return spelled(point.dist.name) if point.dist else "an unnamed distribution"


def spelled(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _claim(point: EntryPoint) -> tuple[str, str]:
    return distribution(point), point.value
