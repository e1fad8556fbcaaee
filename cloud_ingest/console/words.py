"""What the console says, in English and Chinese: a catalogue of messages. Pure once loaded; knows no HTML."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Words:
    """One language's messages. A message that counts has the forms `<name>.one` and `<name>.other`."""

    def __init__(self, language: Language, messages: Mapping[str, str]) -> None:
        """Speak `language`."""
        self.language: Language = language
        self.messages = messages

    def __call__(self, message: str, **values: object) -> str:
        """The message with its values filled in. Raises KeyError for a name that the catalogue lacks."""
        return self.messages[message].format(**values)

    def count(self, message: str, n: int, **values: object) -> str:
        """A message about `n` things, in the form that the number asks for."""
        return self(f"{message}.{'one' if n == 1 else 'other'}", n=n, **values)

    def maybe(self, area: str, name: str) -> str:
        """The word for a name from outside (a mark, a method); the name itself where the catalogue has none."""
        return self.messages.get(f"{area}.{name}", name.replace("_", " "))


@cache
def words(language: Language) -> Words:
    """The catalogue of a language."""
    text = (files("cloud_ingest.console") / "messages" / f"{language}.toml").read_text("utf-8")
    return Words(language, dict(_flat("", tomllib.loads(text))))


def choose(told: str | None, kept: str | None, accepted: str) -> Language:
    """The language that was asked for, else the one kept in a cookie, else the browser's first that we speak, else English."""
    for wish in (told, kept, *(part.partition(";")[0].strip() for part in accepted.split(","))):
        for language in LANGUAGES:
            if wish and wish.lower().partition("-")[0] == language:
                return language
    return "en"


def _flat(prefix: str, tree: Mapping[str, object]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(value, dict):
            found += _flat(path, value)  # pyright: ignore[reportUnknownArgumentType]  # TOML tables have string keys
        else:
            found.append((path, str(value)))
    return found
