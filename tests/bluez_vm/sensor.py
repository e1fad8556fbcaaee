"""A glucose sensor on the virtual air: secured by a passkey, bonded, in a session whose minutes run faster than ours.

It has no clock, only a counter, so hours pass for it when it is told so; the session's start is a time of ours that lies far
enough back for no record to be of the future. What its control point answers is the pure peer's business.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from drivers.gatt import racp
from drivers.gatt.cgm.codec import Record, Start
from drivers.gatt.cgm.readings import PART, SESSION_STOPPED, TREND
from drivers.gatt.cgm.sim import Manners, Sensor, measured
from drivers.gatt.cgm.transfer import MEASUREMENT as MEASUREMENT_CHANNEL
from drivers.gatt.clocks import stored
from drivers.sim.fleet import Device
from drivers.sim.truth import Measured, TruthFile, shown_parts
from drivers.sim.world.air import Air
from drivers.sim.world.cuff_gatt import device_information
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
    Property,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from drivers.sim.world.security import passkey_of
from drivers.sim.world.wearer import Diary
from gateway.runtime.clock import iso
from gateway.sdk import Quantity

KIND = "continuous_glucose"
EVERY_MIN = 5
LIVE_S = 2.0
"""Real seconds from one live record to the next: its minutes run 150 times as fast as ours."""

BEGAN_H = 48
SERVICE, CONTROL_POINT = 0x181F, 0x2A52
MEASUREMENT, FEATURE, STATUS, START, RUN_TIME = 0x2AA7, 0x2AA8, 0x2AA9, 0x2AAA, 0x2AAB
_READ: frozenset[Property] = frozenset({"read"})
_CHANNELS = {FEATURE: "feature", STATUS: "status", START: "session_start", RUN_TIME: "run_time"}
_PACE_S = 0.01
_REFUSED, _UNSUBSCRIBED = 0x02, max(racp.UNSUBSCRIBED_CODES)
_LINK_ENDED = b""
_UTC = (0, 0)  # zone and daylight saving, as a phone wrote them


def device() -> Device:
    """The one of the house."""
    return Device(
        serial="VS7-0001", maker="Virtual Sensors", model="VS-7", firmware="1.0",
        profile="generic/cgm", kind="glucose", place="C8:25:E8:00:00:01",
        story="measures every five of its minutes", security="passkey",
    )  # fmt: skip


class SensorOnAir:
    """`asked`: each request to its control point; `drops_after`: so many records into the next report it loses the link, once."""

    def __init__(self, made: Device, air: Air, diary: Diary) -> None:
        self._device, self._diary = made, diary
        services = {
            MEASUREMENT: frozenset[Property]({"notify"}),
            **dict.fromkeys(_CHANNELS, _READ),
            CONTROL_POINT: frozenset[Property]({"write", "indicate"}),
        }
        table = tuple(GattCharacteristic(uuid16, can) for uuid16, can in services.items())
        self.radio = VirtualPeripheral(
            air,
            DeviceDescription(
                made.place, f"{made.model} {made.serial[-4:]}",
                (device_information(made), GattService(SERVICE, table)), (SERVICE,),
                secure=True, passkey=passkey_of(made),
            ),
            self,
            lambda passkey: diary.say(f"{made.serial} shows the passkey {passkey}"),
        )  # fmt: skip
        self._sensor = Sensor()
        self._counter_s = 0
        self._began = (diary.clock.now() - timedelta(hours=BEGAN_H)).replace(microsecond=0)
        self._live: asyncio.Task[None] | None = None
        self._link: CentralLink | None = None
        self._requests: asyncio.Queue[bytes] = asyncio.Queue(1)
        self.asked: list[racp.Request] = []
        self.drops_after: int | None = None
        self.measured = 0

    @property
    def minute(self) -> int:
        """Of its session."""
        return self._sensor.minute(self._counter_s)

    @property
    def linked(self) -> bool:
        """Whether a central has it."""
        return self._link is not None and self._link.alive

    async def begin(self) -> None:
        """Switch the radio on; it is silent until `appear`."""
        await self.radio.power_on()

    async def close(self) -> None:
        """Leave the air."""
        self.rest()
        await self.radio.close()

    async def appear(self) -> None:
        """Advertise, also after each link's end."""
        await self.radio.start_advertising()

    def start(self) -> None:
        """A new session, whose start a phone writes at once; the records of the one before are forgotten."""
        shown = self._began + timedelta(seconds=self._counter_s)
        self._sensor.begin(self._counter_s, Start(stored(shown.replace(tzinfo=None)), *_UTC))

    async def live_through(self, hours: int) -> None:
        """So many hours pass now, each record stored, and nobody told of any."""
        for _ in range(hours * 60 // EVERY_MIN):
            await self._measure()

    def go_on(self) -> None:
        """From now on it measures every LIVE_S, and tells whoever listens."""
        self._live = asyncio.create_task(self._measure_on())

    def rest(self) -> None:
        """Until told to go on, its minutes stand still."""
        if self._live is not None:
            self._live.cancel()
            self._live = None

    async def stop(self) -> None:
        """Its session is stopped: the last record says so."""
        self.rest()
        self._sensor.bits |= SESSION_STOPPED
        await self._tell([await self._measure(frozenset({"session_stopped"}))])

    async def _measure_on(self) -> None:
        while True:
            await asyncio.sleep(LIVE_S)
            await self._tell([await self._measure()])

    async def _measure(self, marks: frozenset[str] = frozenset()) -> Record:
        """On record in the truth before it can be told. Each record has digits of its own for days."""
        self._counter_s += EVERY_MIN * 60
        number = self.measured
        self.measured += 1
        parts = {
            PART: Quantity(Decimal(60 + number % 281), "mg/dL"),
            TREND: Quantity(Decimal(number % 41 - 20) / 10, "mg/dL/min"),
        }
        naive = self._sensor.start.time.naive
        assert naive is not None, "it measures in a session"
        taken = naive + timedelta(minutes=self.minute)
        await self._note(self._diary.truth, taken, parts)
        return self._sensor.store(self._counter_s, measured(parts, marks))

    async def _note(self, truth: TruthFile, taken: datetime, parts: dict[str, Quantity]) -> None:
        await truth.measured(
            Measured(
                id=f"s-{self.measured:04d}", serial=self._device.serial, kind=KIND,
                raw_time=taken.isoformat(), clock="good", true_time=iso(taken.replace(tzinfo=UTC)),
                parts=shown_parts(parts), marks=(), memory="kept", flags=(), alert=None,
            )
        )  # fmt: skip

    async def _tell(self, records: Sequence[Record]) -> None:
        link = self._link
        if link is not None and link.alive:
            for frame in self._sensor.frames(records):
                await link.notify(MEASUREMENT, frame)

    async def on_connected(self, link: CentralLink) -> None:
        """Answer what the central asks, one request after the other."""
        self._link = link
        self._requests = requests = asyncio.Queue[bytes](1)
        while link.alive:
            if asked := await requests.get():
                await self._answer(link, asked)

    async def on_subscribed(self, uuid16: int) -> None:
        """It tells with the next record."""

    async def on_disconnected(self, reason: int) -> None:  # noqa: ARG002 of any reason
        """The link ended; the memory is as it was."""
        if self._requests.empty():
            self._requests.put_nowait(_LINK_ENDED)

    async def read(self, uuid16: int) -> bytes:
        """What it is, and how its session stands."""
        value = self._sensor.value(_CHANNELS.get(uuid16, ""), self._counter_s)
        if value is None:
            raise AttRefusal(_REFUSED)
        return value

    async def write(self, uuid16: int, data: bytes) -> None:
        """Take a request; one at a time."""
        if uuid16 != CONTROL_POINT or self._requests.full():
            raise AttRefusal(_REFUSED)
        if self._link is None or not self._link.subscribed(CONTROL_POINT):
            raise AttRefusal(_UNSUBSCRIBED)
        self.asked.append(racp.decode_request(data))
        self._requests.put_nowait(data)

    async def _answer(self, link: CentralLink, asked: bytes) -> None:
        told = 0
        for channel, octets in list(self._sensor.answers(asked, Manners())):
            if not link.alive:
                return
            if channel == racp.CHANNEL:
                await link.indicate(CONTROL_POINT, octets)
                continue
            assert channel == MEASUREMENT_CHANNEL
            if told == self.drops_after:
                self.drops_after = None
                self.radio.lose_link()
                return
            await link.notify(MEASUREMENT, octets)
            told += 1
            await asyncio.sleep(_PACE_S)
