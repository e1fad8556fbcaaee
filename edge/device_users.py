"""The users of a device and their consent codes: a file of the operator's that nobody else may read. Shows no code, in no message.

From here they go into `UnitInfo.secrets` of this device's visits, and nowhere else (ADR 21).
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import cast

from gateway.runtime.errors import ConfigError

FILE_BYTES_MAX = 10_000
USERS_MAX = 16
CODE_MAX = 9999
HEIGHT_CM_MAX = 300
BORN_YEAR_MIN = 1900
GENDERS = ("male", "female", "unspecified")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_EXAMPLE = "[1] and below it code = …, the number that the scale shows"


def secrets_of(file: Path | None) -> Mapping[str, str]:
    """`user.<name>.<key>` -> text, empty without a file. Raises ConfigError naming file, key, why, and what to write instead."""
    if file is None:
        return {}
    users = _read(file)
    if len(users) > USERS_MAX:
        raise ConfigError(
            str(file), "(whole file)", f"{len(users)} users", f"at most {USERS_MAX} tables"
        )
    return {
        f"user.{name}.{key}": text
        for name, user in users.items()
        for key, text in _user(file, name, user).items()
    }


def _read(file: Path) -> Mapping[str, object]:
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(file.stat().st_mode)
            raw = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            str(file), "device.users_file", error.strerror or str(error), "the path of a file"
        ) from error
    if mode & _OTHERS:
        raise ConfigError(
            str(file),
            "device.users_file",
            f"others may read it (mode {mode:04o})",
            f"chmod 600 {file}",
        )
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(
            str(file), "(whole file)", f"over {FILE_BYTES_MAX} bytes", "a table for each user"
        )
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError):
        # What the parser says may hold a line of the file: it is not passed on.
        raise ConfigError(str(file), "(whole file)", "is not TOML", _EXAMPLE) from None


def _user(file: Path, name: str, user: object) -> Mapping[str, str]:
    if not _NAME.fullmatch(name) or (name.isdecimal() and int(name) >= 0xFF):  # noqa: PLR2004 the unknown user
        raise _wrong(file, name, "is no slot and no name", "a slot from 0 to 254, or a word")
    if not isinstance(user, dict):
        raise _wrong(file, name, "is no table", _EXAMPLE)
    told = cast("Mapping[str, object]", user)
    if unknown := told.keys() - {"code", "birth_date", "gender", "height_cm"}:
        known = "one of: code, birth_date, gender, height_cm"
        raise _wrong(file, f"{name}.{min(unknown)}", "is no setting", known)
    if "code" not in told:
        raise _wrong(file, f"{name}.code", "is missing", f"a number from 0 to {CODE_MAX}")
    texts = {"code": _number(file, name, "code", told["code"], CODE_MAX)}
    if "birth_date" in told:
        texts["birth_date"] = _born(file, name, told["birth_date"])
    if "gender" in told:
        gender = told["gender"]
        if gender not in GENDERS:
            raise _wrong(file, f"{name}.gender", "is none of them", ", ".join(GENDERS))
        texts["gender"] = str(gender)
    if "height_cm" in told:
        texts["user_height"] = _number(file, name, "height_cm", told["height_cm"], HEIGHT_CM_MAX)
    return texts


def _number(file: Path, name: str, key: str, told: object, most: int) -> str:
    if not isinstance(told, int) or isinstance(told, bool) or not 0 <= told <= most:
        raise _wrong(file, f"{name}.{key}", "does not fit", f"a number from 0 to {most}")
    return str(told)


def _born(file: Path, name: str, told: object) -> str:
    if not isinstance(told, date) or isinstance(told, datetime) or told.year < BORN_YEAR_MIN:
        raise _wrong(file, f"{name}.birth_date", "is no birth date", "a date, as in 1988-05-16")
    return told.isoformat()


def _wrong(file: Path, key: str, why: str, instead: str) -> ConfigError:
    return ConfigError(str(file), key, why, instead)
