"""The devices of a world: cuffs that forget what the radio confirmed, meters that remember, one that is erased. All in virtual time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from drivers.gatt.blood_pressure.sim import CuffClock, CuffMemory, frame
from drivers.gatt.clocks import stored
from drivers.sim.device_clock import RESET_EPOCH
from drivers.vendor.onetouch_ultra2.sim import Ultra2Peer, record
from edge.links.ble_radio import Heard
from edge.links.memory import MemoryLink
from gateway.contract.session import Read, Received, Refused, Subscribe, Write
from gateway.runtime.errors import LinkError
from gateway.sdk import (
    Flow,
    FlowDriver,
    Opened,
    Quantity,
    Reading,
    Report,
    ReportClock,
    ReportFacts,
    UnitInfo,
    until_stored,
    wait,
)
from gateway.sdk import Write as WriteCommand
from tests.world.truth import Measurement, Parts, Values

if TYPE_CHECKING:
    from tests.world.house import Box
    from tests.world.run import World

ZONE = ZoneInfo("Asia/Shanghai")
ADVERTISE_S = 3.0
LINGER_S = 0.6
BUSY_S = 1.5
NO_SUCH = 0x0A
PORT_LATENCY_S = 0.01


class WorldLink(MemoryLink):
    """A link that takes time, and that the world can break."""

    def __init__(self, device: "Device", box: "Box", now: Callable[[], float]) -> None:
        super().__init__(device, now)
        self.device, self.box, self.rng = device, box, device.world.rng
        self.up = True

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """After a while; or never, where the link is lost meanwhile."""
        await asyncio.sleep(0.005 + self.rng.random() * 0.05)
        if self.device.world.strikes("link_lost"):
            self.drop("the link was lost")
        await super().perform(command)

    async def close(self) -> None:
        """The box hangs up."""
        self.up = False
        await super().close()
        self.device.left(self)

    def drop(self, why: str) -> None:
        """It breaks, or the device hangs up."""
        if self.up:
            self.up = False
            self.hang_up(why)
            self.device.left(self)


class Device:
    """What all devices share: who it is, its clock and the person who measures with it."""

    kind = ""
    profile = ""
    maker = ""
    model = ""

    def __init__(self, world: "World", serial: str, place: str) -> None:
        self.world, self.serial, self.place = world, serial, place
        self.clock = CuffClock(timedelta(seconds=world.rng.randint(-120, 120)))
        self.dead = False
        self.link: WorldLink | None = None
        self.boxes: list[Box] = []
        self.steps: list[tuple[float, str]] = []  # when its clock was set, and by whom
        self.began_s = 0.0  # when the last link to it was opened
        self.values = Values(world.rng)
        self._taken: set[datetime] = set()

    @property
    def local(self) -> datetime:
        """The true local time, naive."""
        return self.world.loop.now().astimezone(ZONE).replace(tzinfo=None)

    def shows(self) -> datetime:
        """What its display says."""
        return self.clock.shows(self.local)

    def set_clock(self, ahead: timedelta) -> None:
        """A person sets it."""
        self.dead = False
        self.clock = CuffClock(ahead)
        self.steps.append((self.world.loop.time(), "person"))
        self.world.note(self.serial, f"clock-set {ahead.total_seconds():.0f}s ahead")

    def lose_battery(self) -> None:
        """Its clock stands at the reset epoch."""
        self.dead = True
        self.clock = CuffClock(stopped_at=RESET_EPOCH)
        self.steps.append((self.world.loop.time(), "battery"))
        self.world.note(self.serial, "battery-out")

    def measure(self, parts: Parts, *, control: bool = False) -> bool:
        """Store a measurement. False where it can't measure now: it is connected, or that second of its clock is taken."""
        shown = self.shows()
        if self.link is not None or (not self.dead and shown in self._taken):
            return False
        self._taken.add(shown)
        loop, truth = self.world.loop, self.world.truth
        told = Measurement(
            f"m{len(truth):03d}",
            self.serial,
            self.kind,
            loop.now(),
            loop.time(),
            shown,
            not self.dead,
            parts,
            control,
        )
        truth.append(told)
        self.world.note(self.serial, f"measured {told.name} {told.signature[1:]} shows {shown}")
        self.remember(told)
        return True

    async def reach(self, box: "Box", now: Callable[[], float]) -> WorldLink:
        """A box connects. Raises LinkError."""
        await asyncio.sleep(0.02 + self.world.rng.random() * 0.2)
        if self.link is not None:
            raise LinkError("it is busy with another")
        if self.world.strikes("connect_failed") or not self.can_be_reached:
            raise LinkError("it does not answer")
        self.link = WorldLink(self, box, now)
        self.began_s = self.world.loop.time()
        self.world.note(self.serial, f"linked {box.name}")
        return self.link

    def left(self, link: WorldLink) -> None:
        """The link is over."""
        if self.link is link:
            self.link = None
            self.world.note(self.serial, "unlinked")

    can_be_reached = True

    def remember(self, measurement: Measurement) -> None:
        """Store a record."""
        raise NotImplementedError

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """The device's side of the link."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """How many records are still to be told, as far as the device knows; it can say nothing of a meter."""
        return 0


class Cuff(Device):
    """Tells oldest first, and forgets as soon as the radio confirms. `settable`: has A&D's clock, which visits set."""

    kind, maker, model = "blood_pressure", "A&D Medical", "UA-651BLE"

    def __init__(self, world: "World", serial: str, place: str, *, settable: bool) -> None:
        super().__init__(world, serial, place)
        self.profile = "aandd/ua-651ble" if settable else "generic/blood-pressure"
        self._clock_channel = "date_time" if settable else "current_time"
        self._memory = CuffMemory(200)
        self.frames: dict[str, str] = {}  # hex -> measurement
        self._by_name: dict[str, Measurement] = {}
        self._advertising = False

    @property
    def waiting(self) -> int:
        """Records that were not confirmed."""
        return len(self._memory)

    @property
    def can_be_reached(self) -> bool:  # type: ignore[override]
        """It is on the air while it has something to tell."""
        return len(self._memory) > 0

    def remember(self, measurement: Measurement) -> None:
        """Store, and go on the air."""
        octets = frame(
            measurement.parts,
            stored(measurement.taken),
            marks=frozenset({"irregular_pulse"}) if self.world.rng.random() < 0.2 else frozenset(),
        )
        self._by_name[measurement.name] = measurement
        self.frames[octets.hex()] = measurement.name
        self._memory.store(measurement.name, octets)
        if not self._advertising:
            self._advertising = True
            self.world.loop.outside(self.world.rng.random(), self._advertise)

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """GATT."""
        facts = {
            "serial_number": self.serial,
            "model": self.model,
            "manufacturer": self.maker,
            "firmware": "1.0",
        }
        form = "date_time" if self._clock_channel == "date_time" else "current_time"
        match command:
            case Read(channel) if channel in facts:
                yield Received(0.0, channel, facts[channel].encode())
            case Read(channel) if channel == self._clock_channel:
                yield Received(0.0, channel, self.clock.read(form, self.local))
            case Write(channel, data) if channel == self._clock_channel:
                self._be_set(form, data)
            case Subscribe("measurement"):
                self.world.loop.outside(0.02, self._tell, self.link)
            case _:
                yield Refused(0.0, command, NO_SUCH)

    def _be_set(self, form: str, data: bytes) -> None:
        assert self.link is not None
        if self.dead:
            return  # takes it without a word, and stands as before
        self.clock.write("date_time" if form == "date_time" else "current_time", data, self.local)
        self.steps.append((self.world.loop.time(), self.link.box.name))

    def _advertise(self) -> None:
        if not len(self._memory):
            self._advertising = False
            return
        if self.link is None:
            for box in self.boxes:
                if self.world.rng.random() < 0.9:
                    box.hear(Heard(self.place, lasting=False, handle=None))
        self.world.loop.outside(ADVERTISE_S, self._advertise)

    def _tell(self, link: WorldLink) -> None:
        oldest = self._memory.oldest
        if not link.up:
            return
        if oldest is None:
            self.world.loop.outside(LINGER_S, link.drop, "")
            return
        name, octets = oldest
        told = self._by_name[name]
        if self.world.strikes("link_lost"):
            link.drop("lost in mid-transfer")
            return
        told.told += 1
        link.say(Received(0.0, "measurement", octets))
        self.world.note(self.serial, f"told {name} to {link.box.name}")
        if self.world.strikes("unconfirmed"):
            link.drop("the confirmation was lost")
            return
        told.forgotten = True
        self._memory.confirmed(name)
        link.box.confirmed(told)
        self.world.loop.outside(0.05 + self.world.rng.random() * 0.05, self._tell, link)


