"""A visit in virtual time to a simulated device, with one mishap on the way. No clock, no asyncio, no files."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from drivers.testing.disk import Disk
from drivers.testing.subject import Hours, Specimen
from gateway.contract.profile import Profile
from gateway.contract.session import (
    Closed,
    Driver,
    Opened,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
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

HAPPENINGS_MAX = 200_000  # a visit that needs more is taken to loop
LINE_S = 0.01  # between two packets of a device
OPENED_AT = 1_773_472_022.0  # `BEGINNING` in UTC: the kit's zone has no offset

# The n-th packet of a device (from 0) -> what arrives in its place. `at` of each: so many seconds late.
Bend = Callable[[int, Received], Sequence[Received]]


def heard_at(moment: float, told: Received) -> Received:
    """The same packet at another moment. Built anew: `replace` takes three times as long, and this is done for each packet."""
    return Received(moment, told.channel, told.data)


def as_it_came(_number: int, told: Received) -> Sequence[Received]:
    """No mishap."""
    return (heard_at(0.0, told),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What goes wrong in a visit; packets are those that the device sends.

    `silent_after`, `closes_after`: so many packets. `unconfirmed`: the last packet before the link closed arrived, but its
    confirmation did not; of a link that stays, no confirmation did. `commits`: so many are durable; then the disk neither keeps nor answers.
    """

    bend: Bend = as_it_came
    silent_after: int | None = None
    closes_after: int | None = None
    unconfirmed: bool = False
    commits: int | None = None


CALM = Mishap()


@dataclass(slots=True)
class Went:
    """How a visit went.

    `readings`: each measurement that was told; one told again under its name, with more context, stands as it was told last.
    `packets`: what the device sent, unbent. `exchange`: all that went over the link, in words. `channels`: of each command, in order. `listened`: those that were
    subscribed to or read. `confirmed`: records that it forgot upon
    a confirmation. `forgot_early`: records that it forgot, and no disk had. `unasked`: it said something that no question called for. `opened_s`: when the visit began, in the kit's hours.
    `stated`: what it was said to be before its first reading went to the disk.
    """

    readings: list[Reading] = field(default_factory=list[Reading])
    packets: list[Received] = field(default_factory=list[Received])
    exchange: list[str] = field(default_factory=list[str])
    channels: list[str] = field(default_factory=list[str])
    listened: set[str] = field(default_factory=set[str])
    confirmed: int = 0
    commits: int = 0
    forgot_early: int = 0
    clocks: list[Clock] = field(default_factory=list[Clock])
    unasked: bool = False
    opened_s: float = 0.0
    stated: dict[str, str] = field(default_factory=dict[str, str])
    ending: Ending | None = None
    error: Exception | None = None

    @property
    def ended(self) -> str:
        """The ending, with what was raised."""
        raised = f": {type(self.error).__name__}: {self.error}" if self.error else ""
        return f"{self.ending or 'never'}{raised}"


def visit(
    driver: Driver,
    profile: Profile,
    specimen: Specimen,
    disk: Disk,
    mishap: Mishap = CALM,
    *,
    hours: Hours,
    in_words: bool = False,
    zone_offset_s: int = 0,
) -> Went:
    """One visit from opening to its end; time goes on in `hours`, and what is durable lies on `disk`. `in_words`: with its exchange."""
    unit = UnitInfo(profile, cursor=disk.cursor, zone_offset_s=zone_offset_s)
    visit_ = _Visiting(specimen, disk, mishap, hours, in_words=in_words)
    try:
        session = driver.open(unit)
    except Exception as bug:  # noqa: BLE001 a vendor's code ends here, and the check says so
        return Went(ending=Ending.BUG, error=bug)
    went = visit_.run(Visit(session), profile.deadline_s)
    specimen.hung_up()
    return went


@dataclass(frozen=True, slots=True)
class _Due:
    happening: Happening
    told: Received | None = None  # the packet that has arrived in full with this


