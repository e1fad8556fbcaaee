"""What the operator allows of what is installed: drivers and profiles of other distributions serve only where `plugins` names them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

from device_profiles.loader import Catalogue
from gateway.contract.profile import Profile
from gateway.runtime.plugins import DISTRIBUTION, distribution

OURS = "drivers."  # modules of this distribution's drivers


@dataclass(frozen=True, slots=True)
class Offer:
    """Profiles that may serve, and why others may not. `lost`: distributions of which not even the profiles' names are known."""

    profiles: Mapping[str, Profile]
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    lost: tuple[str, ...] = ()


def allowed_profiles(catalogue: Catalogue, plugins: Collection[str]) -> Offer:
    """Ours, and those of the distributions that `plugins` names."""
    allowed = {DISTRIBUTION, *plugins}
    refused = {
        name: _not_allowed(f"profile {name}", entry.distribution)
        for name, entry in catalogue.entries.items()
        if entry.distribution not in allowed
    }
    lost: list[str] = []
    for fault in catalogue.faults:
        if fault.profile is not None:
            refused[fault.profile] = fault.why
        elif fault.distribution in allowed:
            lost.append(fault.why)
    profiles = {
        name: entry.profile for name, entry in catalogue.entries.items() if name not in refused
    }
    return Offer(profiles, refused, tuple(lost))


def third_party(point: EntryPoint) -> bool:
    """Whether a driver comes from another distribution than this one."""
    return distribution(point) != DISTRIBUTION or not point.module.startswith(OURS)


def refused_drivers(
    points: Mapping[str, EntryPoint], plugins: Collection[str]
) -> Mapping[str, str]:
    """Drivers of other distributions than ours that `plugins` doesn't name, and why they may not run."""
    return {
        name: _not_allowed(f"driver {name}", distribution(point))
        for name, point in points.items()
        if third_party(point) and distribution(point) not in plugins
    }


def _not_allowed(what: str, by: str) -> str:
    return f'{what} is installed by {by}, which the settings do not allow: plugins = ["{by}"]'
