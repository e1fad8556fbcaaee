"""A visit to a generic health sensor: what it stored since the last visit, and what it observes meanwhile. It deletes nothing. Pure."""

import re
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import timedelta

from drivers.gatt import racp
from drivers.gatt.health_sensor.gathering import CONTROL, LIVE, STORED, Gathering, Told
from drivers.gatt.health_sensor.values import decode_time
from drivers.gatt.introduction import ANSWER_S, Introduction
from gateway.sdk import (
    Command,
    Event,
    Fields,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Profile,
    Reading,
    Received,
    Refused,
    Report,
    ReportClock,
    ReportFacts,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    VisitClosed,
    Write,
    wait,
)

TIME = "elapsed_time"
START_LIVE, STOP_LIVE = b"\x01", b"\x02"
NUMBER_OCTETS = 4
PARTING_S = 10.0  # a sensor that observes without end is left before the visit's deadline

_QUIET, _ANSWER = "quiet", "answer"
_CURSOR = re.compile(r"h1:(\d{1,10}):([0-9a-f]{12})")

Fetching = Generator[Command | None, Event | None, bool]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The newest stored record that is on disk, by number and fingerprint."""

    record: int
    fingerprint: str

    def __str__(self) -> str:
        """As it lies on disk."""
        return f"h1:{self.record}:{self.fingerprint}"


def cursor(text: str | None) -> Cursor | None:
    """None for none, or one that another driver wrote: then all is asked for."""
    found = _CURSOR.fullmatch(text or "")
    return Cursor(int(found[1]), found[2]) if found else None


class _Live(Gathering):
    """A gathering that tells what is observed live at once: no memory is promised for it."""

    def __init__(self, profile: Profile) -> None:
        """Nothing is told yet."""
        super().__init__()
        self._profile = profile
        self._named: set[bytes] = set()
        self._unnamed = Counter[tuple[bytes, bool]]()  # by octets, and whether they came live

    def spill(self) -> list[Command]:
        """Each in a commit of its own."""
        told: list[Command] = []
        while self.live:
            if reading := self.new(self.live.popleft()):
                told += [Report(reading), Flush()]
        return told

    def new(self, told: Told) -> Reading | None:
        """Its reading, unless this visit has told it: what is observed live may be stored too, and may be told live again.

        Equal octets whose time names them are one observation. Others, of a clock that stands still, or of ticks, are as
        many as there are records, and what was told live is one of those.
        """
        reading = told.reading
        if reading is None or told.observation.time is None:
            return reading
        if _names_itself(reading, self._profile):
            known = told.raw in self._named
            self._named.add(told.raw)
            return None if known else reading
        mine, other = (told.raw, told.record is None), (told.raw, told.record is not None)
        if self._unnamed[other]:
            self._unnamed[other] -= 1
            return None
        self._unnamed[mine] += 1
        return reading


class _Sensor:
    """One visit."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._known = unit.profile, cursor(unit.cursor)
        self._intro = Introduction(unit, opened, self._tell_unasked)
        self._leave_at = opened.at + unit.profile.deadline_s - PARTING_S
        self._come = _Live(unit.profile)
        # Where no clock of UTC says otherwise, what is stored of it is held beside local time.
        self._come.zone = timedelta(seconds=unit.zone_offset_s)
        self._fault: PeerError | None = None

    def visit(self) -> Flow:
        with self._come.unreadable.told_at_the_end():
            try:
                yield from self._visit()
            finally:
                self._come.give_up()

    def _visit(self) -> Flow:
        yield ReportFacts((yield from self._intro.facts()))
        yield from self._clock()
        for channel in (LIVE, STORED, racp.CHANNEL, CONTROL):
            if channel in self._profile.channels:
                yield Subscribe(channel)
        if CONTROL in self._profile.channels:
            yield Write(CONTROL, START_LIVE)
        try:
            if racp.CHANNEL in self._profile.channels:
                yield from self._download()
            yield from self._listen()
        except (PeerError, VisitClosed):
            yield from self._tell_harmless()
            raise
        if CONTROL in self._profile.channels:
            yield from self._stop()
        if fault := self._fault or self._come.fault or self._come.unwilling:
            raise fault

    def _download(self) -> Flow:
        """What is stored. Where that can't be read, what it observes now is heard all the same, and the visit fails when that is over."""
        try:
            yield from self._fetch()
        except PeerError as fault:
            self._fault = fault
            yield from self._tell_harmless()
            yield Flush()
            self._come.restart()

    def _stop(self) -> Flow:
        """No more live observations; what was on its way until that is answered still counts."""
        yield Write(CONTROL, STOP_LIVE)
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            match event := (yield from wait()):
                case Received(_, channel) | Refused(_, Write(channel)) if channel == CONTROL:
                    return
                case TimerFired(_, timer) if timer == _ANSWER:
                    return
                case _:
                    self._come.hear(event)
                    yield from self._come.spill()

    def _clock(self) -> Flow:
        """What its clock shows, where it has one that says something of the calendar."""
        data = (yield from self._intro.ask(TIME)) if TIME in self._profile.channels else None
        if data is None:
            return
        # A clock that can't be read costs the time's certainty, never the measurement.
        try:
            told = decode_time(Fields(data))
        except PeerError:
            return
        if told.shown is None:
            return
        if told.is_utc:
            self._come.zone = told.offset
        # Beside this are held what observations say of UTC and of their offset, as a display would show it.
        yield ReportClock(told.shown)

    def _tell_unasked(self, event: Event) -> Iterator[Command]:
        # One that remembers its subscription tells before it is asked, and may forget what it told.
        self._come.hear(event)
        yield from self._come.spill()

    def _fetch(self) -> Flow:
        """From the last known record on, that one included: its absence betrays a sensor that numbers anew. Then all."""
        known = self._known
        done = known is not None and (yield from self._reported(_from(known.record)))
        if not done or not self._holds_known():
            self._come.restart()
            if not (yield from self._reported(_all_records)):
                raise PeerError("does not support the report of all its records")
        yield from self._tell()

    def _holds_known(self) -> bool:
        known = self._known
        return any(
            Cursor(_record(one), one.fingerprint) == known for one in self._come.stored.values()
        )

    def _new(self) -> Iterator[Told]:
        """Those that are newer than the known one; all where it is not among them, for then its number says nothing."""
        after = self._known.record if self._known is not None and self._holds_known() else -1
        return (told for told in self._come.stored.values() if _record(told) > after)

    def _reported(self, of: racp.Asked) -> Fetching:
        """One combined report, held against the count; a sensor that knows none is asked for a plain one."""
        announced = yield from racp.count(of, self._come, self._intro.settle)
        for op in (racp.Op.REPORT_COMBINED, racp.Op.REPORT):
            yield from self._intro.settle()
            ended = yield from racp.procedure(of(op), self._come)
            match ended:
                case racp.Answer(_, outcome) if outcome in racp.NOT_SUPPORTED:
                    continue
                case racp.Answer(_, outcome) if outcome not in racp.DONE:
                    raise PeerError(f"its report ended with response code {outcome}")
                case racp.Counted(number):
                    announced = max(number, announced or 0)
                case _:
                    pass
            if self._come.fault is not None:
                raise self._come.fault
            if self._come.frames < (announced or 0):
                raise PeerError(f"announced {announced} records and told {self._come.frames}")
            return True
        return False

    def _tell(self) -> Flow:
        """What is new, and the cursor that it proves, in one commit."""
        newest = max(self._come.stored.values(), key=_record, default=None)
        for told in self._new():
            if reading := self._come.new(told):
                yield Report(reading)
        if (
            newest is not None
            and (reached := Cursor(_record(newest), newest.fingerprint)) != self._known
        ):
            yield Flush(str(reached))
            while not isinstance(event := (yield from wait()), Stored):
                self._come.hear(event)
        self._come.restart()

    def _tell_harmless(self) -> Flow:
        """What was observed live. And of what is stored, which comes again without a cursor, those that have a time of their own, by which they are known then."""
        yield from self._come.spill()
        for told in self._new():
            made = told.reading
            if made is not None and _names_itself(made, self._profile) and self._come.new(told):
                yield Report(made)

    def _listen(self) -> Flow:
        yield from self._come.spill()
        yield SetTimer(_QUIET, self._profile.quiet_s)
        while True:
            event = yield from wait()
            if isinstance(event, TimerFired) and event.timer == _QUIET:
                return
            if self._come.hear(event):
                yield SetTimer(_QUIET, self._profile.quiet_s)
            yield from self._come.spill()
            if self._come.fault is not None:
                raise self._come.fault
            if event.at >= self._leave_at:
                return


def _names_itself(reading: Reading, profile: Profile) -> bool:
    taken, span = reading.taken, timedelta(seconds=profile.identity.reset_span_s)
    return taken is not None and not any(
        timedelta() <= taken - epoch <= span for epoch in profile.identity.reset_epochs
    )


def _record(told: Told) -> int:
    return told.record or 0


def _from(record: int) -> racp.Asked:
    return lambda op: racp.at_least(op, record, NUMBER_OCTETS)


def _all_records(op: racp.Op) -> racp.Request:
    return racp.Request(op, racp.Operator.ALL)


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Sensor(unit, opened).visit()


DRIVER = FlowDriver("gatt.health_sensor", _visit)
