"""What the cuff brings to the conformance kit: a cuff on a radio that confirms, and samples. Pure; no check stands here."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from drivers.gatt.blood_pressure.codec import (
    Measurement,
    decode_measurement,
    encode_measurement,
)
from drivers.gatt.blood_pressure.session import DRIVER, MEASUREMENT
from drivers.gatt.blood_pressure.sim import measured
from drivers.gatt.clocks import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    stored,
)
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

FACTS: Mapping[str, bytes] = {
    "serial_number": b"5181100001\0",
    "model": b"UA-651BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"BLP009_001",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "battery": b"\x42",
}
_CLOCKS = {
    "date_time": (encode_date_time, decode_date_time),
    "current_time": (encode_current_time, decode_current_time),
}
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF


class CuffSpecimen:
    """A cuff that forgets each record as its indication is confirmed."""

    def __init__(
        self,
        profile: Profile,
        clock: DeviceClock,
        *,
        bonded: bool,
        encode: Callable[[Measurement], bytes] = encode_measurement,
    ) -> None:
        """Its memory is empty. `encode`: the frames that it sends."""
        self._channels, self._clock, self._bonded = profile.channels, clock, bonded
        self._encode = encode
        self._kept: deque[bytes] = deque()
        self._under_way = 0

    def speak(self) -> Iterable[Received]:
        """A bonded cuff tells at once."""
        return self._tell() if self._bonded else ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts, the clock, and upon the subscription its memory, oldest first."""
        match command:
            case Subscribe(channel) if channel == MEASUREMENT:
                yield from self._tell()
            case Read(channel) if channel in self._channels and channel in FACTS:
                yield Received(0.0, channel, FACTS[channel])
            case Read(channel) if channel in self._channels and channel in _CLOCKS:
                encode, _ = _CLOCKS[channel]
                yield Received(0.0, channel, encode(self._clock.shows()))
            case Write(channel, data) if channel in self._channels and channel in _CLOCKS:
                if not self._set(channel, data):
                    yield Refused(0.0, command, _OUT_OF_RANGE)
            case _:
                yield Refused(0.0, command, _NOT_PERMITTED)

    def delivered(self, told: Received) -> None:
        """The record is gone."""
        if told.channel == MEASUREMENT and self._kept and self._kept[0] == told.data:
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
        slot = None if act.slot is None else int(act.slot)
        self._kept.append(self._encode(measured(act.parts, moment, slot=slot, marks=act.marks)))

    def reset_battery(self) -> None:
        """Its memory is kept."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Records that no radio has confirmed."""
        return len(self._kept)

    def _tell(self) -> Iterable[Received]:
        waiting = list(self._kept)[self._under_way :]
        self._under_way = len(self._kept)
        for octets in waiting:
            yield Received(0.0, MEASUREMENT, octets)

    def _set(self, channel: str, data: bytes) -> bool:
        _, decode = _CLOCKS[channel]
        try:
            given = decode(data)
        except PeerError:
            return False
        if given is not None:
            self._clock.set(given)
        return given is not None


class CuffSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> CuffSpecimen:
        """A cuff; `bonded` is the other manner."""
        return CuffSpecimen(profile, clock, bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Every third without a pulse, every fourth without a mean, every other with a user, every fifth with a mark."""
        step = Decimal(1) if unit == "mmHg" else Decimal("0.1")
        pressures = {"systolic": 100 + number, "diastolic": 50 + number // 2}
        if (number + 1) % 4:
            pressures["mean_arterial_pressure"] = 70 + number // 2
        parts = {name: Quantity(shown * step, unit) for name, shown in pressures.items()}
        if (number + 1) % 3:
            parts["pulse_rate"] = Quantity(Decimal(60 + number % 40), "/min")
        marks = frozenset(() if (number + 1) % 5 else {"irregular_pulse"})
        return Act(parts, marks, slot=str(1 + number % 3) if number % 2 else None)

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_measurement(decode_measurement(raw))


SUBJECT = CuffSubject()
