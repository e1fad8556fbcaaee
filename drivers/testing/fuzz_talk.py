"""A session and a device that says what it likes, at any time, until one of them has enough. Pure; who fuzzes brings the choices."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from drivers.testing.case import BETWEEN_VISITS_S, Bench, Case
from drivers.testing.fuzz_frames import Asked, Stock, answered, befallen, stray
from drivers.testing.visiting import OPENED_AT
from gateway.contract.session import (
    Closed,
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Report,
    Session,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
)

EVENTS_MAX = 400  # a device that has not had enough by then is left
COMMANDS_MAX = 10_000  # in answer to one event: whoever yields more never ends
EVERY_S = 0.001
RECORDS_MAX = 5
MANY = 60  # records, that a driver puts on disk in steps
ONE_IN = (
    1,
    2,
    4,
    8,
    16,
    48,
)  # so many true frames something befalls one, of so many refusals one is none
WAITS_S = (1.0, 6.0, 31.0)

Told = Callable[[Command], object]


class Endless(Exception):  # noqa: N818 what the fuzzer shows
    """A session answered one event with commands without end."""


@dataclass(slots=True)
class Tally:
    """What came of many visits. `altered`: frames that the device, left alone, would not have said there. `found`: by why, the octets that show it."""

    visits: int = 0
    frames: int = 0
    altered: int = 0
    readings: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])
    found: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def ended(self, how: str) -> None:
        """One more visit, that ended so."""
        self.visits += 1
        self.ends[how] = self.ends.get(how, 0) + 1


class Talk:
    """One visit. There is no host between: what a session flushes is durable at once. `told` hears what it reports, and where it flushes. `heard`: all that the session was told."""

    def __init__(
        self, case: Case, stock: Stock, rng: Random, told: Told, units: Sequence[UnitInfo]
    ) -> None:
        """`units`: what the box may know of the device; one of them is taken."""
        bench = Bench(case, case.manners[rng.randrange(len(case.manners))])
        for number in range(MANY if rng.randrange(24) == 0 else rng.randrange(RECORDS_MAX)):
            bench.measure(case.sample(number))
        self._now = OPENED_AT + bench.hours.at + BETWEEN_VISITS_S
        self._specimen, self._stock, self._rng, self._told = bench.specimen, stock, rng, told
        self._one_in, self._refuses = rng.choice(ONE_IN), rng.choice(ONE_IN)
        self._session: Session = case.subject.driver.open(units[rng.randrange(len(units))])
        self._timers: dict[str, float] = {}
        self._due: deque[Event] = deque()
        self._asked: Asked | None = None
        self._over = ""
        self.heard: list[Event] = []
        self.frames = self.altered = self.readings = 0

    def run(self) -> str:
        """How it ended, in a word. Raises what the session raises, but PeerError."""
        self._due.append(Opened(self._now))
        self._hear(self._specimen.speak())
        for _ in range(EVENTS_MAX):
            event = self._next()
            if event is not None:
                self._tell(event)
            if self._over:
                return self._over
        return "went on"

    def _next(self) -> Event | None:
        # One timer at a time: the session may replace the others meanwhile, and what was replaced never fires.
        for name, due in self._timers.items():
            if due <= self._now:
                del self._timers[name]
                return TimerFired(self._now, name)
        if not self._due:
            self._goes_on()
        return self._due.popleft() if self._due else None

    def _goes_on(self) -> None:
        """Nothing is under way: the device speaks, refuses, hangs up, or is silent until a timer fires."""
        match self._rng.randrange(16):
            case 0 if self._asked is not None:
                self._due.append(Refused(self._now, self._asked, self._rng.randrange(256)))
            case 1 if self._rng.randrange(4) == 0:
                self._due.append(Closed(self._now, "the link broke"))
            case 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11:
                self._say(stray(self._rng, self._stock, self._asked))
            case _ if self._timers:
                self._now = max(self._now, min(self._timers.values()))
            case _:
                self._over = "waits"

    def _say(self, *packets: Received) -> None:
        self.altered += len(packets)
        self._due.extend(replace(one, at=self._now) for one in packets)

    def _tell(self, event: Event) -> None:
        self._now += EVERY_S
        if self._rng.randrange(32) == 0:
            self._now += self._rng.choice(WAITS_S)
        event = replace(event, at=self._now)
        self.heard.append(event)
        self.frames += isinstance(event, Received)
        try:
            for place, command in enumerate(self._session.on(event)):
                if place > COMMANDS_MAX:
                    raise Endless(f"over {COMMANDS_MAX} commands in answer to {event}")
                self._carry_out(command)
        except PeerError:
            self._over = "PeerError"
        if isinstance(event, Closed):
            self._over = self._over or "closed"

    def _carry_out(self, command: Command) -> None:
        match command:
            case SetTimer(timer, after_s):
                self._timers[timer] = self._now + after_s
            case Flush():
                self._told(command)
                self._due.appendleft(Stored(self._now))
            case Subscribe() | Write() | Read():
                self._asked = command
                self._hear(self._specimen.hear(command))
            case Finish():
                self._over = "finished"
            case _:
                self.readings += isinstance(command, Report)
                self._told(command)

    def _hear(self, said: Iterable[Received | Refused]) -> None:
        for answer in said:
            if self._rng.randrange(self._refuses if isinstance(answer, Refused) else self._one_in):
                self._due.append(replace(answer, at=self._now))
            elif isinstance(answer, Refused):
                self._say(answered(self._rng, self._stock, answer.command))
            else:
                came = list(befallen(self._rng, answer, self._stock))
                self.altered += max(0, 1 - len(came)) - sum(one == answer for one in came)
                self._say(*came)


def units_of(case: Case) -> Sequence[UnitInfo]:
    """What a box may know of a device: nothing; where an earlier visit ended; its users' codes."""
    bench = Bench(case)
    plain = UnitInfo(case.profile)
    known: list[UnitInfo] = []
    for number in range(RECORDS_MAX):
        bench.measure(case.sample(number))
        bench.visit()
        if bench.disk.cursor is not None:
            known.append(replace(plain, cursor=bench.disk.cursor))
    raw = [replace(plain, raw_stream=True)] if case.profile.stream is not None else []
    users = [replace(plain, secrets=SECRETS)] if USERS in case.profile.channels else []
    return [*known[:1], *known[-1:], *raw, *users, plain]


USERS = "user_control"
SECRETS: Mapping[str, str] = {
    "user.1.code": "1234",
    "user.new.code": "4321",
    "user.new.birth_date": "1961-05-17",
    "user.new.gender": "female",
    "user.new.user_height": "171",
}
