"""A visit in virtual time: plays a capture, or talks to a simulated device, with no clock and no I/O.

For the kit, the command line and tests. It may not stand in for the agent: what it persists lies in memory.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from gateway.contract.session import (
    Closed,
    Opened,
    Peer,
    Read,
    Reading,
    Received,
    Refused,
    Session,
    Subscribe,
    Write,
)
from gateway.contract.visit import (
    Clock,
    DeadlinePassed,
    Effect,
    Ending,
    Facts,
    Happening,
    Over,
    Perform,
    Persist,
    Persisted,
    TimerDue,
    Visit,
    Wake,
)

HAPPENINGS_MAX = 1_000_000  # a visit that needs more is taken to loop


@dataclass(slots=True)
class Played:
    """What a visit did. `commits` are its readings as they went to disk, one tuple a commit."""

    commits: list[tuple[Reading, ...]] = field(default_factory=list[tuple[Reading, ...]])
    clocks: list[Clock] = field(default_factory=list[Clock])
    facts: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    performed: list[Subscribe | Write | Read] = field(
        default_factory=list[Subscribe | Write | Read]
    )
    cursor: str | None = None
    ending: Ending | None = None
    told_all: bool = False
    error: Exception | None = None

    @property
    def readings(self) -> Sequence[Reading]:
        """All that is on disk, in order."""
        return [reading for commit in self.commits for reading in commit]


class _Host:
    def __init__(self, session: Session, peer: Peer | None, now: float) -> None:
        self._visit, self._peer, self._now = Visit(session), peer, now
        self._own: list[Persisted] = []
        self._due: list[tuple[float, int, Happening]] = []
        self._order = count()
        self.played = Played()

    def expect(self, at: float, happening: Happening) -> None:
        heapq.heappush(self._due, (at, next(self._order), happening))

    def run(self) -> Played:
        for _ in range(HAPPENINGS_MAX):
            happening = self._next()
            if happening is None:
                break
            for effect in self._visit.handle(happening):
                self._carry_out(effect)
        return self.played

    def _next(self) -> Happening | None:
        if self._visit.over:
            return None
        if self._own:
            return self._own.pop(0)
        if not self._due:
            return Closed(self._now, "nothing more to play")
        at, _, happening = heapq.heappop(self._due)
        self._now = max(self._now, at)
        return happening

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Perform(command):
                self.played.performed.append(command)
                self._ask_peer(command)
            case Wake(token, after_s):
                due = self._now + after_s
                self.expect(due, TimerDue(due, token))
            case Persist(readings, cursor, answer):
                self._persist(readings, cursor, answer=answer)
            case Clock():
                self.played.clocks.append(effect)
            case Facts(facts):
                self.played.facts.append(facts)
            case Over(ending, error, told_all):
                self.played.ending, self.played.error = ending, error
                self.played.told_all = told_all

    def _ask_peer(self, command: Subscribe | Write | Read) -> None:
        for answer in self._peer.hear(command) if self._peer is not None else ():
            at = self._now + answer.at
            self.expect(at, replace(answer, at=at))

    def _persist(self, readings: tuple[Reading, ...], cursor: str | None, *, answer: bool) -> None:
        if readings:
            self.played.commits.append(readings)
        if cursor is not None:
            self.played.cursor = cursor
        if answer:
            self._own.append(Persisted(self._now))


def replay(
    session: Session,
    heard: Iterable[Opened | Received | Refused | Closed],
    *,
    opened: Opened | None = None,
) -> Played:
    """Play what was heard, at its own times, then fire what timers are left, then close the link.

    How the link opened stands in `heard` or in `opened`; else it did without facts, at the time of what was heard first.
    """
    events = list(heard)
    said = next((event for event in events if isinstance(event, Opened)), None)
    first = opened or said or Opened(min((event.at for event in events), default=0.0))
    host = _Host(session, None, first.at)
    host.expect(first.at, first)
    for event in events:
        if not isinstance(event, Opened):
            host.expect(event.at, event)
    return host.run()


def converse(session: Session, peer: Peer, opened: Opened, *, deadline_s: float) -> Played:
    """A visit to a simulated device. In its answers `at` is so many seconds from now; 0 is at once."""
    host = _Host(session, peer, opened.at)
    host.expect(opened.at, opened)
    host.expect(opened.at + deadline_s, DeadlinePassed(opened.at + deadline_s))
    return host.run()
