"""What the weight scale brings to the conformance kit: a scale that forgets what was confirmed, and samples. Pure; no check stands here."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from drivers.gatt.clocks import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    stored,
)
from drivers.gatt.weight_scale.codec import decode_weighing, encode_weighing
from drivers.gatt.weight_scale.session import COMPOSITION_FEATURE, DRIVER, WEIGHT, WEIGHT_FEATURE
from drivers.gatt.weight_scale.sim import frame
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import (
    Driver,
    PeerError,
    Profile,
    Quantity,
    Read,
    Received,
    Refused,
    StoredTime,
    Subscribe,
    Write,
    encode_date_time,
)

BONDED = "bonded"
"""It remembers the subscription of an earlier visit, and tells as soon as it is connected."""

VALUES: Mapping[str, bytes] = {
    "serial_number": b"5181200001\0",
    "model": b"UC-352BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"WSP001_201",
    "system_id": bytes.fromhex("debc9afeff563412"),
    WEIGHT_FEATURE: bytes.fromhex("2f000000"),
    COMPOSITION_FEATURE: bytes.fromhex("ff2f0000"),
}
_CLOCKS = {
    "date_time": (encode_date_time, decode_date_time),
    "current_time": (encode_current_time, decode_current_time),
}
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF

Frame = Callable[[Act, StoredTime], bytes]


class ScaleSpecimen:
    """A scale with one channel that it tells of; `frame` makes what it indicates."""

    def __init__(
        self, profile: Profile, clock: DeviceClock, channel: str, frame: Frame, *, bonded: bool
    ) -> None:
        """Its memory is empty."""
        self._channels, self._clock, self._bonded = profile.channels, clock, bonded
        self._tells, self._frame = channel, frame
        self._kept: deque[bytes] = deque()
        self._under_way = 0

    def speak(self) -> Iterable[Received]:
        """A bonded scale tells at once."""
        return self._tell() if self._bonded else ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts, the clock, and upon the subscription its memory, oldest first."""
        match command:
            case Subscribe(channel) if channel == self._tells:
                yield from self._tell()
            case Read(channel) if channel in self._channels and channel in VALUES:
                yield Received(0.0, channel, VALUES[channel])
            case Read(channel) if channel in self._channels and channel in _CLOCKS:
                encode, _ = _CLOCKS[channel]
                yield Received(0.0, channel, encode(self._clock.shows()))
            case Write(channel, data) if channel in self._channels and channel in _CLOCKS:
                if not self._set(channel, data):
                    yield Refused(0.0, command, _OUT_OF_RANGE)
            case _:
                yield Refused(0.0, command, _NOT_PERMITTED)

    def delivered(self, told: Received) -> None:
        """The measurement is gone."""
        if told.channel == self._tells and self._kept and self._kept[0] == told.data:
            self._kept.popleft()
            self._under_way -= 1

    def hung_up(self) -> None:
        """What was not confirmed is told again."""
        self._under_way = 0

    def measure(self, act: Act) -> None:
        """Raises ValueError for what the characteristic can't hold."""
        moment = stored(self._clock.shows())
        if act.raw_time is not None:
            moment = StoredTime(None, act.raw_time)
        self._kept.append(self._frame(act, moment))

    def reset_battery(self) -> None:
        """Its memory is kept."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Measurements that no radio has confirmed."""
        return len(self._kept)

    def _tell(self) -> Iterable[Received]:
        waiting = list(self._kept)[self._under_way :]
        self._under_way = len(self._kept)
        for octets in waiting:
            yield Received(0.0, self._tells, octets)

    def _set(self, channel: str, data: bytes) -> bool:
        _, decode = _CLOCKS[channel]
        try:
            given = decode(data)
        except PeerError:
            return False
        if given is not None:
            self._clock.set(given)
        return given is not None


class WeightSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> ScaleSpecimen:
        """A scale; `bonded` is the other manner."""
        return ScaleSpecimen(profile, clock, WEIGHT, _frame, bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Upwards by the display's steps; every third with BMI and height, every other with a user, every tenth not successful."""
        slot = str(1 + number % 4) if number % 2 else None
        if number % 10 == 9:  # noqa: PLR2004 every tenth
            return Act({}, slot=slot)
        shown = Decimal("61.70") + Decimal(number) * (
            Decimal("0.05") if unit == "kg" else Decimal("0.2")
        )
        parts = {"weight": Quantity(shown.quantize(Decimal("0.01")), unit)}
        if (number + 1) % 3 == 0:
            parts["bmi"] = Quantity(Decimal("24.1") + Decimal(number) / 10, "kg/m2")
            tall = ("1.665", "m") if unit == "kg" else ("65.5", "in")
            parts["height"] = Quantity(Decimal(tall[0]), tall[1])
        return Act(parts, slot=slot)

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_weighing(decode_weighing(raw))


def _frame(act: Act, time: StoredTime) -> bytes:
    return frame(act.parts, time, slot=None if act.slot is None else int(act.slot))


SUBJECT = WeightSubject()
