"""Channels that a driver would look for in vain: known from the other profiles of that driver. Pure; asks no driver."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import get_close_matches

from gateway.contract.profile import BleChannel, MakerData, Profile, ServiceData

LIKE = 0.8  # of 1: a letter or two differ. `date_time` is not like `current_time`.


@dataclass(frozen=True, slots=True)
class Strange:
    """A name that no other profile of the driver has, and what `others` call that channel."""

    profile: str
    name: str
    meant: str
    others: tuple[str, ...]


def strange(profiles: Iterable[Profile]) -> Iterator[Strange]:
    """All that are there. A name that is like no other is let be, as is the only profile of a driver: a channel may be one device's own."""
    of: defaultdict[str, list[Profile]] = defaultdict(list)
    for profile in profiles:
        of[profile.driver].append(profile)
    for kin in of.values():
        yield from _among(kin)


def _among(kin: Sequence[Profile]) -> Iterator[Strange]:
    had: defaultdict[str, list[str]] = defaultdict(list)
    called: defaultdict[object, set[str]] = defaultdict(set)
    for profile in kin:
        for name, place in _places(profile).items():
            had[name].append(profile.id)
            called[place].add(name)
    for profile in kin:
        mine = _places(profile)
        missing = had.keys() - mine.keys()
        for name, place in mine.items():
            if len(had[name]) == 1 and (meant := _meant(name, called[place], missing)):
                yield Strange(profile.id, name, meant, tuple(had[meant]))


def _meant(name: str, called: AbstractSet[str], missing: AbstractSet[str]) -> str | None:
    """Of the names that others have: one for the same place, else one in nearly these letters."""
    there = sorted(called & missing) or get_close_matches(name, sorted(missing), 1, LIKE)
    return there[0] if there else None


def _places(profile: Profile) -> Mapping[str, BleChannel | ServiceData | MakerData]:
    """Without what an optional channel differs in: it is the same one."""
    fixed = {name: replace(at, optional=False) for name, at in profile.channels.items()}
    return {**fixed, **profile.advertised}
