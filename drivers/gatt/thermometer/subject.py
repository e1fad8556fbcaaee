"""What the thermometer brings to the conformance kit: one that forgets what was confirmed, and samples. Pure; no check stands here."""

from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal

from drivers.gatt.clocks import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    stored,
)
from drivers.gatt.thermometer.codec import PART, decode_measurement, encode_measurement
from drivers.gatt.thermometer.session import DRIVER, INTERMEDIATE, INTERVAL, MEASUREMENT, SITE
from drivers.gatt.thermometer.sim import frame
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

BONDED, MEASURING = "bonded", "measuring"
"""It remembers the subscription of an earlier visit; it shows the temperature that is rising before each that it tells."""

VALUES: Mapping[str, bytes] = {
    "serial_number": b"2010500001\0",
    "model": b"UT-201BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"HTP008_134",
    "system_id": bytes.fromhex("debc9afeff563412"),
    SITE: b"\x01",
    INTERVAL: b"\x00\x00",
}
_CLOCKS = {
    "date_time": (encode_date_time, decode_date_time),
    "current_time": (encode_current_time, decode_current_time),
}
_RISING = frame({PART: Quantity(Decimal("35.2"), "degC")})
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF


class ThermometerSpecimen:
    """A thermometer that forgets each measurement as its indication is confirmed."""

    def __init__(self, profile: Profile, clock: DeviceClock, manner: str) -> None:
        """Its memory is empty."""
        self._channels, self._clock, self._manner = profile.channels, clock, manner
        self._kept: deque[bytes] = deque()
        self._under_way = 0

    def speak(self) -> Iterable[Received]:
        """A bonded one tells at once."""
        return self._tell() if self._manner == BONDED else ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts, the clock, and upon the subscription its memory, oldest first."""
        match command:
            case Subscribe(channel) if channel == MEASUREMENT:
                yield from self._tell()
            case Subscribe(channel) if channel == INTERMEDIATE:
                pass
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
        self._kept.append(frame(act.parts, moment, site=6))

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
            if self._manner == MEASURING and INTERMEDIATE in self._channels:
                yield Received(0.0, INTERMEDIATE, _RISING)
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


class ThermometerSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> ThermometerSpecimen:
        """A thermometer; `bonded` and `measuring` are the other manners."""
        return ThermometerSpecimen(profile, clock, manner)

    def sample(self, number: int, unit: str) -> Act:
        """Tenths of a degree upwards; every third with two decimals, every tenth without a temperature."""
        if number % 10 == 9:  # noqa: PLR2004 every tenth
            return Act({})
        first = Decimal("35.0") if unit == "degC" else Decimal("95.0")
        shown = first + Decimal(number) / 10
        return Act({PART: Quantity(shown if number % 3 else shown.quantize(Decimal("0.01")), unit)})

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_measurement(decode_measurement(raw))


SUBJECT = ThermometerSubject()
