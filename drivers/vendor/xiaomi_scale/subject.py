"""What Xiaomi's scales bring to the conformance kit: a scale that only advertises, and samples. Pure; no check stands here."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from drivers.testing.subject import Act, DeviceClock
from drivers.vendor.xiaomi_scale.codec import (
    V1_OCTETS,
    Weighing,
    decode_v1,
    decode_v2,
    encode_v1,
    encode_v2,
)
from drivers.vendor.xiaomi_scale.session import DRIVER, V1
from drivers.vendor.xiaomi_scale.sim import Format, Pace, weigh
from gateway.sdk import Driver, Profile, Quantity, Read, Received, StoredTime, Subscribe, Write

SHOES = "shoes on"
"""No current flows through the feet: the frame with impedance never comes."""

OHMS = 517
# Brisker than a real one, so that a check is done in seconds; each frame is still told more than once, as a real one does.
PACE = Pace(settling_s=2.0, impedance_s=2.0, standing_s=2.0, removed_s=2.0)
EVERY_S = 1.0


@dataclass(slots=True)
class _Weighing:
    """Somebody on the scale. `heard`: a finished frame reached somebody; the scale never shows it again after that."""

    frames: tuple[bytes, ...]
    heard: bool = False


class ScaleSpecimen:
    """A scale that shows each weighing while somebody listens, and remembers none."""

    def __init__(self, profile: Profile, clock: DeviceClock, ohms: int | None) -> None:
        """Nobody has stepped on it."""
        (self._channel,) = profile.advertised
        self._layout: Format = 1 if self._channel == V1 else 2
        self._clock, self._ohms = clock, ohms
        self._waiting: list[_Weighing] = []
        self._on_air: deque[tuple[bytes, _Weighing]] = deque()

    def speak(self) -> Iterable[Received]:
        """The weighings that nobody heard, one after the other, each frame as often as it is repeated."""
        at = 0.0
        for weighing in self._waiting:
            for data in weighing.frames:
                self._on_air.append((data, weighing))
                yield Received(at, self._channel, data)
                at += EVERY_S

    def hear(self, _command: Subscribe | Write | Read) -> Iterable[Received]:
        """Nothing: it can't be asked."""
        return ()

    def delivered(self, told: Received) -> None:
        """Somebody heard this frame. No radio confirms it; what is finished is not shown to anybody else."""
        if self._on_air and self._on_air[0][0] == told.data:
            data, weighing = self._on_air.popleft()
            weighing.heard = weighing.heard or _decoded(data).finished

    def hung_up(self) -> None:
        """It is dark: a weighing that was heard is over."""
        self._on_air.clear()
        self._waiting = [weighing for weighing in self._waiting if not weighing.heard]

    def measure(self, act: Act) -> None:
        """Raises ValueError for a weight that it can't show."""
        shown = act.parts["weight"]
        if not isinstance(shown, Quantity):
            raise ValueError("a scale shows neither LO nor HI")  # noqa: TRY004 it is what the kit names it
        frames: list[bytes] = []
        for frame in weigh(self._layout, shown, self._clock.shows(), self._ohms, PACE):
            data = frame.data if act.raw_time is None else _dated(frame.data, act.raw_time)
            frames += [data] * int(frame.for_s / EVERY_S)
        self._waiting.append(_Weighing(tuple(frames)))

    def reset_battery(self) -> None:
        """Its clock starts anew."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Nothing, ever."""
        return 0


class ScaleSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> ScaleSpecimen:
        """A scale of either format."""
        return ScaleSpecimen(profile, clock, None if manner == SHOES else OHMS)

    def sample(self, number: int, unit: str) -> Act:
        """50 g apart, as the display shows them."""
        return Act({"weight": Quantity(Decimal(5_000 + 5 * number).scaleb(-2), unit)})

    def echo(self, raw: bytes) -> bytes:
        """One frame."""
        return _encoded(raw)


def _dated(data: bytes, text: str) -> bytes:
    return _encoded(data, StoredTime(None, text))


def _encoded(data: bytes, time: StoredTime | None = None) -> bytes:
    told = _decoded(data)
    told = replace(told, time=time or told.time)
    return encode_v1(told) if len(data) == V1_OCTETS else encode_v2(told)


def _decoded(data: bytes) -> Weighing:
    return decode_v1(data) if len(data) == V1_OCTETS else decode_v2(data)


SUBJECT = ScaleSubject()
