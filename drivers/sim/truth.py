"""The ward's truth: one JSON line for each thing that happened to a measurement. Writes lines; decides nothing."""

import asyncio
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from gateway.model.quantity import Limit, Quantity
from gateway.runtime.clock import iso
from gateway.runtime.errors import ConfigError, StoreError

ClockState = Literal["good", "dead", "none"]
Memory = Literal["deleted", "kept", "aired"]
How = Literal["live", "late"]

_OWNER_ONLY = 0o600


class Shown(msgspec.Struct, frozen=True):
    """A part as the device displays it: decimal digits, and the unit by the device's name."""

    value: str
    unit: str


class Beyond(msgspec.Struct, frozen=True):
    """A part outside the device's range: LO is `below`, HI is `above`."""

    limit: Literal["below", "above"]


class AlertDue(msgspec.Struct, frozen=True):
    """The alert that is due for the person who wears the device: a page (`live`) or a late finding."""

    condition: str
    how: How


class Measured(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="measured"):
    """A device took a measurement. `raw_time`: what it stores; `true_time`: when it truly was, UTC.

    `flags`: the rules that this value crosses by itself; `alert`: set on the reading that completes a condition, once
    for each person and condition. `memory`: what becomes of it on the device once it was told; `aired`: it is told to
    whoever listens for some seconds, and is then nowhere on the device, so a box that doesn't run meanwhile can't have it.
    """

    id: str
    serial: str
    kind: str
    raw_time: str | None
    clock: ClockState
    true_time: str
    parts: Mapping[str, Shown | Beyond]
    marks: tuple[str, ...]
    memory: Memory
    flags: tuple[str, ...]
    alert: AlertDue | None


class Confirmed(msgspec.Struct, frozen=True, tag_field="event", tag="confirmed"):
    """The radio confirmed the indication: a cuff that deletes on confirmation has forgotten the measurement."""

    id: str
    at: str


class Overwritten(msgspec.Struct, frozen=True, tag_field="event", tag="overwritten"):
    """A full memory took a newer measurement in place of this one, its oldest."""

    id: str
    at: str


class Quiet(msgspec.Struct, frozen=True, tag_field="event", tag="quiet"):
    """No more measurements will come; the devices stay on the air."""

    at: str


def shown_parts(parts: Mapping[str, Quantity | Limit]) -> dict[str, Shown | Beyond]:
    """Parts as the truth states them, with the digits that the device displays."""
    return {
        name: Beyond(part.value) if isinstance(part, Limit) else Shown(f"{part.number}", part.unit)
        for name, part in parts.items()
    }


class TruthFile:
    """Appends lines. What `measured` returned for is on disk, so a device may tell of it.

    Raises ConfigError where a truth stands already (two runs in one file can't be judged), StoreError where the disk
    does not take a line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        try:
            self._file = os.open(path, flags, _OWNER_ONLY)
        except FileExistsError:
            raise ConfigError(
                where=str(path), key="--dir", why="it holds the truth of another run",
                instead="a folder that has no truth.jsonl",
            ) from None  # fmt: skip
        except OSError as fault:
            raise ConfigError(
                where=str(path), key="--dir", why=f"it can't be written: {fault.strerror}",
                instead="a folder that this user may write to",
            ) from fault  # fmt: skip
        self._encoder = msgspec.json.Encoder()

    async def measured(self, record: Measured) -> None:
        """Write and fsync; the loop goes on meanwhile, since a virtual radio must not stall."""
        self._append(record)
        await asyncio.to_thread(os.fsync, self._file)

    def confirmed(self, measurement: str, at: datetime) -> None:
        """Write at once, so that nothing else can happen in between."""
        self._append(Confirmed(measurement, iso(at)))

    def overwritten(self, measurement: str, at: datetime) -> None:
        """Write at once."""
        self._append(Overwritten(measurement, iso(at)))

    def quiet(self, at: datetime) -> None:
        """Write at once."""
        self._append(Quiet(iso(at)))

    def _append(self, record: Measured | Confirmed | Overwritten | Quiet) -> None:
        line = self._encoder.encode(record) + b"\n"
        try:
            written = os.write(self._file, line)
        except OSError as fault:
            raise StoreError(f"{self._path}: {fault.strerror}", retry=False) from fault
        if written != len(line):
            raise StoreError(
                f"{self._path}: took {written} of {len(line)} bytes of a line", retry=False
            )

    def __enter__(self) -> Self:
        """The open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close it."""
        os.close(self._file)
