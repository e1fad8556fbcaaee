"""Drivers that are broken, each in one way. For tests of the kit; no test stands here."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from drivers.gatt.blood_pressure.codec import reading as indicated
from drivers.gatt.blood_pressure.session import MEASUREMENT
from drivers.vendor.onetouch_ultra2.codec import (
    ASK_DUMP,
    FRAMING,
    checksum,
    decode_header,
    decode_record,
    reading,
    request,
)
from drivers.vendor.onetouch_ultra2.session import LINE, readings
from gateway.sdk import (
    Asker,
    Command,
    Driver,
    Event,
    Flow,
    Flush,
    Limit,
    Opened,
    PeerError,
    Quantity,
    Reading,
    Received,
    Report,
    ReportClock,
    Session,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
    listen,
    quiet,
    until_stored,
    wait,
)


class Bent:
    """A true driver, of which one thing is broken."""

    id, contract = "broken", 0

    def __init__(self, inner: Driver) -> None:
        self._inner = inner

    def open(self, unit: UnitInfo) -> Session:
        self._session, self._clock, self._at = self._inner.open(self.unit(unit)), timedelta(), 0.0
        return self

    def on(self, event: Event) -> Iterator[Command]:
        self._at = event.at
        heard = self.hear(event)
        for command in self._session.on(heard) if heard is not None else ():
            yield from self.tell(command)

    def unit(self, unit: UnitInfo) -> UnitInfo:
        return unit

    def hear(self, event: Event) -> Event | None:
        return event

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, Report):
            command = Report(self.read(command.reading))
        return (command,)

    def read(self, told: Reading) -> Reading:
        return told


class AMinuteLate(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, taken=told.taken and told.taken + timedelta(minutes=1))


class Counts(Bent):
    told = 0

    def read(self, told: Reading) -> Reading:
        Counts.told += 1
        return replace(told, sequence=Counts.told)


class TakesPacketsForLines(Bent):
    def hear(self, event: Event) -> Event | None:
        whole = not isinstance(event, Received) or event.data.endswith(FRAMING.end)
        return event if whole else None


class RaisesUnicodeError(Bent):
    def hear(self, event: Event) -> Event | None:
        if isinstance(event, Received):
            event.data.decode("ascii")
        return event


class FillsUp(Bent):
    def hear(self, event: Event) -> Event | None:
        if isinstance(event, Received) and event.channel == MEASUREMENT:
            return replace(event, data=event.data.ljust(19, b"\0"))
        return event


class MendsChecksums(Bent):
    def hear(self, event: Event) -> Event | None:
        if isinstance(event, Received) and event.data.endswith(FRAMING.end):
            text = event.data[:-7]
            data = text + f" {checksum(text):04X}".encode() + FRAMING.end
            return replace(event, data=data)
        return event


class KeepsTheFirstFlags(Bent):
    flags: int | None = None

    def open(self, unit: UnitInfo) -> Session:
        self.flags = None
        return super().open(unit)

    def hear(self, event: Event) -> Event | None:
        if not isinstance(event, Received) or event.channel != MEASUREMENT or not event.data:
            return event
        self.flags = event.data[0] if self.flags is None else self.flags
        # Reserved bits are nobody's business but this driver's: it takes them for a sign to double what follows.
        odd = self.flags & 0xE0 and event.data[0] != self.flags
        return replace(event, data=event.data[:1] + b"\1\0" + event.data[3:]) if odd else event


class NeedsNoTimer(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        return () if isinstance(command, SetTimer) else (command,)


class ForgetsTheCursor(Bent):
    def unit(self, unit: UnitInfo) -> UnitInfo:
        return replace(unit, cursor=None)


class MovesTheCursorFirst(Bent):
    """The cursor is on disk before the readings that it stands for."""

    def open(self, unit: UnitInfo) -> Session:
        self.held: list[Command] = []
        return super().open(unit)

    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, Report):
            self.held.append(command)
            return ()
        if isinstance(command, Flush):
            return (command, *self.held, Flush())
        return (command,)


class FollowsTheDisplay(Bent):
    """Tells a record in the unit that the display is set to."""

    def open(self, unit: UnitInfo) -> Session:
        self.display = "mg/dL"
        return super().open(unit)

    def hear(self, event: Event) -> Event | None:
        if isinstance(event, Received) and b"MMOL/L" in event.data:
            self.display = "mmol/L"
        return event

    def read(self, told: Reading) -> Reading:
        parts = {
            name: replace(part, unit=self.display) if isinstance(part, Quantity) else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


class RemembersTheDisplay(Bent):
    """Of whichever meter it visited last."""

    display = b"MG/DL"

    def hear(self, event: Event) -> Event | None:
        if isinstance(event, Received) and b"MMOL/L" in event.data:
            RemembersTheDisplay.display = b"MMOL/L"
        return event

    def read(self, told: Reading) -> Reading:
        return replace(told, context={"display": self.display.decode()})


class NamesByDisplay(FollowsTheDisplay):
    def read(self, told: Reading) -> Reading:
        return replace(told, ordinal=told.ordinal + (self.display == "mmol/L"))


class CorrectsTime(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        if isinstance(command, ReportClock):
            now = datetime.fromtimestamp(self._at, UTC).replace(tzinfo=None)
            self._clock = now - command.shown
        return super().tell(command)

    def read(self, told: Reading) -> Reading:
        return replace(told, taken=told.taken and told.taken + self._clock)


class TellsPosition(Bent):
    """The place in the dump as the ordinal: it moves with every visit that doesn't begin at the beginning."""

    def open(self, unit: UnitInfo) -> Session:
        self.place = 0
        return super().open(unit)

    def read(self, told: Reading) -> Reading:
        self.place += 1
        return replace(told, ordinal=self.place)


