"""A visit to a blood pressure cuff: who it is, what its clock shows, then every indication to disk at once. Pure."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from drivers.gatt.blood_pressure.codec import reading
from drivers.gatt.blood_pressure.enhanced import enhanced_reading
from drivers.gatt.device_information import ask_battery, told_battery
from drivers.gatt.introduction import Introduction, Meanwhile
from gateway.sdk import (
    Command,
    Event,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Reading,
    Received,
    Refused,
    Report,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    Unreadable,
    wait,
)

_QUIET = "quiet"
MEASUREMENT, ENHANCED = "measurement", "enhanced_measurement"


def visiting(
    readings: Mapping[str, Callable[[bytes], Reading]],
) -> Callable[[UnitInfo, Opened], Flow]:
    """A visit to a cuff that tells by indications. `readings`: how a channel's frame is read; of several the last that a profile names.

    For cuffs that tell as the standard says, but in frames of their own.
    """

    def visit(unit: UnitInfo, opened: Opened) -> Flow:
        heard = [channel for channel in readings if channel in unit.profile.channels]
        unreadable = Unreadable()
        hear = partial(_hear, readings, unreadable)
        intro = Introduction(unit, opened, hear)
        with unreadable.told_at_the_end():
            yield from intro.settle()
            yield ReportFacts((yield from intro.facts()))
            # Many cuffs hang up by themselves: there is no later.
            yield from ask_battery(unit.profile)
            if (yield from intro.clock()):
                yield from intro.settle()
            yield from _until_quiet(heard[-1], hear, unit.profile.quiet_s)

    return visit


def _hear(
    readings: Mapping[str, Callable[[bytes], Reading]], unreadable: Unreadable, event: Event
) -> Iterator[Command]:
    # One commit a frame, whenever it comes: a bonded cuff that remembers its subscription may tell before it is asked, and a
    # cuff forgets what it told. So it is not hung up on for a frame that can't be read, while others are on their way.
    if isinstance(event, Received) and event.channel in readings:
        try:
            told = readings[event.channel](event.data)
        except PeerError as fault:
            unreadable.keep(event, fault)
        else:
            yield Report(told)
            yield Flush()
    yield from told_battery(event)


def _until_quiet(channel: str, hear: Meanwhile, quiet_s: float) -> Flow:
    """Raises PeerError where the cuff refuses to tell: it would never say anything."""
    yield Subscribe(channel)
    yield SetTimer(_QUIET, quiet_s)
    while True:
        event = yield from wait()
        yield from hear(event)
        match event:
            case Received(_, told) if told == channel:
                yield SetTimer(_QUIET, quiet_s)
            case Refused(_, Subscribe(refused), code):
                raise PeerError(f"refuses to tell of {refused} (ATT error 0x{code:02X})")
            case TimerFired(_, timer) if timer == _QUIET:
                return
            case _:
                pass


# A cuff that has both characteristics would tell each measurement twice: a profile's enhanced one is heard alone.
DRIVER = FlowDriver(
    "gatt.blood_pressure", visiting({MEASUREMENT: reading, ENHANCED: enhanced_reading})
)
