"""Records → points of the time series. Pure: what the journal says of a reading now, as the series is to hold it."""

import math
from dataclasses import dataclass

from cloud_ingest.stores.fate import Fate
from cloud_ingest.stores.series import Point
from gateway.model.observation import Observation

BEYOND = "_beyond"  # after a part's name: on which side of the device's scale it lies
PART = ":part"  # after the name of a part that is called as one of our own fields is, so that neither takes the other's place

KEY = "key"
TIME_KNOWN = "time_known"


class UnrenderableError(ValueError):
    """A stored reading that no point can hold: its number is none. The journal still has it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point, and where in the journal its reading stands."""

    journal: int
    position: int
    point: Point


def render(observation: Observation, fate: Fate) -> Point:
    """The point of one stored reading. Raises UnrenderableError, with the part and its value.

    A number is a float in the stored unit; a value off the device's scale has `<part>_beyond` and no number. A part called
    `key`, `time_known`, `…_beyond` or `…:part` has `:part` after its name.
    """
    fields: dict[str, float | str | bool] = {}
    for name, part in observation.parts.items():
        if part.beyond is not None:
            fields[f"{_field(name)}{BEYOND}"] = part.beyond.value
        else:
            fields[_field(name)] = _number(name, part.value)
    fields[KEY] = observation.key
    fields[TIME_KNOWN] = observation.time.known
    return Point(observation.kind, fate.subject, observation.device, fate.time_us, fields)


def _field(name: str) -> str:
    # A number under the name of a mark would make every later LO of its kind a conflict of types, for good.
    ours = name in (KEY, TIME_KNOWN) or name.endswith((BEYOND, PART))
    return f"{name}{PART}" if ours else name


def _number(name: str, value: str | None) -> float:
    try:
        number = float(value or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UnrenderableError(f"{name} is {value!r}, which is no finite number")
    return number
