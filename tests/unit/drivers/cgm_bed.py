"""A glucose sensor at a bed for tests: visited again and again while it measures, its packets bent or lost on the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import drivers.gatt.cgm.session as driver
from device_profiles.loader import load_profiles
from drivers.gatt import racp
from drivers.gatt.cgm import codec
from drivers.gatt.cgm.codec import Start
from drivers.gatt.cgm.sim import SEALED, Manners, Sensor, SensorPeer, measured
from drivers.gatt.clocks import stored
from edge.normalise import Provenance, normalise
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, converse
from gateway.contract.session import (
    Opened,
    Peer,
    Read,
    Reading,
    Received,
    Refused,
    Subscribe,
    UnitInfo,
    Write,
)
from gateway.model.observation import Moment, TimeMethod
from gateway.model.quantity import Quantity

ANY = load_profiles()["generic/cgm"]
START_OF = ANY.channels["session_start"]
# Of a box that is a sensor's only client.
SOLE = replace(ANY, channels={**ANY.channels, "session_start_write": START_OF})
FACTS = {"serial_number": b"1", "manufacturer": b"Virtual Sensors"}
BEGAN = 1773471600.0  # 07:00 UTC
SEVEN = datetime(2026, 3, 14, 7)
STARTED = Start(stored(SEVEN + timedelta(hours=1)), 4, 0)  # 08:00 at UTC+1
WHERE = Provenance("box-1", "d" * 20, "ble", datetime.fromisoformat("2026-03-14T00:00:00Z"), "0" * 16)  # fmt: skip


@dataclass
class Bed:
    """A sensor, and the box's time at which it is visited: `ahead_s` of the sensor's own counter."""

    sensor: Sensor = field(default_factory=lambda: Sensor(SEALED, start=STARTED))
    manners: Manners = field(default_factory=Manners)
    profile: Profile = ANY
    cursor: str | None = None
    now_s: float = 0.0
    ahead_s: float = BEGAN
    told: list[Reading] = field(default_factory=list[Reading])

    def measure(self, *values: int, every_min: int = 5) -> "Bed":
        for value in values:
            self.now_s += 60 * every_min
            part = Quantity(Decimal(value), "mg/dL")
            self.sensor.store(self.now_s, measured({"value": part}))
        return self

    def peer(self) -> SensorPeer:
        return SensorPeer(self.sensor, FACTS, lambda: self.now_s, self.manners)

    def visit(self, peer: Peer | None = None, zone_offset_s: int = 3600) -> Played:
        unit = UnitInfo(self.profile, self.cursor, zone_offset_s=zone_offset_s)
        session = driver.DRIVER.open(unit)
        opened = Opened(self.ahead_s + self.now_s)
        went = converse(session, peer or self.peer(), opened, deadline_s=self.profile.deadline_s)
        self.cursor = went.cursor or self.cursor
        self.told += went.readings
        return went

    @property
    def keys(self) -> list[str]:
        moment = Moment(utc="2026-03-14T06:00:00.000Z", method=TimeMethod.ARRIVAL)
        return [normalise(one, self.profile, moment, WHERE).key for one in self.told]


@dataclass
class Bent:
    """A sensor whose n-th measurement is altered, or comes by itself `live_s` after its control point is done."""

    inner: Peer
    lost_after: int | None = None
    flips: int | None = None
    live: Sequence[tuple[float, bytes]] = ()
    seen: int = 0

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == "measurement":
                self.seen += 1
                if self.seen == self.flips:
                    yield replace(answer, data=bytes((*answer.data[:2], answer.data[2] ^ 1, *answer.data[3:])))  # fmt: skip
                    continue
            if self.lost_after is not None and self.seen > self.lost_after:
                return
            yield answer
        if isinstance(command, Write) and command.data[:1] == bytes((racp.Op.REPORT,)):
            yield from (Received(at, "measurement", frame) for at, frame in self.live)


@dataclass
class Loses:
    """A sensor whose n-th measurement never arrives."""

    inner: Peer
    lost: int
    seen: int = 0

    def hear(self, command: Subscribe | Write | Read) -> Iterator[Received | Refused]:
        for answer in self.inner.hear(command):
            if isinstance(answer, Received) and answer.channel == "measurement":
                self.seen += 1
                if self.seen == self.lost:
                    continue
            yield answer


def values(readings: Sequence[Reading]) -> list[int]:
    parts = [one.parts["value"] for one in readings]
    return [int(part.number) for part in parts if isinstance(part, Quantity)]


def minutes(readings: Sequence[Reading]) -> list[int | None]:
    return [one.sequence for one in readings]


def asked(went: Played, channel: str = "racp") -> list[str]:
    return [c.data.hex() for c in went.performed if isinstance(c, Write) and c.channel == channel]


def live(minute: int, value: int) -> bytes:
    record = replace(measured({"value": Quantity(Decimal(value), "mg/dL")}), offset_min=minute)
    return codec.encode_record(record, e2e=True)
