"""What to write in place of what a profile's file says wrong. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, get_args, get_origin

from pydantic import BaseModel

from device_profiles.schema import FORMS, MisfitError, ProfileFile

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def cure(fault: "ErrorDetails") -> str:
    """The rest of a sentence that begins with Write."""
    told = fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            return f"one of {', '.join(sorted(_table(fault['loc']).model_fields))}"
        case "string_pattern_mismatch":
            return FORMS[told["pattern"]]
        case "literal_error":
            return str(told["expected"])
        case "value_error" if isinstance(told["error"], MisfitError):
            return told["error"].instead
        case _:
            return "what this asks for"


def _table(place: Sequence[int | str]) -> type[BaseModel]:
    """The table in which a key stands."""
    table: type[BaseModel] = ProfileFile
    steps = iter(place[:-1])
    for step in steps:
        of = table.model_fields[str(step)].annotation
        if get_origin(of) is dict:
            next(steps, None)  # a name that the file chose
        table = next(_tables(of))
    return table


def _tables(of: object) -> Iterator[type[BaseModel]]:
    if isinstance(of, type) and issubclass(of, BaseModel):
        yield of
    for part in get_args(of):
        yield from _tables(part)
