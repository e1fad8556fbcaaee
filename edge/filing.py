"""The host of one visit: whose the readings are, what the device's clock showed, and how they reach the disk."""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from edge.binding import ADVERT, BY_RADIO, SERIAL, Binding
from edge.cloud_time import CloudTime
from edge.drive import Ended, Misfit, Outcome
from edge.enrol import Standing, disagreement, identify, tidy
from edge.normalise import Provenance, normalise
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import LIVE_S, Enrolled, OutboxFull
from edge.quarantine import Quarantine
from edge.salvage import salvage
from edge.tape import Shelf
from edge.unread import UnreadFrames
from edge.visit_clock import VisitClock
from edge.window import Windows
from gateway.contract.session import Reading, Received, Session, UnitInfo
from gateway.contract.unreadable import UnreadableError
from gateway.model.observation import Moment, Observation, Source
from gateway.runtime.clock import Clock, from_iso, random_hex
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError

ARRIVAL_BITS = 64
# A device that forgets what it was confirmed is not subscribed to unless this much is free.
ROOM_USED_MAX = 0.99
DISK_FREE_BYTES_MIN = 16 * 1024 * 1024
# What such a device has told, or one only advertises, and the outbox refuses for now is tried again: it is nowhere else.
ACCEPT_TRIES_MAX = 30
ACCEPT_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Box:
    """What all visits of one agent share. `wake` tells the publisher that there is something new. `shelf`: visits are recorded there.

    `cloud_time`: what the cloud says of the box's clock, which is then known to be right, or by how much it is not.
    """

    agent: str
    data_dir: Path
    tenant_key: bytes
    zone: ZoneInfo
    clock: Clock
    outbox: AsyncOutbox
    windows: Windows
    counters: Counters
    quarantine: Quarantine
    unread: UnreadFrames
    wake: Callable[[], None]
    shelf: Shelf | None = None
    cloud_time: CloudTime | None = None


