"""A person who wears one device: measures as planned, and has each measurement on record before the device can tell it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from drivers.sim.fleet import Act, Device, coming
from drivers.sim.truth import Measured, Memory, TruthFile, shown_parts
from gateway.model.quantity import Limit, Quantity
from gateway.runtime.clock import Clock, iso

RAW_TIMES_KEPT = 600
"""So many last measurements of a device share no second of its own clock."""

NEXT_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement as a device stores it; `id` is the truth's name of it, which no device knows."""

    id: str
    raw_time: datetime
    act: Act


class Wearable(Protocol):
    """A device that lives: a cuff or a meter. `memory`: what becomes of a record that was told."""

    memory: Memory
    dead_clock: bool

    @property
    def busy(self) -> bool:
        """Whether it can't measure now."""
        ...

    def shows(self, now: datetime) -> datetime:
        """What its own clock says at the true instant `now`, naive."""
        ...

    async def remember(self, record: Record) -> None:
        """Store a record; from here on it may be told."""
        ...

    async def begin(self) -> None:
        """Go on the air, or plug in."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...


@dataclass(frozen=True, slots=True)
class Diary:
    """What all wearers share: the truth, the ward's clock, its voice, its word to end, and the next number."""

    truth: TruthFile
    clock: Clock
    say: Callable[[str], None]
    end: asyncio.Event
    numbers: Iterator[int]


class Wearer:
    """Measures with one device. `wearable` is told of a measurement after the truth has it on disk."""

    def __init__(self, device: Device, wearable: Wearable, diary: Diary) -> None:
        self.device = device
        self._wearable = wearable
        self._diary = diary
        self._raw_times: deque[datetime] = deque(maxlen=RAW_TIMES_KEPT)

    async def recall(self, began: datetime) -> None:
        """Put into the device what it measured before the ward began."""
        for act in self.device.history:
            true_time = began + timedelta(seconds=act.at_s)
            await self._note(act, true_time, self._wearable.shows(true_time))

    async def measure(self, began_s: float, until_s: float | None) -> None:
        """Measure as planned, from `began_s` by the monotonic clock, for `until_s` seconds or until told to end."""
        for act in coming(self.device):
            if until_s is not None and act.at_s > until_s:
                return
            due_s = began_s + act.at_s - self._diary.clock.monotonic()
            if await ended_within(self._diary.end, due_s):
                return
            moment = await self._free_moment()
            if moment is None:
                return
            await self._note(act, *moment)
            self._diary.say(f"{self.device.serial} measures {in_words(act)}")

    async def _free_moment(self) -> tuple[datetime, datetime] | None:
        """The true time and what the device shows then, as soon as it can measure; None where the ward ends before."""
        while True:
            now = self._diary.clock.now()
            shown = self._wearable.shows(now)
            if not self._wearable.busy and not self._taken(shown):
                return now, shown
            if await ended_within(self._diary.end, NEXT_LOOK_S):
                return None

    def _taken(self, shown: datetime) -> bool:
        # Its identity in the world is the second that the device stores; a dead clock has but one.
        return not self._wearable.dead_clock and shown in self._raw_times

    async def _note(self, act: Act, true_time: datetime, shown: datetime) -> None:
        record = Record(f"m-{next(self._diary.numbers):04d}", shown, act)
        self._raw_times.append(shown)
        await self._diary.truth.measured(
            Measured(
                id=record.id,
                serial=self.device.serial,
                kind=self.device.kind,
                raw_time=shown.isoformat(),
                clock="dead" if self._wearable.dead_clock else "good",
                true_time=iso(true_time),
                parts=shown_parts(act.parts),
                marks=tuple(sorted(act.marks)),
                memory=self._wearable.memory,
                flags=act.due.flags,
                alert=act.due.alert,
            )
        )
        await self._wearable.remember(record)


async def ended_within(end: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until the ward is told to end: then True."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await end.wait()
    except TimeoutError:
        return False
    return True


def in_words(act: Act) -> str:
    """A measurement for a progress line."""
    parts = ", ".join(f"{name} {_displayed(part)}" for name, part in act.parts.items())
    marks = f" ({', '.join(sorted(act.marks))})" if act.marks else ""
    due = f"; due: {act.due.alert.condition}, {act.due.alert.how}" if act.due.alert else ""
    return parts + marks + due


def _displayed(part: Quantity | Limit) -> str:
    if isinstance(part, Quantity):
        return f"{part.number} {part.unit}"
    return "LO" if part is Limit.BELOW else "HI"
