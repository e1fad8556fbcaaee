"""`BroadcastDriver`: a device that is heard only through its advertisements, one burst a visit. Pure.

Nothing acknowledges an advertisement, so a device repeats what it shows for as long as it likes. What was last told lies
in the cursor, in one commit with the reading, so that it is the same measurement also after a restart in mid-burst. A
measurement is told when it is first shown, and nothing is held back: an agent may be killed at any moment, and a device
that only advertises says nothing twice on request.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.contract.authoring import QUIET, Flow, FlowDriver, wait
from gateway.contract.profile import Profile
from gateway.contract.session import (
    CONTRACT,
    Flush,
    Opened,
    PeerError,
    Reading,
    Received,
    Report,
    ReportClock,
    Session,
    SetTimer,
    TimerFired,
    UnitInfo,
    VisitClosed,
)
from gateway.contract.stamping import scheme_of
from gateway.model.identity import Scheme

STEADY_GAP_S = 3.0  # what is heard again within this is heard on: nobody measures anew meanwhile
REPEAT_S_MAX = 120.0  # so long a device may repeat a measurement that has no time of its own
REFRESH_S = 60.0  # how often the cursor is brought up to date while a measurement is repeated

_CURSOR = 1
_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Shows:
    """The advertisement shows a finished measurement.

    `fuller_follows`: a later one may add context to it (an impedance). It is told at once all the same, and again with the
    context when that comes: under the same name, so that whoever stores it knows it for the same.
    """

    reading: Reading
    fuller_follows: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """It shows none: what is shown next is another measurement. `clock`: what the device's clock shows right now, if it says so."""

    clock: datetime | None = None


# None: the advertisement says nothing of measuring. Raises PeerError where it can't be read.
Overheard = Callable[[str, bytes], Shows | Between | None]


@dataclass(frozen=True, slots=True)
class BroadcastDriver:
    """A device heard only through advertisements: the whole driver is `decode(channel, data)`.

    A visit is a burst of them: it ends when nothing has been heard for the profile's `quiet_s`. An advertisement that
    can't be read costs no other; a burst of which none can be read ends in the first one's PeerError.
    """

    id: str
    decode: Overheard
    contract: int = CONTRACT

    def open(self, unit: UnitInfo) -> Session:
        """A session for one burst."""
        return FlowDriver(self.id, self._visit, self.contract).open(unit)

    def _visit(self, unit: UnitInfo, opened: Opened) -> Flow:
        burst = _Burst(self.decode, unit.profile, _read(unit.cursor))
        yield from _overhear(burst, unit, opened.at)


@dataclass(frozen=True, slots=True)
class _Last:
    """A measurement that was told. `over`: something else was heard since, so it can't be repeated any more.

    `stamp`: its time, as text; until it is `complete`, the time that it was told with. `shown_at`: when it was last heard, in
    this burst; it doesn't outlive it.
    """

    at: float
    content: str
    stamp: str
    dated: bool
    complete: bool
    over: bool = False
    shown_at: float | None = None

    @property
    def cursor(self) -> str:
        told = [self.at, self.content, self.stamp, self.dated, self.complete, self.over]
        return json.dumps([_CURSOR, *told], separators=(",", ":"))

    def is_shown_by(self, at: float, now: "_Last", *, named: bool) -> bool:
        """Whether what is heard at `at` is this measurement again. `named`: its own time names it."""
        if self.content != now.content:
            return False
        same_time = self.stamp == now.stamp and now.dated
        if same_time and named:
            return True
        heard_on = self.shown_at is not None and at - self.shown_at <= STEADY_GAP_S
        if self.over:
            # A frame between that was bent on the way is no end, where nobody can have measured anew since.
            return heard_on and (same_time or (now.complete and not self.complete))
        if heard_on or same_time:
            return True
        undecided = self.stamp == now.stamp or not self.complete
        return undecided and at - self.at <= REPEAT_S_MAX


