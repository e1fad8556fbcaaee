"""A profile flattened, line by line, with where each line is from: a line of its file, or a default. Reads the file; changes nothing."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from device_profiles.schema import ProfileFile

DEFAULT = "default"
WIDTH = 56
_TABLE = re.compile(r"\s*\[([A-Za-z0-9_.-]+)\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


def flattened(path: Path) -> Iterator[str]:
    """`key = value  # origin`, in the order of the schema. The file has been loaded before, so it can be read."""
    text = path.read_text(encoding="utf-8")
    places = {key: f"{path.name}:{number}" for key, number in key_lines(text).items()}
    for key, value, is_set in _leaves("", ProfileFile.model_validate(tomllib.loads(text))):
        yield f"{f'{key} = {value}':<{WIDTH}}  # {_origin(key, places, path.name) if is_set else DEFAULT}"


def key_lines(text: str) -> Mapping[str, int]:
    """The line of each key of a profile, with its table: `identity.scheme` -> 12. An inline table's keys stand on its line."""
    table, told = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = f"{header[1]}."
            told.setdefault(header[1], number)
        elif key := _KEY.match(line):
            told[f"{table}{key[1]}"] = number
    return told


def _origin(key: str, places: Mapping[str, str], file: str) -> str:
    while key:
        if key in places:
            return places[key]
        key = key.rpartition(".")[0]
    return file


def _leaves(above: str, table: BaseModel) -> Iterator[tuple[str, str, bool]]:
    for name in type(table).model_fields:
        value: object = getattr(table, name)
        yield from _leaf(f"{above}{name}", value, is_set=name in table.model_fields_set)


def _leaf(key: str, value: object, *, is_set: bool) -> Iterator[tuple[str, str, bool]]:
    match value:
        case BaseModel():
            for inner, told, inner_set in _leaves(f"{key}.", value):
                yield inner, told, is_set and inner_set
        case dict() if value:
            for name, inner in value.items():
                yield from _leaf(f"{key}.{name}", inner, is_set=is_set)
        case None | {}:
            yield key, "(none)", is_set
        case bool() | int() | float():
            yield key, json.dumps(value), is_set
        case tuple():
            yield (
                key,
                json.dumps([one if isinstance(one, int) else str(one) for one in value]),
                is_set,
            )
        case _:
            yield key, json.dumps(str(value), ensure_ascii=False), is_set
