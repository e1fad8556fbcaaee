"""The pure loop of a visit: what a session wants, turned into effects for a host. No clock, no I/O (plan, section 5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from gateway.contract.border import taken
from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    PeerError,
    Read,
    Reading,
    Received,
    Refused,
    Report,
    ReportClock,
    ReportFacts,
    Session,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    Write,
)

COMMANDS_MAX = 20_000  # for one event; a session that yields more is taken to loop
READINGS_MAX = 20_000  # in one visit, between two flushes


class Ending(StrEnum):
    """Why a visit is over."""

    FINISHED = "finished"
    CLOSED = "closed"
    PEER = "peer broke its protocol"
    BUG = "driver raised"
    DEADLINE = "deadline"


# host -> visit, beside the session's own events
@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer that `Wake` asked for ran out; `token` says which setting of it."""

    at: float
    token: int


@dataclass(frozen=True, slots=True)
class Persisted:
    """The `Persist` effect with this number is on disk."""

    at: float


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The visit has lasted as long as its profile allows."""

    at: float


Happening = Opened | Received | Refused | Closed | TimerDue | Persisted | DeadlinePassed


# visit -> host, to be carried out in order
@dataclass(frozen=True, slots=True)
class Perform:
    """Do this on the link."""

    command: Subscribe | Write | Read


@dataclass(frozen=True, slots=True)
class Wake:
    """Say `TimerDue(token)` after so many seconds."""

    token: int
    after_s: float


@dataclass(frozen=True, slots=True)
class Persist:
    """One commit: these readings, and the cursor unless it is None. Answer with `Persisted` where `answer` is true."""

    readings: tuple[Reading, ...]
    cursor: str | None
    answer: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """The device's clock showed this when the event that is being handled arrived (`at`, box's POSIX seconds)."""

    at: float
    shown: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """The device states this of itself: check it before anything more is persisted."""

    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more will happen. `error` says what the device or the driver did wrong; `told_all` is as in `Finish`."""

    ending: Ending
    error: Exception | None = None
    told_all: bool = False


Effect = Perform | Wake | Persist | Clock | Facts | Over


class Visit:
    """One session and what it has under way: readings not yet on disk, timers, whether it is over."""

    def __init__(self, session: Session) -> None:
        """Begin; nothing happens before `Opened` is handled."""
        self._session = session
        self._pending: list[Reading] = []
        self._timers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._token = 0
        self.over = False

    def handle(self, happening: Happening) -> Iterator[Effect]:
        """Effects of one happening, lazily: carry each out before asking for the next. Ends with `Over` when it is over."""
        if self.over:
            return
        match happening:
            case DeadlinePassed(at):
                # What the session holds back is told as over a link that closed, or it would never be: the next visit may
                # run into the same deadline.
                yield from self._tell(Closed(at, Ending.DEADLINE))
                if not self.over:
                    yield from self._end(Ending.DEADLINE)
            case TimerDue(at, token):
                name = self._names.pop(token, None)
                if name is not None and self._timers.get(name) == token:
                    del self._timers[name]
                    yield from self._tell(TimerFired(at, name))
            case Persisted(at):
                yield from self._tell(Stored(at))
            case Closed():
                yield from self._tell(happening)
                if not self.over:
                    yield from self._end(Ending.CLOSED)
            case Opened() | Received() | Refused():
                yield from self._tell(happening)

    def _tell(self, event: Event) -> Iterator[Effect]:
        closing = isinstance(event, Closed)
        told = 0
        try:
            for command in self._answers(event):
                told = _counted(told)
                if closing and not isinstance(command, Report):
                    continue
                yield from self._effects(event, taken(command))
                if self.over:
                    return
        except PeerError as fault:
            yield from self._end(Ending.PEER, fault)
        except Exception as bug:  # noqa: BLE001 a vendor's code ends here: what it reported is kept, the agent lives
            yield from self._end(Ending.BUG, bug)

    def _answers(self, event: Event) -> Iterator[Command]:
        answers: Iterator[Command] | None = None
        while True:
            try:
                answers = iter(self._session.on(event)) if answers is None else answers
                command = next(answers)
            except StopIteration:
                return
            except Exception:
                raise
            except BaseException as order:
                # `sys.exit()` in a driver is a bug of the driver's, and no order to the agent.
                raise RuntimeError(f"raised {type(order).__name__}") from order
            yield command

    def _effects(self, event: Event, command: Command) -> Iterator[Effect]:
        match command:
            case Report(reading):
                self._pending.append(reading)
                if len(self._pending) > READINGS_MAX:
                    raise PeerError(f"over {READINGS_MAX} readings without a flush")
            case Flush(cursor):
                yield self._persist(cursor, answer=True)
            case SetTimer(timer, after_s):
                yield self._wake(timer, after_s)
            case ReportClock(shown):
                yield Clock(event.at, shown)
            case ReportFacts(facts):
                yield Facts(dict(facts))
            case Subscribe() | Write() | Read():
                yield Perform(command)
            case Finish(told_all):
                yield from self._end(Ending.FINISHED, told_all=told_all)
            case _:
                assert_never(command)

    def _persist(self, cursor: str | None, *, answer: bool) -> Persist:
        readings, self._pending = tuple(self._pending), []
        return Persist(readings, cursor, answer)

    def _wake(self, timer: str, after_s: float) -> Wake:
        self._token += 1
        self._names.pop(self._timers.get(timer, 0), None)
        self._timers[timer] = self._token
        self._names[self._token] = timer
        return Wake(self._token, after_s)

    def _end(
        self, ending: Ending, error: Exception | None = None, *, told_all: bool = False
    ) -> Iterator[Effect]:
        # A link that closed, a fault or a deadline leaves the cursor where it was: what was told is kept, no more.
        self.over = True
        if self._pending:
            yield self._persist(None, answer=False)
        yield Over(ending, error, told_all)


def _counted(told: int) -> int:
    if told >= COMMANDS_MAX:
        raise OverflowError(f"over {COMMANDS_MAX} commands in answer to one event")
    return told + 1