class Filing:
    """One visit. `told` counts readings, `fresh` those that the outbox didn't hold, `lost` frames that nothing holds any more.

    `other`: the id of another device that stands here.
    """

    def __init__(
        self, box: Box, binding: Binding, standing: Standing, enrolled: Enrolled | None
    ) -> None:
        """`enrolled`: what stands at this place so far."""
        self._box, self._binding, self._standing = box, binding, standing
        self._enrolled = enrolled
        self._facts: dict[str, str] = {}
        self._stated = False
        # The visit's stamps are carried on from its start (edge/links/arrival.py), whatever the wall clock does meanwhile.
        self._base = box.clock.base()
        self._clock = VisitClock(
            box.outbox,
            box.clock,
            binding.profile,
            self._zone(),
            base=self._base,
            cloud=box.cloud_time,
        )
        self._reached: datetime | None = None
        self._began_at = 0.0
        self._read: datetime | None = None
        self.now: Callable[[], float] = lambda: box.clock.now().timestamp()
        self._reopen: Callable[[], Session] | None = None
        self.told = self.fresh = self.lost = 0
        self.lost_why = ""
        self.other: str | None = None

    def reached(self, now: Callable[[], float], reopen: Callable[[], Session]) -> None:
        """The link is open. `now`: the clock that its events are stamped with. `reopen`: a fresh session like the visit's."""
        self.now, self._reopen = now, reopen
        self._reached, self._began_at = self._box.clock.now(), now()

    async def unit(self, cursor: str | None) -> UnitInfo:
        """Which device the session is to visit, and the time that it may set its clock to. Raises StoreError."""
        enrolled, binding, clock = self._enrolled, self._binding, self._clock
        await clock.doubt(enrolled.device if enrolled else None)
        return UnitInfo(
            profile=clock.profile,
            cursor=cursor,
            # To be read alone: it is by the enrolled facts that another device is told from this one.
            facts=MappingProxyType(dict(enrolled.facts) if enrolled else {}),
            zone_offset_s=clock.zone_offset_s(),
            raw_stream=binding.raw_stream,
            secrets=MappingProxyType(dict(binding.secrets)),
            box_off_s=clock.box_off_s,
        )

    def _zone(self) -> ZoneInfo:
        """Of the device's clock: the profile's where it names one, else the box's."""
        name = self._binding.profile.clock.zone
        return ZoneInfo(name) if name else self._box.zone

    async def accept(
        self, readings: Sequence[Reading], cursor: str | None, arrived: float | None
    ) -> None:
        """Put readings and cursor on disk in one commit. Raises StoreError, Misfit; then nothing was taken."""
        device = await self._device()
        heard_at = datetime.fromtimestamp(arrived if arrived is not None else self.now(), UTC)
        observations = [self._observe(reading, device, heard_at) for reading in readings]
        accepted = await self._insist(device, observations, cursor)
        if arrived is not None and self._binding.profile.deletes_on_confirm:
            self._box.windows.add(max(0.0, self.now() - arrived))
        self.told += len(observations)
        self.fresh += accepted
        if observations:
            self._read = self._box.clock.now()
            self._box.wake()

    async def before_subscribing(self) -> None:
        """Raises StoreError, Misfit where a device that forgets would push what can't be kept."""
        if not self._binding.profile.told_once:
            return
        await self._device()
        used = (await self._box.outbox.status()).used
        if used >= ROOM_USED_MAX:
            raise OutboxFull(
                f"the outbox is {used:.1%} full; above {ROOM_USED_MAX:.0%} nothing is read"
            )
        free = shutil.disk_usage(self._box.data_dir).free
        if free < DISK_FREE_BYTES_MIN:
            raise OutboxFull(
                f"{free} bytes are free on disk; below {DISK_FREE_BYTES_MIN} nothing is read"
            )

    async def show_clock(self, at: float, shown: datetime) -> None:
        """What the device's clock showed stands beside the box's: on disk, where it is known whose it is. Raises StoreError."""
        named = self._enrolled is not None or self._identity(self._facts) is not None
        if self._stated and named:
            await self._device()
        await self._clock.show(at, shown)

    async def check(self, facts: Mapping[str, str]) -> None:
        """Raises Misfit where another device stands here than the enrolled one; on a port, `other` is then its id."""
        stated = tidy(facts)
        self._facts.update(stated)
        self._stated = True
        if self._enrolled is None:
            return
        why = disagreement(self._enrolled.facts, stated)
        if why is None:
            return
        if self._binding.link == SERIAL:
            self.other = self._identity(self._facts)
        raise Misfit(why)

    async def late(self, ended: Ended) -> None:
        """Read what a device sent, and forgot, as its visit ended; what can't be read or filed is kept as it came."""
        if not self._binding.profile.deletes_on_confirm or ended.outcome is Outcome.CLOSED:
            return
        unfiled = _given_up_on(ended)
        if not ended.history or ended.outcome in (Outcome.MISFIT, Outcome.STORE):
            unfiled += ended.unread
        if ended.history:
            unfiled += await self._salvage(ended)
        if not unfiled:
            return
        self._box.counters.add("frames.unread", len(unfiled))
        try:
            await self._box.unread.keep(self._binding.place, self._binding.profile.id, unfiled)
        except StoreError as fault:
            self.lost, self.lost_why = len(unfiled), str(fault)

    async def _salvage(self, ended: Ended) -> list[Received]:
        assert self._reopen is not None  # a visit that ended has begun
        refused = ended.outcome in (Outcome.MISFIT, Outcome.STORE)
        saved = salvage(self._reopen, ended.history[:-1], () if refused else ended.unread)
        unfiled = saved.unreadable
        for frame, readings in saved.read:
            try:
                await self.accept(readings, None, frame.at)
            except (Misfit, StoreError):
                unfiled.append(frame)
            else:
                self._box.counters.add("frames.salvaged")
        return unfiled

    async def enrol_other(self) -> None:
        """From now on this place is the other device's. The one before keeps its id, its cursor and its readings."""
        assert self.other is not None  # only then it is called
        await self._enrol(self.other, self._facts)

    async def note(self, trouble: str | None) -> None:
        """After the visit: enrol or bring up to date what was learnt, and leave times and trouble for the status."""
        profile = self._binding.profile.id
        if self._enrolled is None:
            device = self._identity(self._facts) if self._facts else None
            if device is None:
                return
            await self._enrol(device, self._facts)
        elif (
            self._facts.items() - self._enrolled.facts.items() or self._enrolled.profile != profile
        ):
            await self._enrol(self._enrolled.device, {**self._enrolled.facts, **self._facts})
        await self.note_trouble(trouble)

    async def note_emptied(self, ended: Ended) -> None:
        """After a visit that went well: what this device tells from now on was measured since it began. Raises StoreError.

        Unless it was left while it told; or its last command did not reach it: that may have been to erase what it told, and
        all is told again.
        """
        if self._enrolled is None or self._reached is None or self.lost:
            return
        await self._device()
        heard = [one.at for one in ended.history if isinstance(one, Received)]
        if ended.told_all:
            await self._clock.told_all(self._began_at)
        elif heard and ended.hung_up_at is not None:
            await self._clock.hung_up(self._began_at, heard[-1], ended.hung_up_at)

    async def note_trouble(self, trouble: str | None) -> None:
        """Leave times and trouble with the device that is enrolled here."""
        if self._enrolled is not None:
            await self._box.outbox.note_device(
                self._enrolled.device, heard=self._reached, reading=self._read, trouble=trouble
            )

    async def _device(self) -> str:
        if self._enrolled is None:
            device = self._identity(self._facts)
            if device is None:
                where = (
                    "on a cable" if self._binding.link == SERIAL else "and its address may change"
                )
                raise Misfit(
                    f"it states neither serial number nor System ID, {where}: nothing names it"
                )
            await self._enrol(device, self._facts)
        assert self._enrolled is not None  # `_enrol` sets it
        await self._clock.meet(self._enrolled.device)
        return self._enrolled.device

    def _identity(self, facts: Mapping[str, str]) -> str | None:
        return identify(self._box.tenant_key, facts, self._standing)

    async def _enrol(self, device: str, facts: Mapping[str, str]) -> None:
        place, profile = self._binding.place, self._binding.profile.id
        await self._box.outbox.enrol(place, device, profile, facts)
        self._enrolled = Enrolled(place, device, profile, facts)

    def _observe(self, reading: Reading, device: str, heard_at: datetime) -> Observation:
        profile = self._binding.profile
        moment = self._clock.moment(reading, heard_at)
        provenance = Provenance(
            agent=self._box.agent,
            device=device,
            transport=self._binding.link,
            # By the clock that the reading's time rests on: `base` says how far both are off.
            accepted=datetime.fromtimestamp(self.now(), UTC),
            arrival=random_hex(ARRIVAL_BITS),
            # What it did not say this time it said before: a device may refuse a value today that it gave yesterday.
            facts={**(self._enrolled.facts if self._enrolled else {}), **self._facts},
        )
        return normalise(reading, profile, moment, provenance)

    async def _insist(
        self, device: str, observations: Sequence[Observation], cursor: str | None
    ) -> int:
        now = datetime.fromtimestamp(self.now(), UTC)
        live = [is_live(o.time, o.source, now) for o in observations]
        nowhere_else = self._binding.profile.told_once or self._binding.link == ADVERT
        tries = ACCEPT_TRIES_MAX if nowhere_else else 1
        for left in range(tries - 1, -1, -1):
            try:
                accepted = await self._box.outbox.accept(
                    device, observations, cursor, live=live, base=self._base
                )
            except StoreError as fault:
                self._box.counters.add("outbox.refused")
                if not (left and fault.retry):
                    raise
                await asyncio.sleep(ACCEPT_PAUSE_S)
            else:
                self._box.counters.add("readings.known", accepted.known)
                return len(accepted.numbers)
        raise AssertionError("the last try returns or raises")


def _given_up_on(ended: Ended) -> list[Received]:
    """The frame at which the session ended in a fault, or which could not be stored."""
    if isinstance(ended.error, UnreadableError) and not ended.history:
        return list(ended.error.frames)
    last = ended.history[-1] if ended.history else None
    faults = (Outcome.PEER, Outcome.BUG, Outcome.STORE)
    return [last] if ended.outcome in faults and isinstance(last, Received) else []


def is_live(moment: Moment, source: Source, now: datetime) -> bool:
    """Whether a reading goes before the backlog: measured less than LIVE_S ago, or at an unknown time and pushed."""
    if not moment.known:
        return source is Source.PUSHED
    return (now - from_iso(moment.utc)).total_seconds() < LIVE_S


def standing_at(binding: Binding, *, lasting: bool) -> Standing:
    """What the place itself says of the device."""
    address = binding.place if binding.link in BY_RADIO else ""
    return Standing(driver=binding.profile.driver, address=address, lasting=lasting)
