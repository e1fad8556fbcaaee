"""A visit to a glucose meter: who it is, what its clock shows, then the records that are new. It deletes nothing. Pure."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import timedelta

from drivers.gatt import racp
from drivers.gatt.device_information import ask_battery, told_battery
from drivers.gatt.glucose.steps import Cursor, Stepwise, cursor
from drivers.gatt.glucose.transfer import (
    CONTEXT,
    MEASUREMENT,
    WRAP_NEAR,
    Join,
    Record,
    Transfer,
    joined,
    joined_by_place,
    joined_isens,
)
from drivers.gatt.introduction import Introduction
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Opened,
    PeerError,
    Profile,
    Reading,
    Report,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    VisitClosed,
    until_stored,
    wait,
)

LATE_CONTEXT_S = 2.0  # behind the answer to a report
_LATE = "late context"

# By how the manufacturer's name begins, in lower case: those whose records mean something else than the standard says.
ISENS = "i-sens"
JOINS: Mapping[str, Join] = {ISENS: joined_isens, "taidoc": joined_by_place}

Downloading = Generator[Command | None, Event | None, None]
Vouching = Generator[Command | None, Event | None, bool | None]


class _Meter:
    """One visit. `_known` is what is on disk already; a transfer that ends whole brings a cursor that is proven."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._known = unit.profile, cursor(unit.cursor)
        self._enrolled = unit.facts
        self._intro = Introduction(unit, opened, self._hear_in_gap)
        self._transfer = Transfer()
        self._join: Join = joined
        self._steps: Stepwise | None = None
        self._asked_all = False

    def visit(self) -> Flow:
        facts = yield from self._intro.facts()
        yield ReportFacts(facts)
        yield from ask_battery(self._profile)
        self._join = _join_of({**self._enrolled, **facts})
        yield from self._intro.clock()
        for channel in (MEASUREMENT, CONTEXT, racp.CHANNEL):
            if channel in self._profile.channels:
                yield Subscribe(channel)
        self._steps = steps = Stepwise(self._transfer, self._join)
        try:
            yield from self._download(steps)
            yield from self._hear_out(steps)
        except (PeerError, VisitClosed):
            # It will come again: nothing is told whose context may still say that it is something else.
            yield from self._tell_harmless([] if self._join is joined_isens else self._new(steps))
            raise
        yield from self._tell(steps)

    def _hear_in_gap(self, event: Event) -> Iterable[Command]:
        if self._steps is not None:
            self._steps.hear(event)
        else:
            yield from told_battery(event)

    def _download(self, steps: Stepwise) -> Downloading:
        """What is new; everything where the meter can't say what is new, or is not the one that it was."""
        known, plain = self._known, self._join is joined
        if known is not None and known.mark.sequence < WRAP_NEAR and not self._by_place:
            # From the last known record on, that one included: its absence betrays a meter that was reset.
            vouched = yield from self._vouched(known, steps)
            if vouched:
                steps.begin(known, allowed=plain)
                done = yield from self._fetch(_from(known.mark.sequence), steps)
                if done and self._transfer.holds(known.mark):
                    return
                vouched = False if done else None
            plain = plain and vouched is not None
        elif known is not None:
            plain = False
        steps.begin(None, allowed=plain)
        self._asked_all = True
        if not (yield from self._fetch(_all_records, steps)):
            raise PeerError("does not support the report of all its records")

    def _hear_out(self, steps: Stepwise) -> Flow:
        """A meter of i-SENS was seen to tell a context behind the answer to the report: without it the record would never be told."""
        if self._join is not joined_isens:
            return
        yield SetTimer(_LATE, LATE_CONTEXT_S)
        try:
            while self._transfer.undecided(self._new(steps)):
                event = yield from wait()
                if isinstance(event, TimerFired) and event.timer == _LATE:
                    return
                steps.hear(event)
                yield from steps.spill()
        except VisitClosed:
            yield from self._tell_harmless(self._decided(steps))
            raise

    def _decided(self, steps: Stepwise) -> Sequence[Record]:
        """Those that are new, but for what may turn out to be of something else."""
        new = self._new(steps)
        doubtful = self._transfer.undecided(new) if self._join is joined_isens else ()
        return [record for record in new if record not in doubtful]

    def _fetch(self, of: racp.Asked, steps: Stepwise) -> racp.Reporting:
        done = yield from racp.report(of, steps, self._intro.settle)
        if not done or steps.proven:
            return done
        # Nothing else says that a record was lost on the way, of a meter that doesn't count as of one that told copies: it
        # tells all of them twice.
        steps.again()
        return (yield from racp.report(of, steps, self._intro.settle))

    def _vouched(self, known: Cursor, steps: Stepwise) -> Vouching:
        """Whether all before the cursor was told; None where the meter can't say."""
        if known.unproven is None:
            return True
        base = known.unproven.base
        since = _all_records if base is None else _from(base)
        whole = yield from racp.count(since, steps, self._intro.settle)
        rest = yield from racp.count(_from(known.mark.sequence), steps, self._intro.settle)
        if whole is None or rest is None:
            return None
        # A memory that overwrites its oldest holds fewer by now.
        return whole - rest + 1 <= known.unproven.told

    def _tell(self, steps: Stepwise) -> Flow:
        """All that is new, and the cursor that it proves, in one commit."""
        new, newest, fault = self._new(steps), self._transfer.newest(), self._transfer.fault
        if doubtful := len(new) - len(decided := self._decided(steps)):
            # Told as glucose, a ketone would be a low that nobody had. The context comes with the next visit.
            new = decided
            fault = PeerError(
                f"{doubtful} records came without the context that says what they are of"
            )
        if self._by_place or fault is not None:
            yield from self._tell_harmless(new)
            if fault is not None:
                raise fault
        elif new or (newest is not None and Cursor(newest.mark) != self._known):
            for reading in self._transfer.readings(new, self._join):
                yield Report(reading)
            yield from until_stored(str(Cursor(newest.mark)) if newest else None)

    def _tell_harmless(self, records: Sequence[Record]) -> Flow:
        """Without a cursor they will come again: only those are told whose keys make that harmless."""
        nameless = 0
        for reading in self._transfer.readings(records, self._join):
            if _names_itself(reading, self._profile):
                yield Report(reading)
            else:
                nameless += 1
        if nameless and self._by_place:
            raise PeerError(f"{nameless} records have no number of their own and no usable time")

    def _new(self, steps: Stepwise) -> Sequence[Record]:
        known = self._known
        if known is None or self._by_place:
            return steps.untold(self._transfer.records)
        if self._asked_all and known.unproven is not None:
            # Of all records as many lie before the cursor as were told, or something was lost on the way.
            told = self._transfer.as_far_as(known.mark)
            if known.unproven.base is not None or told > known.unproven.told:
                return steps.untold(self._transfer.records)
        return steps.untold(self._transfer.beyond(known.mark))

    @property
    def _by_place(self) -> bool:
        return self._join is joined_by_place


def _from(number: int) -> racp.Asked:
    return lambda op: racp.at_least(op, number)


def _all_records(op: racp.Op) -> racp.Request:
    return racp.Request(op, racp.Operator.ALL)


def _join_of(facts: Mapping[str, str]) -> Join:
    maker = facts.get("manufacturer", "").casefold()
    if maker and ISENS.startswith(maker):
        return joined_isens  # A name that came cut short: a ketone told as glucose would be a low that nobody had.
    return next((join for name, join in JOINS.items() if maker.startswith(name)), joined)


def _names_itself(reading: Reading, profile: Profile) -> bool:
    """Whether number and stored time make the key; a time that says nothing would be given another key each time it is told."""
    taken, span = reading.taken, timedelta(seconds=profile.identity.reset_span_s)
    return taken is not None and not any(
        timedelta() <= taken - epoch <= span for epoch in profile.identity.reset_epochs
    )


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Meter(unit, opened).visit()


DRIVER = FlowDriver("gatt.glucose", _visit)
