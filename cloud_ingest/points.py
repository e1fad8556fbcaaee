"""Records → points of the time series. Pure: what the journal says of a reading now, as the series is to hold it."""

import math
from dataclasses import dataclass

from cloud_ingest.stores.fate import Fate
from cloud_ingest.stores.series import Point
from gateway.model.observation import Observation

BEYOND = "_beyond"  # after a part's name: on which side of the device's scale it lies

TIME_KNOWN = "time_known"


class UnrenderableError(ValueError):
    """A stored reading that no point can hold: its number is none, or its part has our name. The journal still has it."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point, and where in the journal its reading stands."""

    journal: int
    position: int
    point: Point


def render(observation: Observation, fate: Fate) -> Point:
    """The point of one stored reading. Raises UnrenderableError, with the part and its value or its name.

    A number is a float in the stored unit; a value off the device's scale has `<part>_beyond` and no number.
    """
    fields: dict[str, float | str | bool] = {}
    for name, part in observation.parts.items():
        if name.endswith(BEYOND) or name == TIME_KNOWN:
            # Of a number, it would make every later LO of its kind a conflict of types, for good; or be lost without a word.
            raise UnrenderableError(f"part {name!r} has a name that the series keeps for itself")
        if part.beyond is not None:
            fields[f"{name}{BEYOND}"] = part.beyond.value
        else:
            fields[name] = _number(name, part.value)
    # Last, so that a part that calls itself `key` cannot take the identity's place.
    fields["key"] = observation.key
    fields[TIME_KNOWN] = observation.time.known
    return Point(observation.kind, fate.subject, observation.device, fate.time_us, fields)


def _number(name: str, value: str | None) -> float:
    try:
        number = float(value or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UnrenderableError(f"{name} is {value!r}, which is no finite number")
    return number
