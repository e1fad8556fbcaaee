"""Drivers, profiles, radios and commands from entry points. Two with one id: refuse, and name both distributions."""

from importlib.metadata import EntryPoint, entry_points

from gateway.runtime.errors import ConfigError

DRIVERS = "gateway.drivers"
RADIOS = "gateway.radios"
COMMANDS = "gateway.commands"


def found(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name. Raises ConfigError where two distributions claim one name."""
    by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = by_name.get(point.name)
        if other is not None and other.value != point.value:
            raise ConfigError(
                where=f"installed plugins ({group})",
                key=point.name,
                why=f"claimed by {_distribution(other)} ({other.value}) and {_distribution(point)} ({point.value})",
                instead="only one of them: uninstall the other",
            )
        by_name[point.name] = point
    return by_name


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unnamed distribution"
