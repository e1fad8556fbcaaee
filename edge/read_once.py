"""One device, read once: no outbox, no cloud. What it says is on disk before its session hears it. Prints by `say` alone."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from device_profiles.identify import Match, Tie
from device_profiles.loader import Entry
from edge.alone import attending
from edge.binding import ADVERT, BLE, LINE
from edge.drive import Ended, Outcome, drive
from edge.enrol import tidy
from edge.links.arrival import Arrivals
from edge.links.ble_radio import BleRadio, Heard
from edge.links.recording import StrictRecording
from edge.links.serial import open_serial
from edge.nearby import Neighbourhood
from edge.overhear import Ear
from edge.tape import Tape
from gateway.contract.profile import Profile
from gateway.contract.session import Driver, Link, Reading, UnitInfo
from gateway.contract.words import in_words
from gateway.runtime.clock import Clock
from gateway.runtime.errors import LinkError

FIND_S = 120.0  # to be heard: a person measures meanwhile


@dataclass(frozen=True, slots=True)
class Place:
    """Where the device is: a port, or a radio (name and address) and, if it is known, the device's own address.

    `box`: the data folder of an agent that is to leave it alone meanwhile.
    """

    port: str = ""
    radio: tuple[str, str] = ("bluez", "")
    address: str = ""
    box: Path | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """What a visit is made of. `zone`: of the device's clock. `say` gets each line for the person."""

    driver: Driver
    entries: Mapping[str, Entry]
    profile: Profile
    zone: ZoneInfo
    clock: Clock
    say: Callable[[str], None]


class _Kept:
    """The host of the visit. A reading is kept as the bytes that it came in: they lie on the tape already."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.facts: dict[str, str] = {}
        self.readings = 0

    async def accept(
        self,
        readings: Sequence[Reading],
        cursor: str | None,  # noqa: ARG002 a host is asked so; nothing is resumed here
        arrived: float | None,  # noqa: ARG002 the same
    ) -> None:
        for reading in readings:
            self._reader.say(in_words(reading))
        self.readings += len(readings)

    async def before_subscribing(self) -> None:
        """Nothing to prepare: the tape is open, and what it can't take ends the visit."""

    async def show_clock(self, at: float, shown: datetime) -> None:
        here = datetime.fromtimestamp(at, self._reader.zone).replace(tzinfo=None)
        off_s = round((shown - here).total_seconds())
        self._reader.say(f"its clock shows {shown:%Y-%m-%d %H:%M:%S}, {off_s:+d} s from this one")

    async def check(self, facts: Mapping[str, str]) -> None:
        self.facts |= tidy(facts)
        told = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in self.facts.items())
        self._reader.say(f"it says: {told or 'nothing of itself'}")

    async def late(self, ended: Ended) -> None:
        """What came too late for the session is on the tape, too."""


@dataclass(frozen=True, slots=True)
class Read:
    """How it went. `well`: all that it had was read."""

    ended: Ended
    readings: int
    well: bool


async def read_once(reader: Reader, place: Place, tape: Tape) -> Read:
    """Find it, and make one visit. Its clock is never set. Raises LinkError, and StoreError where the tape can't be written."""
    # A look may not change the device, and the agent has to see its clock as it was.
    profile = replace(reader.profile, clock=replace(reader.profile.clock, settable=False))
    arrivals, kept = Arrivals(reader.clock), _Kept(reader)
    offset = reader.clock.now().astimezone(reader.zone).utcoffset()
    unit = UnitInfo(profile, zone_offset_s=int(offset.total_seconds()) if offset else 0)
    try:
        async with _opened(reader, place, arrivals.now) as link:
            ended = await drive(
                reader.driver.open(unit),
                StrictRecording(link, tape),
                kept,
                deadline_s=profile.deadline_s,
                now=arrivals.now,
            )
    finally:
        tape.finish(kept.facts)
    hung_up = ended.outcome is Outcome.CLOSED and profile.deletes_on_confirm and kept.readings > 0
    return Read(ended, kept.readings, ended.outcome is Outcome.FINISHED or hung_up)


@asynccontextmanager
async def _opened(reader: Reader, place: Place, now: Callable[[], float]) -> AsyncGenerator[Link]:
    profile = reader.profile
    if profile.link not in (BLE, ADVERT):
        assert profile.serial is not None, "the schema asks for it"
        yield await open_serial(place.port, profile.serial, LINE, now)
        return
    radio = BleRadio(*place.radio)
    try:
        await radio.open()
        async with _met(reader, place, radio) as heard:
            if profile.link == BLE:
                yield await radio.connect(heard, profile.channels, now)
            else:
                yield await _overheard(reader, heard, radio, now)
    finally:
        await radio.close()


@asynccontextmanager
async def _met(reader: Reader, place: Place, radio: BleRadio) -> AsyncGenerator[Heard]:
    """The device, left alone by the agent from the moment on that its address is known."""
    async with _apart(place.box, place.address):
        heard = await _find(reader, place, radio)
        async with _apart(place.box, "" if place.address else heard.address):
            yield heard


def _apart(box: Path | None, address: str) -> AbstractAsyncContextManager[None]:
    return attending(box, address) if box and address else nullcontext()


async def _find(reader: Reader, place: Place, radio: BleRadio) -> Heard:
    here = Neighbourhood(reader.entries)
    found: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()

    def hear(heard: Heard) -> None:
        here.hear(heard)
        if not found.done() and _is_it(reader, place, here, heard):
            found.set_result(heard)

    await radio.listen(hear)
    try:
        async with asyncio.timeout(FIND_S):
            return await found
    except TimeoutError as late:
        raise LinkError(_unheard(reader, place, here)) from late


def _unheard(reader: Reader, place: Place, here: Neighbourhood) -> str:
    tied = [
        one.address
        for one in here.devices()
        if isinstance(one.found, Tie) and reader.profile.id in one.found.profiles
    ]
    if tied and not place.address:
        return f"{', '.join(tied)}: other profiles fit as well as {reader.profile.id}; say with --address which is meant"
    who = place.address or f"a device that {reader.profile.id} fits best"
    return f"{who} was not heard within {FIND_S:g} s: measure, near this machine"


def _is_it(reader: Reader, place: Place, here: Neighbourhood, heard: Heard) -> bool:
    if place.address:
        return heard.address == place.address
    met = next((one.found for one in here.devices() if one.address == heard.address), None)
    return isinstance(met, Match) and met.profile == reader.profile.id


async def _overheard(
    reader: Reader, first: Heard, radio: BleRadio, now: Callable[[], float]
) -> Link:
    ear = Ear(first.address, reader.profile.advertised, reader.clock.monotonic)
    ear.ring(first)
    await radio.listen(lambda heard: ear.ring(heard) if heard.address == first.address else None)
    await ear.next()
    return await ear.open(now)
