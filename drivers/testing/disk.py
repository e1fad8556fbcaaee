"""The kit's disk: readings by key, as the box and the cloud would file them. In memory; names nothing otherwise than they do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.contract.stamping import scheme_of, stamp_of
from gateway.model.identity import Scheme, content_hash, observation_key
from gateway.model.observation import Beyond, Part
from gateway.model.quantity import Limit, Quantity

DEVICE = "0" * 20
ACCEPTED = date(2026, 3, 14)
_BEYOND = {Limit.BELOW: Beyond.BELOW, Limit.ABOVE: Beyond.ABOVE}


class Disk:
    """What is durable of one device: readings by key, and the cursor. `clashes`: keys that two different contents claimed."""

    def __init__(self, profile: Profile) -> None:
        """Empty."""
        self._profile = profile
        self._arrivals = 0
        self.readings: dict[str, Reading] = {}
        self.cursor: str | None = None
        self.clashes: list[str] = []

    def commit(self, readings: Iterable[Reading], cursor: str | None) -> None:
        """File readings and cursor together. A key that is known already is filed once."""
        for reading in readings:
            self._arrivals += 1
            key = key_of(reading, self._profile, f"kit:{self._arrivals}")
            known = self.readings.setdefault(key, reading)
            if content_of(known.parts) != content_of(reading.parts):
                self.clashes.append(key)
        if cursor is not None:
            self.cursor = cursor

    @property
    def contents(self) -> Counter[str]:
        """How many measurements there are of each content."""
        return Counter(content_of(reading.parts) for reading in self.readings.values())

    def is_named(self, reading: Reading) -> bool:
        """Whether its key rests on what the device stores: told again, it is known again."""
        return scheme_of(reading, self._profile) is not Scheme.ARRIVAL

    def by_arrival(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that rest on nothing that the device stores."""
        return {key for key in keys if not self.is_named(self.readings[key])}


def keys_of(readings: Sequence[Reading], profile: Profile) -> list[str]:
    """The keys of a visit's readings in the kit's own naming: what stands in a capture."""
    return [key_of(one, profile, f"kit:{place}") for place, one in enumerate(readings, 1)]


def key_of(reading: Reading, profile: Profile, arrival: str) -> str:
    """The reading's key, as the edge would make it for the kit's device."""
    stamp = stamp_of(reading, profile, content_of(reading.parts), arrival)
    return observation_key(DEVICE, reading.kind, stamp, ACCEPTED)


def content_of(parts: Mapping[str, Quantity | Limit]) -> str:
    """The hash of values and units."""
    return content_hash("", {name: _part(part) for name, part in parts.items()})


def _part(part: Quantity | Limit) -> Part:
    if isinstance(part, Limit):
        return Part(unit="", beyond=_BEYOND[part])
    return Part(unit=part.unit, value=str(part.number))
