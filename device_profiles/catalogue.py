"""The catalogue page, made from the profiles: what each device's support rests on. Gives text; writes no file."""

from collections.abc import Iterable, Iterator, Mapping

from device_profiles.tiers import tier, tried
from gateway.contract.profile import Profile

HEAD = """\
# Devices

Made from the profiles by `vitalgate profile list --markdown`; a test keeps it true. **No hardware has touched any of these yet.** Each profile
lints (tier *declared*), and each driver here holds all checks of the conformance kit (tier *conformant*: `vitalgate driver check` shows it). None is
*proven*: that takes three captures recorded from two real units. What the support rests on is said for each.

A device that *forgets on confirmation* deletes a record when the radio stack confirms it, before any program sees it. The agent commits each such record
alone and at once; `vitalgate edge status` prints the window from arrival to disk (p50, p99, max). What was confirmed inside that window is lost if the agent is killed in it.

| device | profile | measures | link | driver | tier | identity | forgets on confirmation | support rests on |
|---|---|---|---|---|---|---|---|---|
"""


def catalogue(profiles: Iterable[Profile]) -> str:
    """Markdown, one row a profile, by id."""
    return HEAD + "".join(f"{row}\n" for row in _rows(profiles, tried()))


def _rows(profiles: Iterable[Profile], named: Mapping[str, str]) -> Iterator[str]:
    for profile in sorted(profiles, key=lambda one: one.id):
        cells = (
            f"{profile.maker} {profile.model}",
            f"`{profile.id}`",
            profile.kind.replace("_", " "),
            profile.link,
            f"`{profile.driver}`",
            tier(profile.id, profile.driver, named),
            profile.identity.scheme.name.lower(),
            "yes" if profile.deletes_on_confirm else "no",
            profile.support,
        )
        yield f"| {' | '.join(cells)} |"