class ErasesBeforeStored(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        erase = (Write(LINE, request(b"DMZ")),) if isinstance(command, Flush) else ()
        return (command, *erase)


class CommitsAtTheEnd(Bent):
    """Readings of a cuff that has forgotten them wait in the session's memory."""

    def tell(self, command: Command) -> Iterable[Command]:
        return () if isinstance(command, Flush) else (command,)


class TellsANumber(Bent):
    def read(self, told: Reading) -> Reading:
        number = {Limit.BELOW: Decimal(19), Limit.ABOVE: Decimal(601)}
        parts = {
            name: Quantity(number[part], "mg/dL") if isinstance(part, Limit) else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


class KnowsOneUnit(Bent):
    def read(self, told: Reading) -> Reading:
        parts = {
            name: replace(part, unit="mmHg")
            if isinstance(part, Quantity) and part.unit == "kPa"
            else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


class AddsTen(Bent):
    def read(self, told: Reading) -> Reading:
        parts = {
            name: replace(part, number=part.number + 10) if isinstance(part, Quantity) else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


class SpellsItsUnit(Bent):
    def read(self, told: Reading) -> Reading:
        parts = {
            name: replace(part, unit=f"{part.unit}s") if isinstance(part, Quantity) else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


class NeverSubscribes(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        return () if isinstance(command, Subscribe) else super().tell(command)


class HidesControl(Bent):
    def read(self, told: Reading) -> Reading:
        return replace(told, marks=frozenset())


class WantsATime(Bent):
    def tell(self, command: Command) -> Iterable[Command]:
        dated = not isinstance(command, Report) or command.reading.taken is not None
        return (command,) if dated else ()


class MakesUpATime(Bent):
    def read(self, told: Reading) -> Reading:
        if told.taken is None:
            now = datetime.fromtimestamp(self._at, UTC).replace(tzinfo=None)
            return replace(told, taken=now, raw_time=None)
        return told


class DropsZeros(Bent):
    def read(self, told: Reading) -> Reading:
        parts = {
            name: replace(part, number=part.number.normalize())
            if isinstance(part, Quantity)
            else part
            for name, part in told.parts.items()
        }
        return replace(told, parts=parts)


def swallows(unit: UnitInfo, _opened: Opened) -> Flow:
    """Skips lines that it can't read, and goes on as if they had been read."""
    line = Asker(LINE, FRAMING, 5.0)
    asked = yield from line.ask(request(ASK_DUMP), lambda frame: frame.startswith(b"P 0"))
    count, before = decode_header(asked).count, int(unit.cursor or 0)
    told: list[Reading] = []
    for _ in range(count):
        frame = yield from line.frame()
        try:
            told.append(reading(decode_record(frame), frame))
        except PeerError:
            continue
    for one in told[::-1][before:]:
        yield Report(one)
    yield from until_stored(str(count))


def asks_again(_unit: UnitInfo, _opened: Opened) -> Flow:
    """After three seconds without a word it asks once more, and takes whatever comes for the answer."""
    reader, lines, asked = FRAMING.reader(), list[bytes](), 0
    yield Write(LINE, request(ASK_DUMP))
    yield SetTimer("again", 3.0)
    while True:
        match (yield from wait()):
            case Received(_, _, data):
                lines.extend(reader.feed(data))
                yield SetTimer("again", 3.0)
            case TimerFired() if not lines and not asked:
                asked = 1
                yield Write(LINE, request(ASK_DUMP))
                yield SetTimer("again", 60.0)
            case TimerFired():
                break
            case _:
                pass
    records = [line for line in lines if line.startswith(b'P "')][::-1]
    dump = [(decode_record(line), line) for line in records]
    for one in readings(dump, with_ordinals=True):
        yield Report(one)
    yield from until_stored()


def listens_after_quiet(unit: UnitInfo, _opened: Opened) -> Flow:
    """Throws away what a bonded cuff tells before it is asked."""
    yield from quiet(1.0)
    yield from listen(
        lambda _channel, data: [indicated(data)], (MEASUREMENT,), unit.profile.quiet_s
    )


class InventsAMeal(Bent):
    """A record whose context did not come is said to be of before breakfast."""

    records = 0

    def open(self, unit: UnitInfo) -> Session:
        self.records = 0
        return super().open(unit)

    def read(self, told: Reading) -> Reading:
        self.records += 1
        if self.records == 2 and "meal" not in told.context:
            return replace(told, context={**told.context, "meal": "fasting"})
        return told
