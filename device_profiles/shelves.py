"""Where profiles lie: ours, and those of other distributions (`gateway.profiles`). Finds folders; runs no code of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DISTRIBUTION, PROFILES, distribution, found


@dataclass(frozen=True, slots=True)
class Shelf:
    """One distribution's folder, laid out as this package: `models/<maker>/<model>.toml`, `sightings/*.jsonl`."""

    distribution: str
    folder: Path

    @property
    def models(self) -> Path:
        """Profiles, by maker."""
        return self.folder / "models"

    @property
    def sightings(self) -> Path:
        """What their devices were seen to show."""
        return self.folder / "sightings"


OURS = Shelf(DISTRIBUTION, Path(__file__).parent)


def offers() -> Mapping[str, EntryPoint]:
    """Other distributions' entry points. Raises ConfigError where two claim one name."""
    return found(PROFILES)


def shelf(point: EntryPoint) -> Shelf:
    """The folder that an entry point names as a package (`acme_health.profiles`). Raises ConfigError where there is none.

    A profile is data, so the package is looked for and not imported: what its code does at import is nobody's profile.
    """
    top, *inner = point.module.split(".")
    for place in _places(point, top):
        folder = Path(place).joinpath(*inner)
        if (folder / "models").is_dir():
            return Shelf(distribution(point), folder)
    raise _fault(point, "has no folder models/")


def _places(point: EntryPoint, package: str) -> list[str]:
    try:
        spec: ModuleSpec | None = find_spec(package)
    except (ImportError, ValueError) as error:
        raise _fault(point, f"can't be found: {error}") from error
    if spec is None:
        raise _fault(point, "is not installed")
    return list(spec.submodule_search_locations or ())


def _fault(point: EntryPoint, why: str) -> ConfigError:
    return ConfigError(
        where=f"distribution {distribution(point)}",
        key=f"{PROFILES}: {point.name} = {point.value}",
        why=f"package {point.module} {why}",
        instead="a package with models/<maker>/<model>.toml in it",
    )
