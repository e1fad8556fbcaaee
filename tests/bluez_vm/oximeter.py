"""An oximeter that streams while it is worn, keeps nothing, and is paired with nobody. `sent` is the truth: each sample, and when."""

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal

from drivers.gatt.pulse_oximeter.codec import (
    Continuous,
    Features,
    Pair,
    encode_continuous,
    encode_features,
)
from drivers.gatt.pulse_oximeter.sim import FINGER_OUT, ONGOING, second
from drivers.sim.fleet import Device
from drivers.sim.world.air import Air
from drivers.sim.world.cuff_gatt import device_information
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral
from gateway.sdk import Special

SERVICE, CONTINUOUS, FEATURES = 0x1822, 0x2A5F, 0x2A60
EVERY_S = 0.25
UNFIT_EVERY = 40
"""One sample of so many has no value: the finger moved."""

_STREAMS_ONLY = encode_features(Features(0x03, 0xFFE0, 0xFFFF))
_NO_VALUE = encode_continuous(
    Continuous(Pair(Special.NAN, Special.NAN), measurement=ONGOING, device=0)
)
_NOT_PERMITTED = 0x02


def device() -> Device:
    """The one of the house."""
    return Device(
        serial="VO300-0001", maker="Virtual Oximeters", model="VO-300", firmware="1.0.0",
        profile="generic/pulse-oximeter", kind="pulse_oximetry", place="C8:25:E4:00:00:01",
        story="streams while it is worn",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sent:
    """A sample that the radio took. `link`: over which link, from 1 on; values are None where it has none."""

    frame: bytes
    spo2: Decimal | None
    pulse: Decimal | None
    at_s: float
    link: int


class WornOximeter:
    """`links`: how many centrals have subscribed so far. `dropped_s`: when a link was lost, by the monotonic clock."""

    def __init__(self, made: Device, air: Air) -> None:
        streaming = (
            GattCharacteristic(CONTINUOUS, frozenset({"notify"})),
            GattCharacteristic(FEATURES, frozenset({"read"}), _STREAMS_ONLY),
        )
        self.radio = VirtualPeripheral(
            air,
            DeviceDescription(
                made.place, f"{made.model} {made.serial[-4:]}",
                (device_information(made), GattService(SERVICE, streaming)), (SERVICE,),
            ),
            self,
        )  # fmt: skip
        self._link: CentralLink | None = None
        self._heard = asyncio.Event()
        self._number = 0
        self.links = 0
        self.sent: list[Sent] = []
        self.dropped_s: list[float] = []

    async def begin(self) -> None:
        """Switch the radio on; it is silent until it is worn."""
        await self.radio.power_on()

    async def close(self) -> None:
        """Leave the air."""
        await self.radio.close()

    async def put_on(self) -> None:
        """From now on it advertises."""
        await self.radio.start_advertising()

    async def stream(self, samples: int) -> None:
        """Tell so many samples to whoever listens; waits for somebody who does."""
        while samples:
            await self._heard.wait()
            if await self._tell():
                samples -= 1
            await asyncio.sleep(EVERY_S)

    def lose_link(self) -> None:
        """Now, in mid-stream."""
        self.dropped_s.append(time.monotonic())
        self._part()
        self.radio.lose_link()

    async def take_off(self) -> None:
        """The finger is out, which it says; then it is switched off."""
        await self.radio.notify(CONTINUOUS, FINGER_OUT)
        await self.radio.stop_advertising()

    async def _tell(self) -> bool:
        number, link = self._number, self._link
        fit = number % UNFIT_EVERY != UNFIT_EVERY - 1
        spo2, pulse = 93 + number % 7, 58 + number % 37
        frame = second(spo2, pulse) if fit else _NO_VALUE
        if link is None or not await link.notify(CONTINUOUS, frame):
            return False
        self._number += 1
        values = (Decimal(spo2), Decimal(pulse)) if fit else (None, None)
        self.sent.append(Sent(frame, *values, time.monotonic(), self.links))
        return True

    async def on_connected(self, link: CentralLink) -> None:
        """It notifies once it is subscribed to."""
        self._link = link

    async def on_subscribed(self, uuid16: int) -> None:
        """Somebody listens."""
        if uuid16 == CONTINUOUS:
            self.links += 1
            self._heard.set()

    async def on_disconnected(self, reason: int) -> None:  # noqa: ARG002 of any reason
        """Nobody listens any more."""
        self._part()

    def _part(self) -> None:
        self._heard.clear()
        self._link = None

    async def read(self, uuid16: int) -> bytes:  # noqa: ARG002 all that can be read stands in the table
        """Nothing that is asked for."""
        raise AttRefusal(_NOT_PERMITTED)

    async def write(self, uuid16: int, data: bytes) -> None:  # noqa: ARG002 nothing can be written
        """Nothing that is taken."""
        raise AttRefusal(_NOT_PERMITTED)
