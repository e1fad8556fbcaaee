"""Frames that a device has forgotten, and that came as its visit ended: read by playing the visit again. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.contract.border import kept
from gateway.contract.session import Closed, Command, Event, Reading, Received, Report, Session
from gateway.contract.unreadable import UnreadableError
from gateway.contract.visit import Effect, Happening, Over, Persist, Persisted, Visit


@dataclass(slots=True)
class Salvaged:
    """`read`: each late frame with the readings in it. `unreadable`: those that the driver could not read, the visit's own included."""

    read: list[tuple[Received, tuple[Reading, ...]]] = field(
        default_factory=list[tuple[Received, tuple[Reading, ...]]]
    )
    unreadable: list[Received] = field(default_factory=list[Received])


class _Overheard:
    """A session of which every report is noted. Opened at its first event, where the visit contains what a driver raises."""

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open = open_session
        self._session: Session | None = None
        self.reports: list[Reading] = []

    def on(self, event: Event) -> Iterator[Command]:
        if self._session is None:
            self._session = self._open()
        for command in self._session.on(event):
            if isinstance(command, Report):
                self.reports.append(kept(command.reading))
            yield command


def salvage(
    open_session: Callable[[], Session], history: Sequence[Happening], late: Iterable[Received]
) -> Salvaged:
    """Read late frames. `history`: what the visit handled, without the happening that ended it.

    A session is a pure function of what it heard, so a fresh one that hears the same stands where the old one stood.
    One bad frame costs itself only.
    """
    salvaged = Salvaged()
    heard = list(history)
    overheard, visit = _replayed(open_session, heard)
    for frame in late:
        overheard.reports.clear()
        _hear(visit, frame)
        readings = tuple(overheard.reports)
        if readings:
            salvaged.read.append((frame, readings))
        elif visit.over:
            salvaged.unreadable.append(frame)
        if visit.over:
            overheard, visit = _replayed(open_session, heard)
        else:
            heard.append(frame)
    salvaged.unreadable += _held(visit)
    return salvaged


def _held(visit: Visit) -> Iterator[Received]:
    """What a session could not read, and went on after, it says when it is over."""
    for effect in visit.handle(Closed(0.0)):
        if isinstance(effect, Over) and isinstance(effect.error, UnreadableError):
            yield from effect.error.frames


def _replayed(
    open_session: Callable[[], Session], heard: Sequence[Happening]
) -> tuple[_Overheard, Visit]:
    overheard = _Overheard(open_session)
    visit = Visit(overheard)
    for happening in heard:
        _exhaust(visit.handle(happening))
    return overheard, visit


def _hear(visit: Visit, frame: Received) -> None:
    flushed = sum(isinstance(effect, Persist) and effect.answer for effect in visit.handle(frame))
    for _ in range(flushed):
        _exhaust(visit.handle(Persisted(frame.at)))


def _exhaust(effects: Iterator[Effect]) -> None:
    for _ in effects:
        pass
