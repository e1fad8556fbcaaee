"""`quality.toml`: what a driver's device can show, and which checks it is excused from, why. Reads text, not files."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from gateway.runtime.errors import ConfigError

TEXT_CHARS_MAX = 400
ENTRIES_MAX = 32

Word = Annotated[StrictStr, Field(min_length=1, max_length=80)]
Reason = Annotated[StrictStr, Field(min_length=12, max_length=TEXT_CHARS_MAX)]


class Quality(BaseModel):
    """What the kit may ask of the device's side, as the file says it.

    `units`: in which it can measure, as the device names them. `limits`: which parts it shows LO or HI for. `bad_times`: what
    its clock field can hold that is no moment (ISO 8601 text). `manners`: words by which `Subject.specimen` makes a device
    that behaves otherwise. `checksummed`: its frames carry one. `dated`: its records carry a time of their own. `exempt`: check -> reason; it must fail, else it is no exemption.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    profiles: Annotated[Sequence[Word], Field(min_length=1, max_length=ENTRIES_MAX)]
    units: Annotated[Sequence[Word], Field(min_length=1, max_length=ENTRIES_MAX)]
    limits: Annotated[
        Mapping[Word, Sequence[Literal["below", "above"]]], Field(max_length=ENTRIES_MAX)
    ] = {}
    bad_times: Annotated[Sequence[Word], Field(max_length=ENTRIES_MAX)] = ()
    manners: Annotated[Sequence[Word], Field(max_length=ENTRIES_MAX)] = ()
    control: StrictBool = False
    checksummed: StrictBool = False
    dated: StrictBool = True
    exempt: Annotated[Mapping[Word, Reason], Field(max_length=ENTRIES_MAX)] = {}


def parse_quality(text: str, where: str, checks: Sequence[str]) -> Quality:
    """Read the file's text. Raises ConfigError that names file, key, why, and what to write instead."""
    try:
        quality = Quality.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(where, "(file)", f"is no TOML: {error}", "valid TOML") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "(file)"
        keys = ", ".join(sorted(Quality.model_fields))
        raise ConfigError(where, key, first["msg"], f"what fits; the keys are {keys}") from error
    for name in quality.exempt:
        if name not in checks:
            raise ConfigError(where, f"exempt.{name}", "is no check", f"one of {', '.join(checks)}")
    return quality
