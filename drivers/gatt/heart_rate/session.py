"""A visit to a strap or a watch: who it is, where it is worn, then its samples, summed up window by window. Pure."""

from collections.abc import Generator, Iterator
from dataclasses import replace

from drivers.gatt.heart_rate.codec import SUMMING, decode_location, sample
from drivers.gatt.introduction import Introduction
from drivers.gatt.streaming import Hearing, Sample, Stream, follow
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Opened,
    PeerError,
    Received,
    ReportFacts,
    Subscribe,
    UnitInfo,
    VisitClosed,
)

MEASUREMENT, LOCATION = "measurement", "sensor_location"

_Locating = Generator[Command | None, Event | None, str | None]


class _Strap:
    """One visit."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._opened = unit.profile, opened
        self._intro = Introduction(unit, opened, self._told_unasked)
        self._stream = Stream(SUMMING, unit.profile, raw=unit.raw_stream)
        self._location: str | None = None

    def visit(self) -> Flow:
        try:
            yield ReportFacts((yield from self._intro.facts()))
            self._location = yield from self._locate()
            yield Subscribe(MEASUREMENT)
        except VisitClosed as closed:
            yield from self._stream.tell_at_last(closed.at)
            raise
        yield from follow(self._stream, {MEASUREMENT: self._hear}, self._profile, self._opened)

    def _locate(self) -> _Locating:
        if LOCATION not in self._profile.channels:
            return None
        data = yield from self._intro.ask(LOCATION)
        try:
            return None if data is None else decode_location(data)
        except PeerError:
            return None  # where it is worn is worth no visit

    def _told_unasked(self, event: Event) -> Iterator[Command]:
        # One that remembers its subscription tells before it is asked.
        if isinstance(event, Received) and event.channel == MEASUREMENT:
            yield from (command for command in self._hear(event) if command is not None)

    def _hear(self, event: Received) -> Hearing:
        return (yield from self._stream.hear(event, self._decode))

    def _decode(self, data: bytes) -> Sample:
        told = sample(data)
        if self._location is None:
            return told
        return replace(told, context={LOCATION: self._location, **told.context})


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    yield from _Strap(unit, opened).visit()


DRIVER = FlowDriver("gatt.heart_rate", _visit)
