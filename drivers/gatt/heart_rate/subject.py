"""What the strap brings to the conformance kit: a strap that tells while it is worn, and samples. Pure; no check stands here.

One act is one person who wears it for some seconds at an even rate: the summary of a part of that says the same as that of the whole.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from drivers.gatt.heart_rate.codec import (
    MS_PER_RR_UNIT,
    RATE,
    RR,
    RR_STEP_MS,
    Measurement,
    decode_measurement,
    encode_measurement,
)
from drivers.gatt.heart_rate.session import DRIVER, LOCATION, MEASUREMENT
from drivers.gatt.heart_rate.sim import OFF_BODY
from drivers.gatt.streaming import packed, unpacked
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import (
    Driver,
    Limit,
    Profile,
    Quantity,
    Read,
    Received,
    Refused,
    Subscribe,
    Write,
)

VALUES: Mapping[str, bytes] = {
    "serial_number": b"00000001\0",
    "model": b"strap",
    "manufacturer": b"Virtual Straps",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
    LOCATION: b"\x01",
}
SECONDS = 3  # so long each act is worn
OFF_SECONDS = 2  # more than one frame says that it was taken off: one may be lost
INTERVALS = 2  # in each notification, so that also one of them has a deviation
_NOT_PERMITTED = 0x02


@dataclass(slots=True)
class _Worn:
    """Somebody wears it. `heard`: a sample reached somebody; it is never told again after that."""

    frames: tuple[bytes, ...]
    heard: bool = False


class StrapSpecimen:
    """A strap that tells of each act while somebody listens, and remembers none."""

    def __init__(self, profile: Profile, clock: DeviceClock) -> None:
        """Nobody has worn it."""
        self._channels, self._clock = profile.channels, clock
        self._waiting: list[_Worn] = []
        self._on_air: deque[tuple[bytes, _Worn]] = deque()

    def speak(self) -> Iterable[Received]:
        """Nothing before it is subscribed to."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts; upon the subscription a sample a second for as long as it is worn."""
        match command:
            case Subscribe(channel) if channel == MEASUREMENT:
                yield from self._stream()
            case Read(channel) if channel in self._channels and channel in VALUES:
                yield Received(0.0, channel, VALUES[channel])
            case _:
                yield Refused(0.0, command, _NOT_PERMITTED)

    def _stream(self) -> Iterable[Received]:
        at = 0.0
        for worn in self._waiting:
            for data in worn.frames:
                self._on_air.append((data, worn))
                yield Received(at, MEASUREMENT, data)
                at += 1.0

    def delivered(self, told: Received) -> None:
        """Somebody heard this sample; nothing tells it again."""
        if told.channel == MEASUREMENT and self._on_air and self._on_air[0][0] == told.data:
            data, worn = self._on_air.popleft()
            worn.heard = worn.heard or decode_measurement(data).rate > 0

    def hung_up(self) -> None:
        """It is taken off: an act that was heard is over."""
        self._on_air.clear()
        self._waiting = [worn for worn in self._waiting if not worn.heard]

    def measure(self, act: Act) -> None:
        """Raises ValueError for what the characteristic can't hold."""
        rate, interval = act.parts[RATE], act.parts.get(f"{RR}_lowest")
        if not isinstance(rate, Quantity):
            raise ValueError("a strap shows neither LO nor HI")  # noqa: TRY004 it is what the kit names it
        rr: tuple[int, ...] | None = None
        if isinstance(interval, Quantity):
            rr = (round(interval.number / MS_PER_RR_UNIT),) * INTERVALS
        told = Measurement(int(rate.number), contact=True, rr=rr)
        worn = (encode_measurement(told),) * SECONDS
        self._waiting.append(_Worn((*worn, *(OFF_BODY,) * OFF_SECONDS)))

    def reset_battery(self) -> None:
        """It has no clock."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Nothing, ever."""
        return 0


class StrapSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> StrapSpecimen:  # noqa: ARG002 it has but one
        """A strap."""
        return StrapSpecimen(profile, clock)

    def sample(self, number: int, unit: str) -> Act:
        """Rates one apart; every other with intervals."""
        rate = Quantity(Decimal(50 + number), unit)
        parts: dict[str, Quantity | Limit] = {
            RATE: rate,
            f"{RATE}_lowest": rate,
            f"{RATE}_highest": rate,
        }
        if number % 2:
            ms = ((700 + number) * MS_PER_RR_UNIT).quantize(RR_STEP_MS)
            parts[f"{RR}_lowest"] = parts[f"{RR}_highest"] = Quantity(ms, "ms")
            parts[RR] = Quantity(ms.quantize(Decimal("0.01")), "ms")
            parts["sdrr"] = Quantity(Decimal("0.00"), "ms")
        return Act(parts)

    def echo(self, raw: bytes) -> bytes:
        """The frames of one summary."""
        frames = unpacked(raw)
        return packed(
            replace(one, frame=encode_measurement(decode_measurement(one.frame))) for one in frames
        )


SUBJECT = StrapSubject()
