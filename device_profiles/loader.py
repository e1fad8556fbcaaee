"""From TOML files to profiles. Refuses a file with a sentence that says what to write instead; talks to no device."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from device_profiles.cures import cure
from device_profiles.schema import Advert, Identify, ProfileFile
from device_profiles.shelves import OURS, Shelf, offers, shelf
from gateway.contract.profile import (
    BleChannel,
    ClockRule,
    IdentityRule,
    MakerData,
    Profile,
    Range,
    SerialLine,
    ServiceData,
    StreamRule,
)
from gateway.model.observation import WORD_CHARS_MAX
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import distribution

MODELS = OURS.models
FILE_BYTES_MAX = 20_000
FILES_MAX = 10_000

_carried = re.compile(r"[A-Za-z0-9_.+-]+/[A-Za-z0-9_.+-]+").fullmatch


@dataclass(frozen=True, slots=True)
class Entry:
    """A profile, the clues by which its device is recognised, the file that says so, and the distribution that brought it."""

    profile: Profile
    identify: Identify
    path: Path
    distribution: str = OURS.distribution


@dataclass(frozen=True, slots=True)
class Fault:
    """What another distribution offers and can't be read. `profile` is None where that is all that it offers."""

    distribution: str
    profile: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is installed: one distribution's fault costs no other's profiles."""

    entries: Mapping[str, Entry]
    faults: tuple[Fault, ...]


def load_profiles(folder: Path | None = None) -> Mapping[str, Profile]:
    """All profiles by id: of a folder, else all that are installed. Raises ConfigError."""
    return {name: entry.profile for name, entry in load_catalogue(folder).items()}


def load_catalogue(folder: Path | None = None) -> Mapping[str, Entry]:
    """The same with clues and files. What other distributions can't give is left out: `installed` says why. Raises ConfigError."""
    if folder is None:
        return installed().entries
    entries = [load_file(path, profile_id(path)) for path in files(folder)]
    return {entry.profile.id: entry for entry in entries}


def installed() -> Catalogue:
    """Ours, and those of the entry points `gateway.profiles`.

    Raises ConfigError where one of ours can't be read, and where two distributions claim one id.
    """
    entries: dict[str, Entry] = dict(load_catalogue(MODELS))
    owners = dict.fromkeys(entries, OURS.distribution)
    faults: list[Fault] = []
    for point in offers().values():
        try:
            theirs = shelf(point)
            paths = files(theirs.models)
        except ConfigError as fault:
            faults.append(Fault(distribution(point), None, str(fault)))
            continue
        for path in paths:
            _claim(profile_id(path), theirs, owners)
            try:
                _refuse_uncarried(path)
                entries[profile_id(path)] = load_file(
                    path, profile_id(path), distribution=theirs.distribution
                )
            except ConfigError as fault:
                faults.append(Fault(theirs.distribution, profile_id(path), str(fault)))
    return Catalogue(entries, tuple(faults))


def _refuse_uncarried(path: Path) -> None:
    """Each reading names its profile: one that no envelope carries would have them all parked by the cloud."""
    name = profile_id(path)
    if len(name) > WORD_CHARS_MAX or not _carried(name):
        raise ConfigError(
            str(path),
            "(its place)",
            f"makes the id {name!r}, of {len(name)} characters",
            f"folder and file in a to z, 0 to 9 and -, {WORD_CHARS_MAX} characters at most, as aandd/ua-651ble.toml",
        )


def _claim(name: str, by: Shelf, owners: dict[str, str]) -> None:
    other = owners.setdefault(name, by.distribution)
    if other != by.distribution:
        raise ConfigError(
            where="installed profiles",
            key=name,
            why=f"claimed by {other} and {by.distribution}",
            instead="only one of them: uninstall the other",
        )


def files(folder: Path = MODELS) -> list[Path]:
    """The profiles of a folder, sorted. Raises ConfigError where there is none, or too many."""
    found = sorted(folder.glob("*/*.toml"))
    if not 0 < len(found) <= FILES_MAX:
        raise ConfigError(
            str(folder), "*/*.toml", f"{len(found)} profiles in it", f"1 to {FILES_MAX} of them"
        )
    return found


def profile_id(path: Path) -> str:
    """`maker/model`, as the file's place says."""
    return f"{path.parent.name}/{path.stem}"


def load_file(path: Path, name: str, *, distribution: str = OURS.distribution) -> Entry:
    """One profile. Raises ConfigError that names file, key, why, and what to write instead."""
    told = _parsed(path)
    try:
        checked = ProfileFile.model_validate(told)
    except ValidationError as error:
        raise _refusal(path, error) from error
    try:
        ZoneInfo(checked.clock.zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        why = f"{checked.clock.zone!r} is no zone of the tz database"
        raise ConfigError(str(path), "clock.zone", why, 'one as "Asia/Shanghai"') from error
    return Entry(_profile(checked, name), checked.identify, path, distribution)


def _parsed(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            str(path), "(file)", f"can't be read: {error.strerror}", "a path that can be read"
        ) from error
    if len(text) > FILE_BYTES_MAX:
        raise ConfigError(
            str(path), "(file)", f"over {FILE_BYTES_MAX} bytes", "a profile of at most 60 lines"
        )
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(str(path), "(file)", f"is no TOML: {error}", "valid TOML") from error


def _refusal(path: Path, error: ValidationError) -> ConfigError:
    faults = error.errors(include_url=False)
    first = faults[0]
    if first["type"] == "missing":  # perhaps it is there, and misspelt
        first = next((one for one in faults if one["type"] == "extra_forbidden"), first)
    key = ".".join(str(step) for step in first["loc"]) or "(file)"
    given = "" if isinstance(first["input"], Mapping) else f"stands as {first['input']!r}"
    match first["type"]:
        case "missing":
            return ConfigError(str(path), key, "is missing", f"{key} = …")
        case "extra_forbidden":
            why = f"is no key of {'this table' if len(first['loc']) > 1 else 'a profile'}"
        case "string_pattern_mismatch" | "literal_error":
            why = given
        case _:
            why = first["msg"].removeprefix("Value error, ") + (given and f", but {given}")
    return ConfigError(str(path), key, why, cure(first))


def _profile(told: ProfileFile, name: str) -> Profile:
    return Profile(
        id=name,
        maker=told.maker,
        model=told.model,
        kind=told.kind,
        driver=told.driver,
        support=f"{told.support}: {told.basis}",
        link=told.link,
        identity=IdentityRule(
            scheme=told.identity.known_scheme,
            reset_epochs=told.identity.reset_epochs,
            reset_span_s=told.identity.reset_span_s,
            ordinal=told.identity.ordinal,
        ),
        clock=ClockRule(**told.clock.model_dump()),
        channels={
            channel: BleChannel(at.service, at.characteristic, at.optional)
            for channel, at in told.channels.items()
        },
        advertised={channel: _advertised(at) for channel, at in told.advertised.items()},
        serial=SerialLine(told.serial.baud, told.serial.framing) if told.serial else None,
        ranges={
            part: Range(bounds.low, bounds.high, bounds.unit)
            for part, bounds in told.ranges.items()
        },
        deletes_on_confirm=told.deletes_on_confirm,
        memory=told.memory,
        quiet_s=told.quiet_s,
        deadline_s=told.deadline_s,
        settle_s=told.settle_s,
        users=told.users,
        stream=StreamRule(told.stream.window_s) if told.stream else None,
    )


def _advertised(told: Advert) -> ServiceData | MakerData:
    if told.service is not None:
        return ServiceData(told.service)
    assert told.company is not None, "the schema asks for one of the two"
    return MakerData(told.company)
