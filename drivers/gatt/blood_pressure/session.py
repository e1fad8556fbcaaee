"""A visit to a blood pressure cuff: who it is, what its clock shows, then every indication to disk at once. Pure."""

from collections.abc import Iterator

from drivers.gatt.blood_pressure.codec import reading
from drivers.gatt.introduction import Introduction
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    Reading,
    Received,
    Report,
    ReportFacts,
    UnitInfo,
    listen,
)

MEASUREMENT = "measurement"


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    intro = Introduction(unit, opened, _told_unasked)
    yield from intro.settle()
    yield ReportFacts((yield from intro.facts()))
    if (yield from intro.clock()):
        yield from intro.settle()
    yield from listen(_decode, (MEASUREMENT,), unit.profile.quiet_s)


def _told_unasked(event: Event) -> Iterator[Command]:
    # A bonded cuff that remembers its subscription may tell before it is asked, and forgets what it told.
    if isinstance(event, Received) and event.channel == MEASUREMENT:
        yield Report(reading(event.data))
        yield Flush()


def _decode(_channel: str, data: bytes) -> Iterator[Reading]:
    yield reading(data)


DRIVER = FlowDriver("gatt.blood_pressure", _visit)
