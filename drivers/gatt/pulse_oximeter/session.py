"""A visit to a pulse oximeter: who it is, what it has stored, then what it measures while it is on. It deletes nothing. Pure."""

from collections.abc import Generator, Iterator, Sequence

from drivers.gatt import racp
from drivers.gatt.introduction import Introduction
from drivers.gatt.pulse_oximeter.codec import Features, decode_features, decode_spot_check
from drivers.gatt.pulse_oximeter.meaning import SUMMING, is_stored, reading, sample
from drivers.gatt.pulse_oximeter.memory import Dump, Record, cursor, new
from drivers.gatt.streaming import Hearing, Stream, follow
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Profile,
    Reading,
    Received,
    Report,
    ReportFacts,
    Subscribe,
    UnitInfo,
    VisitClosed,
)

SPOT, CONTINUOUS, FEATURES = "spot_check", "continuous", "features"

_Asking = Generator[Command | None, Event | None, Features | None]


class _Oximeter:
    """One visit."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._known, self._opened = unit.profile, unit.cursor, opened
        self._stream = Stream(SUMMING, unit.profile, raw=unit.raw_stream)
        self._intro = Introduction(unit, opened, self._told_unasked)
        self._fault: PeerError | None = None

    def visit(self) -> Flow:
        try:
            yield from self._listen()
        except VisitClosed as closed:
            # Where `follow` was at work, it has told already.
            yield from self._stream.tell_at_last(closed.at)
            raise
        if self._fault is not None:
            raise self._fault

    def _listen(self) -> Flow:
        yield from self._intro.settle()
        yield ReportFacts((yield from self._intro.facts()))
        yield from self._intro.clock()
        features = yield from self._ask_features()
        heard = {SPOT: self._hear_spot, CONTINUOUS: self._hear_sample}
        channels = {name: take for name, take in heard.items() if name in self._profile.channels}
        for name in channels:
            yield Subscribe(name)
        if racp.CHANNEL in self._profile.channels and (features is None or features.stores):
            yield Subscribe(racp.CHANNEL)
            yield from self._download(sure=features is not None)
        yield from follow(self._stream, channels, self._profile, self._opened)

    def _ask_features(self) -> _Asking:
        if FEATURES not in self._profile.channels:
            return None
        data = yield from self._intro.ask(FEATURES)
        try:
            return None if data is None else decode_features(data)
        except PeerError:
            return None  # what it can do shows when it is asked to

    def _download(self, *, sure: bool) -> Flow:
        """All that is stored. `sure`: it says that it stores; else a control point that won't answer is no fault."""
        dump = Dump(SPOT, self._told_unasked)
        try:
            yield from self._report(dump)
        except PeerError as fault:
            yield from dump.spill()
            yield from self._tell_named(new(dump.records, self._known))
            # What it measures now is heard all the same; the visit fails when that is over.
            self._fault = fault if sure or dump.frames else None
            return
        except VisitClosed:
            yield from dump.spill()
            yield from self._tell_named(new(dump.records, self._known))
            raise
        yield from dump.spill()
        yield from self._tell(dump)

    def _report(self, dump: Dump) -> Flow:
        if not (yield from racp.report(_all_records, dump, self._intro.settle)):
            raise PeerError("does not support the report of all its records")

    def _tell(self, dump: Dump) -> Flow:
        """What is new and the cursor that the whole download proves, in one commit."""
        fresh = new(dump.records, self._known)
        if dump.fault is not None:
            yield from self._tell_named(fresh)
            self._fault = dump.fault
        elif fresh or cursor(dump.records) != self._known:
            for one in _readings(fresh):
                yield Report(one)
            yield Flush(cursor(dump.records))

    def _tell_named(self, records: Sequence[Record]) -> Iterator[Command]:
        """Without a cursor they will come again: those that have a time of their own are known by it then."""
        for one in _readings(records):
            if _names_itself(one, self._profile):
                yield Report(one)

    def _told_unasked(self, event: Event) -> Iterator[Command]:
        if isinstance(event, Received) and event.channel == SPOT:
            yield from _commands(self._hear_spot(event))
        elif isinstance(event, Received) and event.channel == CONTINUOUS:
            yield from _commands(self._hear_sample(event))

    def _hear_sample(self, event: Received) -> Hearing:
        return (yield from self._stream.hear(event, sample))

    def _hear_spot(self, event: Received) -> Hearing:
        try:
            told = decode_spot_check(event.data)
        except PeerError as fault:
            # It costs no other; the visit fails when all is told, and names it.
            self._fault = PeerError(f"{event.channel} {event.data.hex()}: {fault}")
            return False
        one = reading(told, event.data, pushed=not is_stored(told))
        if one is None:
            return False
        yield Report(one)
        yield Flush()
        return True


def _commands(hearing: Hearing) -> Iterator[Command]:
    yield from (command for command in hearing if command is not None)


def _readings(records: Sequence[Record]) -> Iterator[Reading]:
    for record in records:
        one = reading(record.told, record.raw, pushed=False)
        if one is not None:
            yield one


def _names_itself(one: Reading, profile: Profile) -> bool:
    taken, rule = one.taken, profile.identity
    return taken is not None and not any(
        0 <= (taken - epoch).total_seconds() <= rule.reset_span_s for epoch in rule.reset_epochs
    )


def _all_records(op: racp.Op) -> racp.Request:
    return racp.Request(op, racp.Operator.ALL)


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Oximeter(unit, opened).visit()


DRIVER = FlowDriver("gatt.pulse_oximeter", _visit)