class _Visiting:
    def __init__(
        self, specimen: Specimen, disk: Disk, mishap: Mishap, hours: Hours, *, in_words: bool
    ) -> None:
        self._in_words = in_words
        self._specimen, self._disk, self._mishap, self._hours = specimen, disk, mishap, hours
        self._queue: list[tuple[float, int, _Due]] = []
        self._own: list[Persisted] = []
        self._order = count()
        self._arrived = 0
        self._line_free_at = hours.at
        self._unanswered = self._held = self._forgotten = 0  # records, of this visit
        self._went = Went(opened_s=hours.at)
        # Where in `readings` those stand that one told later could be the fuller of.
        self._places = defaultdict[tuple[str, datetime | None, int | None], list[int]](list)

    def run(self, visit_: Visit, deadline_s: float) -> Went:
        self._handle(visit_, _Due(Opened(self._now)))
        end = self._hours.at + deadline_s
        self._push(end, _Due(DeadlinePassed(OPENED_AT + end)))
        for _ in range(HAPPENINGS_MAX):
            if visit_.over:
                return self._went
            self._handle(visit_, self._next())
        self._went.error = OverflowError(f"over {HAPPENINGS_MAX} happenings in one visit")
        return self._went

    @property
    def _now(self) -> float:
        return OPENED_AT + self._hours.at

    def _next(self) -> _Due:
        if self._own:
            return _Due(self._own.pop(0))
        closes_after = self._mishap.closes_after
        if closes_after is not None and self._arrived >= closes_after:
            return _Due(Closed(self._now, "the link broke"))
        at, _, due = heapq.heappop(self._queue)
        self._hours.at = max(self._hours.at, at)
        return due

    def _handle(self, visit_: Visit, due: _Due) -> None:
        forgotten = self._deliver(due.told) if due.told is not None else 0
        if isinstance(due.happening, Received | Refused):
            self._note_on_link("<", due.happening)
        if isinstance(due.happening, Opened):
            self._say(self._specimen.speak(), asked=False)
        if isinstance(due.happening, Persisted):
            self._held += self._unanswered
            self._unanswered = 0
        kept = 0
        for effect in visit_.handle(due.happening):
            kept += len(effect.readings) if isinstance(effect, Persist) else 0
            self._carry_out(effect)
        # Forgotten on confirmation: what the packet told is on its way to the disk before anything else is heard.
        self._went.forgot_early += max(0, forgotten - kept)

    def _note_on_link(self, way: str, said: Subscribe | Write | Read | Received | Refused) -> None:
        if self._in_words:
            self._went.exchange.append(f"{self._hours.at:9.3f} s {way} {_words(said)}")

    def _deliver(self, told: Received) -> int:
        self._arrived += 1
        if self._mishap.unconfirmed and self._mishap.closes_after in (None, self._arrived):
            return 0
        before = self._specimen.remembered
        self._specimen.delivered(told)
        forgotten = max(0, before - self._specimen.remembered)
        self._went.confirmed += forgotten
        return forgotten

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Perform(command):
                self._perform(command)
            case Wake(token, after_s):
                due = self._hours.at + max(0.0, after_s)
                self._push(due, _Due(TimerDue(OPENED_AT + due, token)))
            case Persist(readings, cursor, answer):
                self._persist(readings, cursor, answer=answer)
            case Clock():
                self._went.clocks.append(effect)
            case Facts(facts):
                if not self._went.readings:
                    self._went.stated |= facts
            case Over(ending, error):
                self._went.ending, self._went.error = ending, error

    def _perform(self, command: Subscribe | Write | Read) -> None:
        before = self._specimen.remembered
        self._went.channels.append(command.channel)
        if not isinstance(command, Write):
            self._went.listened.add(command.channel)
        self._note_on_link(">", command)
        self._say(self._specimen.hear(command), asked=not isinstance(command, Subscribe))
        self._forgotten += max(0, before - self._specimen.remembered)
        if self._forgotten > self._held:
            self._went.forgot_early += self._forgotten - self._held
            self._forgotten = self._held

    def _persist(self, readings: tuple[Reading, ...], cursor: str | None, *, answer: bool) -> None:
        if self._mishap.commits is not None and self._went.commits >= self._mishap.commits:
            return
        self._went.commits += 1
        for reading in readings:
            self._note(reading)
        self._disk.commit(readings, cursor)
        if answer:
            self._unanswered += len(readings)
            self._own.append(Persisted(self._now))

    def _note(self, reading: Reading) -> None:
        told = self._went.readings
        if self._disk.is_named(reading):
            places = self._places[reading.kind, reading.taken, reading.sequence]
            for place in places:
                if _is_fuller(reading, told[place]):
                    told[place] = reading
                    return
            places.append(len(told))
        told.append(reading)

    def _say(self, answers: Iterable[Received | Refused], *, asked: bool) -> None:
        for answer in answers:
            self._went.unasked |= not asked and isinstance(answer, Received)
            at = max(self._line_free_at, self._hours.at + answer.at) + LINE_S
            self._line_free_at = at
            if isinstance(answer, Refused):
                self._push(at, _Due(replace(answer, at=OPENED_AT + at)))
            else:
                self._send(at, answer)

    def _send(self, at: float, packet: Received) -> None:
        number = len(self._went.packets)
        self._went.packets.append(packet)
        silent_after = self._mishap.silent_after
        if silent_after is not None and number >= silent_after:
            return
        pieces = self._mishap.bend(number, packet)
        for place, piece in enumerate(pieces, 1):
            due = max(self._line_free_at, at + piece.at)
            self._line_free_at = due  # no link lets one packet overtake another
            told = packet if place == len(pieces) else None
            self._push(due, _Due(heard_at(OPENED_AT + due, piece), told))

    def _push(self, at: float, due: _Due) -> None:
        heapq.heappush(self._queue, (at, next(self._order), due))


def _words(said: Subscribe | Write | Read | Received | Refused) -> str:
    match said:
        case Received(_, channel, data):
            return f"{channel} {data.hex(' ')}"
        case Refused(_, command, code):
            return f"refused: {_words(command)} (0x{code:02X})"
        case Write(channel, data):
            return f"write {channel} {data.hex(' ')}"
        case _:
            return f"{type(said).__name__.lower()} {said.channel}"


def _is_fuller(reading: Reading, than: Reading) -> bool:
    if not than.context.items() < reading.context.items():
        return False
    said = {"raw": than.raw, "context": than.context, "within_s": than.within_s}
    return replace(reading, **said) == than
