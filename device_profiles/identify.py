"""Which profile a sighting speaks for: scored, never ordered. Proposes; only a person enrols. Opens nothing."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase

from device_profiles.loader import Entry

_PADDING = "\0 \t\r\n"  # around a name or a model, of devices that fill a field of one length
_WILD = re.compile(r"[*?]|\[[^]]*]")


class Clue(IntEnum):
    """How much a matching clue says: each more than all those before it together."""

    SERVICE = 1  # or the USB ids of a cable: how one may talk to it, not what it is
    NAME = 2
    COMPANY = 4
    MODEL = 8


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen or read of a device before anything is known of it. UUIDs in full, lower case; ids as in `067b:2303`."""

    link: str
    services: frozenset[str] = frozenset()
    name: str = ""
    companies: frozenset[int] = frozenset()
    model: str = ""
    usb: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """The one profile with the highest score, and why."""

    profile: str
    score: int
    clues: tuple[Clue, ...]


@dataclass(frozen=True, slots=True)
class Tie:
    """Profiles that the sighting speaks for equally: ask a person."""

    profiles: tuple[str, ...]
    score: int


def identify(sighting: Sighting, catalogue: Mapping[str, Entry]) -> Match | Tie | None:
    """The best single match; None where nothing matches."""
    scored: dict[str, tuple[Clue, ...]] = {}
    for name, entry in catalogue.items():
        clues = matching(sighting, entry)
        if clues:
            scored[name] = clues
    if not scored:
        return None
    ranks = {
        name: (sum(clues), _spelled(catalogue[name].identify.names, sighting.name))
        for name, clues in scored.items()
    }
    best = max(ranks.values())
    winners = sorted(name for name, rank in ranks.items() if rank == best)
    if len(winners) > 1:
        return Tie(tuple(winners), best[0])
    return Match(winners[0], best[0], scored[winners[0]])


def matching(sighting: Sighting, entry: Entry) -> tuple[Clue, ...]:
    """Clues of a profile that the sighting bears out; none at all where it contradicts one."""
    asked = entry.identify
    over_the_air = sighting.link == "ble" and entry.profile.link == "advert"
    if sighting.link != entry.profile.link and not over_the_air:
        return ()
    if not sighting.services.isdisjoint(asked.without):
        return ()
    answers: dict[Clue, bool | None] = {
        Clue.SERVICE: _any(asked.services, sighting.services)
        if sighting.link == "ble"
        else _any(asked.usb, {sighting.usb} - {""}),
        Clue.NAME: _glob(asked.names, sighting.name),
        Clue.COMPANY: _any(asked.companies, sighting.companies),
        Clue.MODEL: _any({_plain(one) for one in asked.models}, {_plain(sighting.model)} - {""}),
    }
    borne_out = tuple(clue for clue, answer in answers.items() if answer)
    # A profile that names more than a service is about one model: the service alone doesn't speak for it.
    only_service = borne_out == (Clue.SERVICE,) and (asked.names or asked.companies or asked.models)
    return () if False in answers.values() or only_service else borne_out


def _spelled(asked: tuple[str, ...], seen: str) -> int:
    """How many letters of the name a profile spells out: among equals it knows the device best that says most of it (ADR 23)."""
    borne_out = [pattern for pattern in asked if seen and _fits(seen, pattern)]
    return max((len(_WILD.sub("", pattern)) for pattern in borne_out), default=0)


def _any(asked: Collection[object], seen: Collection[object]) -> bool | None:
    """None: not asked, or nothing seen of it (an advertisement need not hold everything)."""
    if not asked or not seen:
        return None
    return any(one in seen for one in asked)


def _glob(asked: tuple[str, ...], seen: str) -> bool | None:
    if not asked or not _plain(seen):
        return None
    return any(_fits(seen, pattern) for pattern in asked)


def _fits(seen: str, pattern: str) -> bool:
    # A blank at the end may be the pattern's own.
    return any(fnmatchcase(one, pattern.casefold()) for one in {seen.casefold(), _plain(seen)})


def _plain(text: str) -> str:
    """Without padding, in small letters."""
    # Makers write one model now in large letters and now in small: `BLEsmart_` and `BLESmart_`. Taken for no model that is
    # known, a device whose frames are its own would be read as the standard says.
    return text.strip(_PADDING).casefold()
