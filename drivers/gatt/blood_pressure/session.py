"""A visit to a blood pressure cuff: who it is, what its clock shows, then every indication to disk at once. Pure."""

from collections.abc import Callable, Iterator, Mapping

from drivers.gatt.blood_pressure.codec import reading
from drivers.gatt.blood_pressure.enhanced import enhanced_reading
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

MEASUREMENT, ENHANCED = "measurement", "enhanced_measurement"
_READINGS: Mapping[str, Callable[[bytes], Reading]] = {
    MEASUREMENT: reading,
    ENHANCED: enhanced_reading,
}


def _visit(unit: UnitInfo, opened: Opened) -> Flow:
    # A cuff that has both characteristics would tell each measurement twice: a profile's enhanced one is heard alone.
    heard = ENHANCED if ENHANCED in unit.profile.channels else MEASUREMENT
    intro = Introduction(unit, opened, _told_unasked)
    yield from intro.settle()
    yield ReportFacts((yield from intro.facts()))
    if (yield from intro.clock()):
        yield from intro.settle()
    yield from listen(_decode, (heard,), unit.profile.quiet_s)


def _told_unasked(event: Event) -> Iterator[Command]:
    # A bonded cuff that remembers its subscription may tell before it is asked, and forgets what it told.
    if isinstance(event, Received) and event.channel in _READINGS:
        yield Report(_READINGS[event.channel](event.data))
        yield Flush()


def _decode(channel: str, data: bytes) -> Iterator[Reading]:
    yield _READINGS[channel](data)


DRIVER = FlowDriver("gatt.blood_pressure", _visit)
