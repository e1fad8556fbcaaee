"""A visit to a glucose sensor: which session runs, the records since the last visit, then what it tells meanwhile. Pure.

It starts, stops, calibrates and deletes nothing. It writes a session's start only where the sensor has none, and the profile
names the channel for that.
"""

from collections.abc import Generator
from datetime import datetime, timedelta

from drivers.gatt import racp
from drivers.gatt.cgm import codec
from drivers.gatt.cgm.codec import Start, Status
from drivers.gatt.cgm.download import Download, Visited
from drivers.gatt.cgm.readings import SESSION_STOPPED, Origin
from drivers.gatt.cgm.run import Shown, run_now, run_of
from drivers.gatt.cgm.transfer import MEASUREMENT, Transfer
from drivers.gatt.clocks import stored
from drivers.gatt.introduction import ANSWER_S, Introduction
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    ReportClock,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    VisitClosed,
    Write,
    wait,
)

FEATURE, STATUS, START, RUN_TIME = "feature", "status", "session_start", "run_time"
# The same characteristic as `session_start`, under the name by which a profile allows that it is written.
START_WRITE = "session_start_write"

QUARTER_HOUR_S = 900
_ANSWER = "answer"

Telling = Generator[Command | None, Event | None, bytes]
Answering = Generator[Command | None, Event | None, bytes | None]
Starting = Generator[Command | None, Event | None, Start]
Standing = Generator[Command | None, Event | None, Status]
Showing = Generator[Command | None, Event | None, Shown]


class _Sensor:
    """What is read of a sensor before its records. It remembers the box's time of the last event: a session has no other clock."""

    def __init__(self, unit: UnitInfo, at: float, *, e2e: bool = False) -> None:
        self._unit, self._at, self._e2e = unit, at, e2e

    def feature(self) -> Generator[Command | None, Event | None, codec.Feature]:
        """What it can do; the CRC of all others hangs on it."""
        told = codec.decode_feature((yield from self._told(FEATURE)))
        self._e2e = told.e2e
        return told

    def session(self) -> Showing:
        """What it shows of its session; where it has no start and may be given one, what it shows then."""
        hours = self._hours((yield from self._read(RUN_TIME)))
        start = yield from self._start()
        status = yield from self._status()
        counts = _counts(status, hours)
        if start.time.naive is None and counts and START_WRITE in self._unit.profile.channels:
            yield Write(START_WRITE, codec.encode_start(self._local_now(), e2e=self._e2e))
            start = yield from self._start()
            status = yield from self._status()
        return Shown(start, status.offset_min, self._at, counts)

    def _hours(self, run_time: bytes | None) -> int | None:
        # How long a session may last is worth no visit.
        try:
            return None if run_time is None else codec.decode_run_time(run_time, e2e=self._e2e)
        except PeerError:
            return None

    def _start(self) -> Starting:
        return codec.decode_start((yield from self._told(START)), e2e=self._e2e)

    def _status(self) -> Standing:
        return codec.decode_status((yield from self._told(STATUS)), e2e=self._e2e)

    def _local_now(self) -> Start:
        """Now, from which a sensor reckons back to its start. Daylight saving lies in the zone: only their sum is known here."""
        ahead_s = self._unit.zone_offset_s
        moment = self._unit.local_time(self._at)
        zone, rest_s = divmod(ahead_s, QUARTER_HOUR_S)
        return Start(stored(moment)) if rest_s else Start(stored(moment), zone, 0)

    def _told(self, channel: str) -> Telling:
        data = yield from self._read(channel)
        if data is None:
            raise PeerError(f"does not tell its {channel}; is it paired?")
        return data

    def _read(self, channel: str) -> Answering:
        if channel not in self._unit.profile.channels:
            return None
        yield Read(channel)
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            event = yield from wait()
            self._at = event.at
            match event:
                case Received(_, told, data) if told == channel:
                    return data
                case Refused(_, Read(refused)) if refused == channel:
                    return None
                case TimerFired(_, timer) if timer == _ANSWER:
                    return None
                case _:
                    pass


def _counts(status: Status, hours: int | None) -> bool:
    """Whether its minutes still run: they may stand still in a session that was stopped, or is over."""
    over = hours is not None and status.offset_min >= hours * 60
    return not (status.bits & SESSION_STOPPED or over or status.offset_min == codec.OFFSET_END - 1)


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    intro = Introduction(unit, opened)
    yield ReportFacts((yield from intro.facts()))
    sensor = _Sensor(unit, opened.at)
    feature = yield from sensor.feature()
    shown = yield from sensor.session()
    run = run_now(run_of(unit.cursor), shown)
    origin = Origin(run.named, shown.start, feature)
    visited = Visited(shown, origin, unit.cursor, intro.settle, unit.profile.quiet_s)
    download = Download(run, Transfer(e2e=feature.e2e), visited)
    for channel in (MEASUREMENT, racp.CHANNEL):
        yield Subscribe(channel)
    named = yield from download.named()
    if named is not None and shown.counts:
        yield from _clock(named, shown)
    yield from download.begin()
    try:
        yield from download.fetch_all()
        yield from download.listen()
    except (PeerError, VisitClosed):
        yield from download.tell_harmless()
        raise


def _clock(named: datetime, shown: Shown) -> Flow:
    """A sensor's clock is its start and the minutes since: told by the start that names its records, whatever was written since."""
    try:
        yield ReportClock(named + timedelta(minutes=shown.offset_min))
    except OverflowError:
        return


DRIVER = FlowDriver("gatt.cgm", _visit)
