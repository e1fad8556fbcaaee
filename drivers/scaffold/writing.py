"""From templates to the files of a new package. Writes only into a folder that is new or empty."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from drivers.scaffold.names import WHERE, Names
from gateway.runtime.errors import ConfigError

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".tmpl"
EVERY_SHAPE = "all"
_WORD = re.compile(r"@([a-z_]+)@")


class Shape(StrEnum):
    """How the device talks."""

    PUSH = "push"
    FLOW = "flow"
    BROADCAST = "broadcast"


def files(shape: Shape, names: Names, vitalgate: str) -> Mapping[str, str]:
    """The new package's files: path inside it -> text. `vitalgate`: the version that it needs at least."""
    words = names.words(vitalgate)
    made: dict[str, str] = {}
    for folder in (TEMPLATES / EVERY_SHAPE, TEMPLATES / shape.value):
        for path in sorted(folder.rglob(f"*{SUFFIX}")):
            place = path.relative_to(folder).as_posix().removesuffix(SUFFIX)
            for sign in ("package", "maker", "model"):
                place = place.replace(sign.upper(), words.get(f"{sign}_slug", names.package))
            made[place] = _WORD.sub(lambda word: words[word[1]], path.read_text(encoding="utf-8"))
    return made


def write(made: Mapping[str, str], folder: Path) -> None:
    """Put them there. Raises ConfigError where something is in the way, before anything is written."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(WHERE, "--dir", f"{folder} is there already", "a folder that is not")
        for place, text in made.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            WHERE, "--dir", f"{folder}: {error.strerror}", "a folder that can be written"
        ) from error
