"""What a driver brings to the kit: its device's side, and samples of what that can measure. Pure; no check stands here.

A package offers itself under the entry-point group `gateway.subjects`, by the name that its driver has under
`gateway.drivers`: an outside vendor's driver is then found as ours are, and two that claim one name are refused. Beside the
module that holds the subject lie `quality.toml` (see `drivers.testing.quality`) and `captures/*.jsonl`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from gateway.contract.profile import Profile
from gateway.contract.session import Driver, Read, Received, Refused, Subscribe, Write
from gateway.model.quantity import Limit, Quantity

BEGINNING = datetime(2026, 3, 14, 7, 7, 2)  # noqa: DTZ001 local time at which the kit's virtual time begins


@dataclass(frozen=True, slots=True)
class Act:
    """One measurement that a device is to make. `raw_time`: what it stores instead of a moment (ISO 8601 text, impossible).

    `offset`: what it stores beside the moment, of a device that keeps its user's shift of the clock apart.
    """

    parts: Mapping[str, Quantity | Limit]
    marks: frozenset[str] = frozenset()
    slot: str | None = None
    raw_time: str | None = None
    offset: timedelta | None = None


@dataclass(slots=True)
class Hours:
    """The kit's virtual time, in seconds since it began. One owner: the check that runs."""

    at: float = 0.0

    @property
    def local(self) -> datetime:
        """The true local time (naive)."""
        return BEGINNING + timedelta(seconds=self.at)


class DeviceClock:
    """A device's clock, as what it is ahead of the true time. The kit sets it behind the driver's back."""

    def __init__(self, hours: Hours, epoch: datetime) -> None:
        """Right at first. `epoch`: where it starts anew without a battery."""
        self._hours, self._epoch, self._ahead = hours, epoch, timedelta()

    def shows(self) -> datetime:
        """What its display says now (naive, whole seconds)."""
        return (self._hours.local + self._ahead).replace(microsecond=0)

    def counts_s(self) -> float:
        """A counter beside the clock, in seconds, that nobody sets: of a device that only knows how long ago something was."""
        return self._hours.at

    def set(self, shown: datetime) -> None:
        """Let it show that from now on; it runs."""
        self._ahead = shown - self._hours.local

    def reset(self) -> None:
        """The battery was out: it starts anew."""
        self.set(self._epoch)


class Specimen(Protocol):
    """One simulated device, with memory and clock. In what it says, `at` is so many seconds from now; 0 is at once."""

    def speak(self) -> Iterable[Received]:
        """What it says by itself when a link opens.

        A device that only advertises says all here, at its own pace: each measurement that was not delivered yet, one by one.
        """
        ...

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What it answers."""
        ...

    def delivered(self, told: Received) -> None:
        """The radio confirmed this, before any program saw it: a device that forgets upon that forgets now.

        The kit may not call it for a frame that did arrive: a confirmation can be lost.
        """
        ...

    def hung_up(self) -> None:
        """The link is gone: what was under way is not, and the next visit finds a device at rest."""
        ...

    def measure(self, act: Act) -> None:
        """Remember this, stamped by its clock. Raises ValueError for what it can't show."""
        ...

    def reset_battery(self) -> None:
        """`DeviceClock.reset()`, and whatever else a device forgets without power (a count that starts anew)."""
        ...

    @property
    def remembered(self) -> int:
        """How many records a newcomer would be told of; always 0 of a device that has no memory."""
        ...


class Subject(Protocol):
    """A driver under test, with what the kit needs to question it."""

    @property
    def driver(self) -> Driver:
        """The driver itself."""
        ...

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> Specimen:
        """A fresh device of that model with an empty memory. `manner`: a word of `quality.toml`, or empty for the usual one."""
        ...

    def sample(self, number: int, unit: str) -> Act:
        """A plausible measurement in that unit. Numbers from 0 to `SAMPLES_MAX` - 1 give different values."""
        ...

    def echo(self, raw: bytes) -> bytes:
        """A reading's `raw` decoded and encoded again: the codec both ways."""
        ...


@runtime_checkable
class Sealer(Protocol):
    """What a subject may bring besides, where frames carry a checksum: so that the fuzzer gets behind it."""

    def sealed(self, channel: str, data: bytes) -> bytes:
        """A frame with its checksums, and lengths that stand in it, made right. `data` may be no frame at all; nothing is raised."""
        ...


SAMPLES_MAX = 100
