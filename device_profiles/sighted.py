"""Recorded sightings: what devices were seen to show, and which profile each must win. Reads files; decides nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from device_profiles.identify import Sighting
from device_profiles.schema import FullUuid, Text
from gateway.runtime.errors import ConfigError

SIGHTINGS = Path(__file__).parent / "sightings"
LINES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Sighted:
    """`wins` is the profile's id, or None for a near miss that no profile may win. `place` is file and line."""

    name: str
    sighting: Sighting
    wins: str | None
    place: str


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    link: Literal["ble", "serial"]
    wins: StrictStr | None
    kind: Literal["recorded", "published", "derived"]
    source: Text
    services: tuple[FullUuid, ...] = ()
    name: StrictStr = ""
    companies: tuple[Annotated[StrictInt, Field(ge=0, le=0xFFFF)], ...] = ()
    model: StrictStr = ""
    usb: StrictStr = ""


def recorded(folder: Path = SIGHTINGS) -> list[Sighted]:
    """All sightings of a folder. Raises ConfigError that names file and line."""
    return [sighted for path in sorted(folder.glob("*.jsonl")) for sighted in _read(path)]


def _read(path: Path) -> Iterator[Sighted]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), "(file)", f"can't be read: {error}", "one JSON object a line, in UTF-8"
        ) from error
    if len(lines) > LINES_MAX:
        raise ConfigError(
            str(path), "(file)", f"{len(lines)} lines", f"at most {LINES_MAX}, in several files"
        )
    for number, text in enumerate(lines, 1):
        place = f"{path.name}:{number}"
        try:
            line = _Line.model_validate(json.loads(text))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "(line)"
            keys = ", ".join(_Line.model_fields)
            raise ConfigError(
                place, key, first["msg"], f"what fits; the keys are {keys}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                place, "(line)", f"is no JSON: {error}", "one JSON object, as its neighbours"
            ) from error
        yield Sighted(line.id, _sighting(line), line.wins, place)


def _sighting(line: _Line) -> Sighting:
    return Sighting(
        link=line.link,
        services=frozenset(line.services),
        name=line.name,
        companies=frozenset(line.companies),
        model=line.model,
        usb=line.usb,
    )
