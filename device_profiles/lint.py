"""What is wrong with a profile beyond its form. Each finding has a code that stays, and says what to do about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from device_profiles.channel_names import strange
from device_profiles.identify import Match, Tie, identify
from device_profiles.loader import Entry, files, load_file, profile_id
from device_profiles.shelves import OURS, Shelf, offers, shelf
from device_profiles.sighted import Sighted, recorded
from gateway.model.observation import WORD_CHARS_MAX
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found

LINES_MAX = 60
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*")


class Code(StrEnum):
    """A code is never reused for another meaning."""

    UNREADABLE = "P001"
    TOO_LONG = "P002"
    BAD_PLACE = "P003"
    NO_DRIVER = "P004"
    NEVER_SEEN = "P005"
    TIE = "P006"
    LOST = "P007"
    NO_SUCH_PROFILE = "P008"
    TAKEN = "P009"
    STRANGE_CHANNEL = "P010"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, why, and what mends it; `concerns` names the profiles that it is about."""

    code: Code
    where: str
    why: str
    mend: str
    concerns: frozenset[str | None] = field(default=frozenset(), compare=False)

    def __str__(self) -> str:
        """One line for a terminal."""
        return f"{self.code.value} {self.where}: {self.why}. {self.mend}"


def lint(one: Path | None = None, folder: Path | None = None) -> list[Finding]:
    """Findings in all profiles that are installed, or of a folder; or, with `one`, in that file beside them.

    An installed profile of that file's id makes way for it: who mends a copy wants to know of the copy.
    Raises ConfigError where recorded sightings, or what a distribution says that it offers, can't be read.
    """
    findings: list[Finding] = []
    catalogue: dict[str, Entry] = {}
    theirs = [shelf(point) for point in offers().values()] if folder is None else []
    folders = [folder or OURS.models, *(other.models for other in theirs)]
    paths = {path.resolve() for folder in folders for path in files(folder)}
    places = {profile_id(one.resolve()): one.resolve()} if one else dict[str, Path]()
    for path in sorted(paths | set(places.values())):
        name = profile_id(path)
        if places.setdefault(name, path) != path:
            findings.append(_taken(name, path, places[name]))
            continue
        try:
            catalogue[name] = load_file(path, name)
        except ConfigError as fault:
            findings.append(
                Finding(
                    Code.UNREADABLE,
                    fault.where,
                    f"{fault.key}: {fault.why}",
                    f"Write {fault.instead}",
                )
            )
    for entry in catalogue.values():
        findings += _form(entry)
    findings += _strange(catalogue)
    # What can't be read wins nothing: that is told once, not of each of its sightings again.
    unread = places.keys() - catalogue.keys()
    sightings = [one for one in _sightings(one, theirs) if one.wins not in unread]
    findings += _seen(catalogue, sightings, _beside(one) if one else {})
    return _of(one, findings) if one else findings


def _of(one: Path, findings: Sequence[Finding]) -> list[Finding]:
    """Each once: a sighting may be recorded in two folders, beside ours and beside a copy that isn't installed yet."""
    places, name = {str(one), str(one.resolve())}, profile_id(one.resolve())
    mine = (it for it in findings if it.where in {*places, name} or name in it.concerns)
    return list(dict.fromkeys(mine))


def _beside(one: Path) -> Mapping[Sighted, str]:
    """What lies beside a profile, and its id: whoever wrote it down wants to know, also where it names no profile."""
    return dict.fromkeys(recorded(_shelf_of(one).sightings), profile_id(one.resolve()))


def _shelf_of(one: Path) -> Shelf:
    return Shelf("", one.resolve().parent.parent.parent)


def _taken(name: str, path: Path, by: Path) -> Finding:
    return Finding(
        Code.TAKEN,
        str(path),
        f"its id {name} is that of {by} too, and no box starts with both",
        "Give one of them another folder or file name, or uninstall its distribution",
    )


def _sightings(one: Path | None, theirs: Sequence[Shelf]) -> list[Sighted]:
    """All that are recorded: ours, those of other distributions, and those that lie beside a file not installed yet."""
    folders = {OURS.sightings.resolve(), *(other.sightings.resolve() for other in theirs)}
    if one is not None:
        folders.add(_shelf_of(one).sightings)
    return [sighted for folder in sorted(folders) for sighted in recorded(folder)]


def _form(entry: Entry) -> Iterator[Finding]:
    name, where = entry.profile.id, str(entry.path)
    lines = len(entry.path.read_text(encoding="utf-8").splitlines())
    if lines > LINES_MAX:
        yield Finding(
            Code.TOO_LONG,
            where,
            f"{lines} lines; {LINES_MAX} fit",
            "What doesn't fit belongs in a driver",
        )
    if not _ID.fullmatch(name) or len(name) > WORD_CHARS_MAX:
        yield Finding(
            Code.BAD_PLACE,
            where,
            f"its place makes the id {name!r}, of {len(name)} characters",
            f"Name folder and file in lower case, as in aandd/ua-651ble.toml, {WORD_CHARS_MAX} characters at most",
        )
    drivers = found(DRIVERS)
    if entry.profile.driver not in drivers:
        yield Finding(
            Code.NO_DRIVER,
            where,
            f"driver {entry.profile.driver!r} is not installed",
            f"Write one of {', '.join(sorted(drivers))}",
        )


def _strange(catalogue: Mapping[str, Entry]) -> Iterator[Finding]:
    for one in strange(entry.profile for entry in catalogue.values()):
        only = one.others[0] if len(one.others) == 1 else None
        yield Finding(
            Code.STRANGE_CHANNEL,
            str(catalogue[one.profile].path),
            f"no other profile of its driver has a channel {one.name}; "
            + (
                f"{only} calls it {one.meant}" if only else f"{len(one.others)} call it {one.meant}"
            ),
            f"Write {one.meant}" + (f", or {one.name} there" if only else ""),
        )


def _seen(
    catalogue: Mapping[str, Entry], sightings: Sequence[Sighted], beside: Mapping[Sighted, str]
) -> Iterator[Finding]:
    won: set[str] = set()
    for sighted in sightings:
        owner = sighted.wins if sighted.wins in catalogue else beside.get(sighted)
        match identify(sighted.sighting, catalogue):
            case Tie(profiles):
                for name in profiles:
                    yield Finding(
                        Code.TIE,
                        name,
                        f"ties with {', '.join(sorted({*profiles} - {name}))} on sighting {sighted.name}",
                        "Add a clue that only this device shows",
                        frozenset({owner} - {*profiles}),
                    )
                continue
            case Match(profile):
                winner = profile
                won.add(profile)
            case None:
                winner = None
        if winner != sighted.wins:
            yield Finding(
                Code.LOST,
                winner or sighted.wins or "",
                f"sighting {sighted.name} ({sighted.place}) is won by {winner or 'no profile'}, and should be by {sighted.wins or 'none'}",
                "Mend the clues, or the record if it is wrong",
                frozenset({owner}),
            )
        if sighted.wins is not None and sighted.wins not in catalogue:
            yield Finding(
                Code.NO_SUCH_PROFILE,
                sighted.place,
                f"names {sighted.wins}, which is no profile",
                "Write the id of one",
                frozenset({owner}),
            )
    for name in sorted(catalogue.keys() - won):
        yield Finding(
            Code.NEVER_SEEN,
            name,
            "wins no recorded sighting",
            "Record one in the folder sightings beside models, with its source",
        )