class Meter(Device):
    """A OneTouch Ultra 2 on a cable."""

    kind, profile, maker, model = (
        "glucose",
        "lifescan/onetouch-ultra2",
        "LifeScan",
        "OneTouch Ultra 2",
    )

    def __init__(self, world: "World", serial: str, place: str) -> None:
        super().__init__(world, serial, place)
        self._peer = Ultra2Peer(serial, self.shows)

    def remember(self, measurement: Measurement) -> None:
        """Store it."""
        marks = frozenset({"control"}) if measurement.control else frozenset[str]()
        self._peer.store(record(measurement.parts["value"], measurement.taken, marks=marks))

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        """Lines, one after the other: the cable may be pulled between any two."""
        for number, answer in enumerate(list(self._peer.hear(command))):
            self.world.loop.outside(PORT_LATENCY_S * (1 + number), self._say, self.link, answer)
        return iter(())

    def _say(self, link: WorldLink, answer: Received) -> None:
        if self.world.strikes("link_lost"):
            link.drop("the cable was pulled")
        if link.up:
            link.say(answer)


@dataclass(frozen=True)
class _Line:
    taken: datetime
    number: Decimal


def _erasing_visit(unit: UnitInfo, _opened: Opened) -> Flow:
    yield ReportFacts({"serial_number": (yield from _line(b"WHO")).decode()})
    yield ReportClock(datetime.fromisoformat((yield from _line(b"CLOCK")).decode()))
    told = (yield from _line(b"DUMP")).decode().split()
    for taken, number in zip(told[::2], told[1::2], strict=True):
        yield Report(
            Reading(
                "glucose",
                {"value": Quantity(Decimal(number), "mg/dL")},
                taken=datetime.fromisoformat(taken),
            )
        )
    yield from until_stored(f"{unit.cursor or ''}+")
    yield WriteCommand("line", b"ERASE")


