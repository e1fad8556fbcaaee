"""Which readings are to be voided, and what came of it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from cloud_ingest.rules.judge import When
from gateway.model.observation import Observation

REASON_CHARS_MAX = 500
WHO_CHARS_MAX = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Stated = tuple[
    str, str, str
]  # maker, model, firmware, as a device stated them; empty where it did not


class Criteria(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All that are given must hold. Texts are compared letter by letter with what the device stated.

    `from_us` and `to_us` bound the time of measurement (`to_us` is exclusive); of a reading without a usable time, that of
    arrival at the box, which stands in for it.
    """

    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    profile: str | None = None
    device: str | None = None
    from_us: int
    to_us: int

    def check(self) -> None:
        """Raises ValueError where they would take out readings of every device, or none at all."""
        if not any((self.maker, self.model, self.firmware, self.profile, self.device)):
            raise ValueError(
                "nothing says whose readings: give --model, --firmware, --profile or --device"
            )
        if self.from_us >= self.to_us:
            since, until = _shown(self.from_us), _shown(self.to_us)
            raise ValueError(
                f"--from {since} is not before --to {until}: there is no time between them"
            )

    def within(self, moment: When) -> bool:
        """Whether it was measured in that time."""
        return self.from_us <= moment.at_us < self.to_us

    def of(self, seen: Observation) -> bool:
        """Whether it is of such a device."""
        wanted = (self.maker, self.model, self.firmware, self.profile, self.device)
        told = (seen.maker, seen.model, seen.firmware, seen.profile, seen.device)
        return all(one is None or one == other for one, other in zip(wanted, told, strict=True))


def _shown(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat()


def stated(seen: Observation) -> Stated:
    """What its device stated of itself."""
    return seen.maker or "", seen.model or "", seen.firmware or ""


@dataclass(frozen=True, slots=True)
class VoidReport:
    """What a voiding did, or would do.

    `patients` and `alerts` are the ids of those that it touched; `devices` counts subjects that are nobody yet. `others`: what
    the devices of other readings in that time stated, and how many readings each. `damaged`: journal rows that can't be read.
    """

    voiding: int
    readings: int
    patients: tuple[str, ...]
    devices: int
    ended: tuple[str, ...]
    changed: tuple[str, ...]
    others: Mapping[Stated, int]
    damaged: int


@dataclass(frozen=True, slots=True)
class Voiding:
    """The audit row of one run. `finished_us` is None where it was interrupted."""

    id: int
    begun_us: int
    finished_us: int | None
    who: str
    reason: str
    criteria: str
    readings: int
    alerts: int


@dataclass(frozen=True, slots=True)
class Voided:
    """A reading that was voided: by whom and why."""

    key: str
    journal: int
    position: int
    at_us: int
    who: str
    reason: str
