"""What the strap brings to the conformance kit: a strap that tells while it is worn, and samples. Pure; no check stands here.

One act is one person who wears it for some seconds.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import mean, stdev

from drivers.gatt.heart_rate.codec import (
    COMPUTED_STEP_MS,
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
UNEVEN_FROM = (
    10  # so many samples are even: the summary of a part of them says the same as that of the whole
)
RR_SPREAD = 4  # units of an interval, from one second of an uneven wearer to the next
ENERGY_KJ = 300
SEARCHING = encode_measurement(Measurement(0, contact=True))
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
        if not isinstance(act.parts[RATE], Quantity):
            raise ValueError("a strap shows neither LO nor HI")  # noqa: TRY004 it is what the kit names it
        low, rate, high = (_numbers(act, f"{RATE}{end}") for end in ("_lowest", "", "_highest"))
        uneven = low < rate < high
        worn = [
            _second(act, int(at)) for at in ((low, rate, high) if uneven else (rate,) * SECONDS)
        ]
        if uneven:
            worn[1:1] = [SEARCHING]
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
        """Rates one apart; every other with intervals; from the tenth on uneven, and searching for a second."""
        rate, uneven = Decimal(50 + number), number >= UNEVEN_FROM
        parts: dict[str, Quantity | Limit] = {
            RATE: Quantity(rate, unit),
            f"{RATE}_lowest": Quantity(rate - 2 * uneven, unit),
            f"{RATE}_highest": Quantity(rate + 6 * uneven, unit),
        }
        if number % 2:
            units = [700 + number + uneven * RR_SPREAD * second for second in range(SECONDS)]
            ms = [
                (one * MS_PER_RR_UNIT).quantize(RR_STEP_MS)
                for one in units
                for _ in range(INTERVALS)
            ]
            parts |= {
                f"{RR}_lowest": Quantity(ms[0], "ms"),
                f"{RR}_highest": Quantity(ms[-1], "ms"),
                RR: Quantity(mean(ms).quantize(COMPUTED_STEP_MS), "ms"),
                "sdrr": Quantity(stdev(ms).quantize(COMPUTED_STEP_MS), "ms"),
            }
        return Act(parts)

    def echo(self, raw: bytes) -> bytes:
        """The frames of one summary."""
        frames = unpacked(raw)
        return packed(
            replace(one, frame=encode_measurement(decode_measurement(one.frame))) for one in frames
        )


def _numbers(act: Act, name: str) -> Decimal:
    part = act.parts[name]
    assert isinstance(part, Quantity), "of an act whose rate is one"
    return part.number


def _second(act: Act, rate: int) -> bytes:
    """One notification of a wearer at this rate. The second at the middle rate tells what was expended too."""
    low, middle = _numbers(act, f"{RATE}_lowest"), _numbers(act, RATE)
    if f"{RR}_lowest" not in act.parts:
        return encode_measurement(Measurement(rate, contact=True))
    first, last = (
        round(_numbers(act, f"{RR}{end}") / MS_PER_RR_UNIT) for end in ("_lowest", "_highest")
    )
    step = (last - first) // (SECONDS - 1)
    second = 0 if rate == low else 1 if rate == middle else 2
    energy = ENERGY_KJ if step and second == 1 else None
    intervals = (first + step * second,) * INTERVALS
    return encode_measurement(Measurement(rate, contact=True, energy_kj=energy, rr=intervals))


SUBJECT = StrapSubject()