def _line(question: bytes) -> Iterator[object]:
    yield WriteCommand("line", question)
    while not isinstance(event := (yield from wait()), Received):
        pass
    return event.data  # type: ignore[return-value]


ERASER_DRIVER = FlowDriver("world.eraser", _erasing_visit)


class Eraser(Device):
    """A meter that is told to forget once its readings are `Stored`."""

    kind, profile, maker, model = "glucose", "world/eraser", "", ""

    def __init__(self, world: "World", serial: str, place: str) -> None:
        super().__init__(world, serial, place)
        self._memory: list[Measurement] = []

    @property
    def waiting(self) -> int:
        """What was not erased."""
        return len(self._memory)

    def remember(self, measurement: Measurement) -> None:
        """Store it."""
        self._memory.append(measurement)

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        """One line an answer."""
        assert isinstance(command, Write)
        answer: str | None = None
        match command.data:
            case b"WHO":
                answer = self.serial
            case b"CLOCK":
                answer = self.shows().isoformat()
            case b"DUMP":
                for one in self._memory:
                    one.told += 1
                answer = " ".join(
                    f"{one.taken.isoformat()} {_number(one.parts)}" for one in self._memory
                )
            case _:
                self._erase()
        if answer is not None:
            self.world.loop.outside(PORT_LATENCY_S, self._say, self.link, answer)
        return iter(())

    def _say(self, link: WorldLink, answer: str) -> None:
        if link.up:
            link.say(Received(0.0, "line", answer.encode()))

    def _erase(self) -> None:
        assert self.link is not None
        for one in self._memory:
            one.forgotten = True
            self.link.box.must_hold(one, "the meter was told to erase it")
        self.world.note(self.serial, f"erased {len(self._memory)}")
        self._memory.clear()


def _number(parts: Mapping[str, object]) -> Decimal:
    value = parts["value"]
    assert isinstance(value, Quantity)
    return value.number
