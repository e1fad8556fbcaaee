"""What a visit fetches and hears of one session, and the cursor that this proves. Pure.

It may not decide which session runs (run.py), nor write anything but requests for records.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.gatt import racp
from drivers.gatt.cgm.codec import OFFSET_END
from drivers.gatt.cgm.readings import Origin, reading
from drivers.gatt.cgm.run import TOLD_MAX, Run, Shown, is_doubtful, restarted
from drivers.gatt.cgm.transfer import Told, Transfer
from gateway.sdk import (
    Command,
    Event,
    Flow,
    Flush,
    PeerError,
    Reading,
    Report,
    SetTimer,
    Stored,
    TimerFired,
    wait,
)

TIME_OFFSET = racp.SEQUENCE_NUMBER  # filter type 1, whose value here is minutes
WINDOW_MIN = 720  # asked for and put on disk at once: half a day
# Windows end so long before now that nothing is still to be stored in them.
SETTLED_MIN = 60

_QUIET = "quiet"

Naming = Generator[Command | None, Event | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Visited:
    """What is known of the sensor before its records are asked for. `saved`: the cursor on disk."""

    shown: Shown
    origin: Origin
    saved: str | None
    gap: racp.Gap
    quiet_s: float


class Download:
    """The records of one visit. `run` is what is on disk of the session, and what is on its way there."""

    def __init__(self, run: Run, transfer: Transfer, visited: Visited) -> None:
        """Nothing is asked yet."""
        self._run, self._transfer, self._visited = run, transfer, visited
        self._saved = visited.saved
        self._at = visited.shown.at

    def named(self) -> Naming:
        """The start by which the records are named, if any.

        A sensor that counts from 0 again under its old start, and is not yet where it was, holds no record of where it was.
        """
        shown, proven = self._visited.shown, self._run.proven
        if is_doubtful(self._run, shown):
            held = yield from racp.count(_from(proven), self._transfer, self._visited.gap)
            if held == 0:
                self._run = restarted(self._run, shown)
                origin = replace(self._visited.origin, named=self._run.named)
                self._visited = replace(self._visited, origin=origin)
        return self._run.named

    def begin(self) -> Flow:
        """Which session runs, and by which start it is named, goes to disk before anything is told under that name.

        Else a link that breaks, and a start that is written anew before the next visit, would name records twice.
        """
        if (yield from self._report([])):
            yield from self._stored()

    def fetch_all(self) -> Flow:
        """Half a day at a time, each on disk before the next is asked for; then all that is left. Raises PeerError.

        One that can't be had whole proves nothing, nor does what lies beyond it. But that is told all the same: a record
        that the sensor can't tell right would else hide all that follow, for as long as the session lasts.
        """
        try:
            yield from self._fetch_proving()
        except PeerError:
            if self._transfer.frames:
                yield from self._fetch_beyond(self._transfer.window.stop)
            raise

    def _fetch_beyond(self, minute: int) -> Flow:
        if self._run.named is None or minute >= OFFSET_END:
            return
        yield from self.tell_harmless()
        self._transfer.restart()
        yield from self._fetch(range(minute, OFFSET_END), _from(minute))

    def _fetch_proving(self) -> Flow:
        now_min = self._visited.shown.offset_min
        while now_min - SETTLED_MIN > (end := self._run.proven + WINDOW_MIN):
            window = range(self._run.proven + 1, end + 1)
            if not (yield from self._fetch(window, _within(window))):
                break
            yield from self._settle(window, end)
        rest = range(self._run.proven + 1, OFFSET_END)
        if not (yield from self._fetch(rest, _from(rest.start))):
            rest = range(OFFSET_END)
            if not (yield from self._fetch(rest, _all_records)):
                raise PeerError("does not support the report of all its records")
        # A record that was made since the status was read proves nothing of those before it.
        come = [told.minute for told in self._transfer.records() if told.minute <= now_min]
        yield from self._settle(rest, max(come, default=self._run.proven))

    def listen(self) -> Flow:
        """What it tells by itself, until it has been quiet for as long as its profile says. Raises PeerError."""
        yield SetTimer(_QUIET, self._visited.quiet_s)
        while len(self._run.told) < TOLD_MAX:
            yield from self._report(self._new(self._transfer.records(), pushed=True))
            event = yield from wait()
            self._at = event.at
            if isinstance(event, TimerFired) and event.timer == _QUIET:
                return
            if self._transfer.hear(event):
                yield SetTimer(_QUIET, self._visited.quiet_s)
            if self._transfer.fault is not None:
                raise self._transfer.fault

    def tell_harmless(self) -> Flow:
        """Without a cursor they will come again: only those are told that have a name of their own, by which they are known then."""
        if self._run.named is not None:
            for one in self._new(self._transfer.records()):
                yield Report(one)

    def _fetch(self, window: range, of: racp.Asked) -> racp.Reporting:
        self._transfer.window = window
        whole = yield from self._reported(of)
        if whole and not self._transfer.counted:
            # Of a sensor that doesn't count nothing else says that a record was lost on the way: it tells all of them twice.
            whole = yield from self._reported(of)
        return whole

    def _reported(self, of: racp.Asked) -> racp.Reporting:
        whole = yield from racp.report(of, self._transfer, self._visited.gap)
        if self._transfer.fault is not None:
            raise self._transfer.fault
        return whole

    def _settle(self, window: range, proven: int) -> Flow:
        """What came of a window, and that it was all of it, in one commit."""
        come = [told for told in self._transfer.records() if told.minute in window]
        readings = self._new(come)
        self._run = self._run.proven_to(proven)
        if (yield from self._report(readings)):
            yield from self._stored()

    def _stored(self) -> Flow:
        while not isinstance(event := (yield from wait()), Stored):
            self._transfer.hear(event)

    def _report(self, readings: Sequence[Reading]) -> Generator[Command | None, Event | None, bool]:
        """On their way to the disk with the cursor; whether there was anything to put there."""
        for one in readings:
            yield Report(one)
        if self._saved == str(self._run):
            return False
        self._saved = str(self._run)
        yield Flush(self._saved)
        return True

    def _new(self, come: Sequence[Told], *, pushed: bool = False) -> list[Reading]:
        """Readings of those that no commit has; they are on their way there now."""
        new: list[Reading] = []
        for told in come:
            if not self._run.has(told.minute, told.raw):
                self._run = self._run.with_told(told.minute, told.raw)
                new.append(self._reading(told, pushed=pushed))
        self._transfer.drop(come)
        return new

    def _reading(self, told: Told, *, pushed: bool) -> Reading:
        made, shown = reading(told.record, told.raw, self._visited.origin), self._visited.shown
        fresh = told.minute > shown.offset_min
        # Minutes are whole: it may have been made in the one before the status was read.
        within_s = self._at - shown.at + 60 if fresh and made.taken is None else None
        return replace(made, pushed=pushed and fresh, within_s=within_s)


def _within(window: range) -> racp.Asked:
    bounds = tuple(at.to_bytes(2, "little") for at in (window.start, window.stop - 1))
    return lambda op: racp.Request(op, racp.Operator.WITHIN, TIME_OFFSET, bounds)


def _from(minute: int) -> racp.Asked:
    return lambda op: racp.at_least(op, minute)


def _all_records(op: racp.Op) -> racp.Request:
    return racp.Request(op, racp.Operator.ALL)
