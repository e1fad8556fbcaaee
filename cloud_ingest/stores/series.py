"""The time series as a port: points in, points out. Implementations stand beside this file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.runtime.errors import StoreError


@dataclass(frozen=True, slots=True)
class Point:
    """One reading as the time series holds it. `time_us` is unique for (kind, subject, device).

    `fields` always has `key`; numbers are floats (a value off the scale is absent and `<part>_beyond` is a string;
    a part with a name that this needs has `:part` after it).
    """

    kind: str
    subject: str
    device: str
    time_us: int
    fields: Mapping[str, float | str | bool]


@dataclass(frozen=True, slots=True)
class RefusedPoint:
    """A point that the store will not take, and its words."""

    point: Point
    why: str


class SeriesGoneError(StoreError):
    """The place where the points stood is no more: whatever is made there later holds none of them."""


class Series(Protocol):
    """Writes are idempotent. Every method may raise StoreError: `retry=True` where the store is away."""

    @property
    def name(self) -> str:
        """What a person calls it: `embedded`, `InfluxDB 2.7`."""
        ...

    def write(self, points: Sequence[Point]) -> Sequence[RefusedPoint]:
        """Store points, durably; the refused ones come back, the others are in."""
        ...

    def erase(self, points: Sequence[Point]) -> None:
        """Remove exactly these points (by kind, subject, device and time)."""
        ...

    def read(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        """Points of one subject with `since_us` <= time < `until_us`, oldest first, at most POINTS_MAX (10,000)."""
        ...

    def scan(self, kind: str, device: str | None, since_us: int, limit: int) -> Sequence[Point]:
        """Points of one kind (of one device, or of all) from `since_us` on, ordered by time: for checks and rebuilds."""
        ...

    def wipe(self) -> None:
        """Remove everything, before a rebuild."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