class _Burst:
    """One burst: what was told last, what before that, and since when something new can have been measured."""

    def __init__(self, decode: Overheard, profile: Profile, last: _Last | None) -> None:
        self._decode, self._profile, self._last = decode, profile, last
        # Of the one before, so that a single frame that was bent on the way makes no second reading of the true one.
        self._before: _Last | None = None
        self._since: float | None = None
        self._is_between = False
        self._clock_told = False
        self._understood = False
        self._fault: PeerError | None = None

    def hear(self, event: Received) -> Flow:
        try:
            said = self._decode(event.channel, event.data)
        except PeerError as fault:
            self._fault = self._fault or fault
            return
        self._understood = True
        match said:
            case Shows():
                yield from self._shown(event.at, said)
            case Between(clock):
                yield from self._between(event.at, clock)
            case None:
                pass

    def complain(self) -> None:
        """Raises PeerError where nothing at all could be read."""
        if self._fault is not None and not self._understood:
            raise self._fault

    def _shown(self, at: float, shows: Shows) -> Flow:
        self._is_between = False
        now = _told(at, shows)
        named = self._is_named(shows.reading)
        if self._last is not None and self._last.is_shown_by(at, now, named=named):
            yield from self._again(at, shows, self._last, now)
        elif self._before is not None and self._before.is_shown_by(at, now, named=named):
            last, self._before = self._before, self._last
            # The cursor on disk names the other one: it is due at once.
            yield from self._again(at, shows, replace(last, at=at - REFRESH_S), now)
        else:
            yield from self._tell(at, shows, now)

    def _tell(self, at: float, shows: Shows, now: _Last) -> Flow:
        within_s = None if self._since is None else at - self._since
        self._since = at
        self._before, self._last = self._last, now
        yield Report(replace(shows.reading, within_s=within_s))
        yield Flush(now.cursor)

    def _again(self, at: float, shows: Shows, last: _Last, now: _Last) -> Flow:
        if now.complete and not last.complete:
            self._last = now
            yield from self._fuller(shows.reading, last)
            yield Flush(now.cursor)
        elif last.over or at - last.at >= REFRESH_S:
            self._last = replace(last, at=at, over=False, shown_at=at)
            yield Flush(self._last.cursor)
        else:
            self._last = replace(last, shown_at=at)

    def _fuller(self, reading: Reading, last: _Last) -> Flow:
        """Tell it again, with its context: only where it has a name that rests on what it was told with before."""
        if not last.dated:
            return
        same = replace(reading, taken=datetime.fromisoformat(last.stamp))
        if self._is_named(same):
            yield Report(same)

    def _is_named(self, reading: Reading) -> bool:
        return scheme_of(reading, self._profile) is not Scheme.ARRIVAL

    def _between(self, at: float, clock: datetime | None) -> Flow:
        if clock is not None and not self._clock_told:
            self._clock_told = True
            yield ReportClock(clock)
        if not self._is_between:
            self._is_between, self._since = True, at
        if self._before is not None:
            self._before = replace(self._before, over=True)
        if self._last is not None and not self._last.over:
            self._last = replace(self._last, over=True)
            yield Flush(self._last.cursor)


def _overhear(burst: _Burst, unit: UnitInfo, began: float) -> Flow:
    quiet_s = unit.profile.quiet_s
    # A device that never falls silent: the visit ends of itself, long before its deadline.
    cut_at = began + unit.profile.deadline_s / 2
    yield SetTimer(QUIET, quiet_s)
    try:
        while True:
            match (yield from wait()):
                case Received() as event:
                    yield SetTimer(QUIET, quiet_s)
                    yield from burst.hear(event)
                    if event.at >= cut_at:
                        break
                case TimerFired(_, timer) if timer == QUIET:
                    break
                case _:
                    pass
    except VisitClosed:
        return
    burst.complain()


def _told(at: float, shows: Shows) -> _Last:
    reading = shows.reading
    stamp = reading.raw_time or (reading.taken.isoformat() if reading.taken else "")
    dated = reading.taken is not None and reading.raw_time is None
    complete = not shows.fuller_follows
    return _Last(float(at), _content(shows), stamp, dated, complete, shown_at=at)


def _content(shows: Shows) -> str:
    """Values as they are shown, without time and context."""
    reading = shows.reading
    parts = sorted((name, str(part)) for name, part in reading.parts.items())
    told = repr((reading.kind, reading.slot, reading.sequence, parts)).encode()
    return hashlib.blake2b(told, digest_size=_DIGEST_BYTES).hexdigest()


def _read(cursor: str | None) -> _Last | None:
    """What an earlier visit told last. A cursor of another make says nothing: what is heard is then told."""
    try:
        match json.loads(cursor or "null"):
            case [
                int(made),
                float(at),
                str(content),
                str(stamp),
                bool(dated),
                bool(full),
                bool(over),
            ]:
                if dated:
                    datetime.fromisoformat(stamp)  # ValueError: not ours
                return _Last(at, content, stamp, dated, full, over) if made == _CURSOR else None
            case _:
                return None
    except (ValueError, RecursionError):
        return None
