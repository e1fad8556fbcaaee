"""The only place that reads a clock or draws random bits; everything else takes them as arguments."""

import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol

# Linux draws it anew at each boot. Elsewhere a process knows nothing of an earlier one's steady clock.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_BITS = 64


@dataclass(frozen=True, slots=True)
class TimeBase:
    """What a wall clock rests on: POSIX seconds when the machine's steady clock stood at zero, in which boot.

    Two bases of one boot differ by how far the wall clock was stepped in between; those of two boots can't be compared.
    """

    boot: str
    anchor_s: float


class Clock(Protocol):
    """Time as an argument: wall clock for what is recorded, monotonic for how long things take."""

    def now(self) -> datetime:
        """UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def base(self) -> TimeBase:
        """What the wall clock rests on now."""
        ...


class SystemClock:
    """This machine's clocks."""

    def now(self) -> datetime:
        """UTC, aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def base(self) -> TimeBase:
        """What the wall clock rests on now. The same for every process of one boot of Linux."""
        return TimeBase(_boot(), time.time() - _since_boot())


class ManualClock:
    """A clock that stands still until it is moved: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        """Stand at `start` (aware)."""
        self._now = start
        self._monotonic = 0.0
        self._boots = 0

    def now(self) -> datetime:
        """UTC, aware."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self._monotonic

    def base(self) -> TimeBase:
        """What the wall clock rests on now."""
        return TimeBase(f"boot {self._boots}", self._now.timestamp() - self._monotonic)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back; no time passes."""
        self._now += timedelta(seconds=seconds)

    def reboot(self) -> None:
        """The steady clock begins anew."""
        self._boots += 1
        self._monotonic = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, milliseconds, `Z`. Raises ValueError for a naive moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The moment that `iso` wrote. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} lies outside the calendar in UTC") from error


def random_hex(bits: int) -> str:
    """So many random bits as hex digits, from the operating system."""
    return secrets.token_hex(bits // 8)


@cache
def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip().replace("-", "")[: BOOT_BITS // 4]
    except OSError:
        return random_hex(BOOT_BITS)


def _since_boot() -> float:
    if sys.platform == "linux":
        # Goes on while the machine sleeps, so that sleep is not taken for a step of the wall clock.
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
