"""What the glucose meter brings to the conformance kit: a meter that keeps its memory, and samples. Pure; no check stands here."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from drivers.gatt.clocks import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    stored,
)
from drivers.gatt.glucose.codec import PART, decode_measurement, encode_measurement
from drivers.gatt.glucose.context import Context
from drivers.gatt.glucose.session import DRIVER
from drivers.gatt.glucose.sim import Manners, MeterMemory, MeterPeer, measured
from drivers.gatt.introduction import ISENS_CLOCK
from drivers.gatt.isens_clock import encode_isens_clock
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

MANNERS: Mapping[str, Manners] = {
    "": Manners(),
    "knows no filter": Manners(filters=False),
    "counts nothing": Manners(counts=False),
    "contexts first": Manners(contexts_first=True),
}
FACTS: Mapping[str, bytes] = {
    "serial_number": b"00000001\0",
    "model": b"925",
    "manufacturer": b"Virtual Meters",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "battery": b"\x50",
}
MEMORY = 720
_CLOCKS = {
    "date_time": (encode_date_time, decode_date_time),
    "current_time": (encode_current_time, decode_current_time),
}
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF
_MEALS = 5  # one after the other; each second record has one


class MeterSpecimen:
    """A meter that forgets nothing, whatever it is asked."""

    def __init__(self, profile: Profile, clock: DeviceClock, manners: Manners) -> None:
        """Its memory is empty."""
        self._channels, self._clock, self._manners = profile.channels, clock, manners
        self._memory = MeterMemory(profile.memory or MEMORY)
        self._peer = self._at_rest()

    def speak(self) -> Iterable[Received]:
        """Nothing: it is asked."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts and the clock, as far as its model has them; else what its control point says."""
        match command:
            case Read(channel) if channel in self._channels and channel in _CLOCKS:
                encode, _ = _CLOCKS[channel]
                yield Received(0.0, channel, encode(self._clock.shows()))
            case Write(channel, data) if channel in self._channels and channel in _CLOCKS:
                if not self._set(channel, data):
                    yield Refused(0.0, command, _OUT_OF_RANGE)
            case Write(channel) if channel in self._channels and channel == ISENS_CLOCK:
                yield Received(0.0, channel, encode_isens_clock(self._clock.shows()))
            case Read(channel) | Write(channel) | Subscribe(channel) if (
                channel not in self._channels
            ):
                yield Refused(0.0, command, _NOT_PERMITTED)
            case _:
                yield from self._peer.hear(command)

    def delivered(self, told: Received) -> None:
        """Nothing: it keeps what it told."""

    def hung_up(self) -> None:
        """Subscriptions end with the link."""
        self._peer = self._at_rest()

    def measure(self, act: Act) -> None:
        """Raises ValueError for what the characteristic can't hold."""
        moment = stored(self._clock.shows())
        if act.raw_time is not None:
            moment = StoredTime(None, act.raw_time)
        count = len(self._memory)
        context = Context(0, meal=1 + count // 2 % _MEALS) if count % 2 else None
        offset_min = None if act.offset is None else act.offset // timedelta(minutes=1)
        told = measured(act.parts, moment, offset_min=offset_min, marks=act.marks)
        self._memory.store(f"{count}", told, context)

    def reset_battery(self) -> None:
        """Its memory is kept, and its numbers go on."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Records in its memory."""
        return len(self._memory)

    def _at_rest(self) -> MeterPeer:
        return MeterPeer(self._memory, FACTS, self._manners)

    def _set(self, channel: str, data: bytes) -> bool:
        _, decode = _CLOCKS[channel]
        try:
            given = decode(data)
        except PeerError:
            return False
        if given is not None:
            self._clock.set(given)
        return given is not None


class MeterSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> MeterSpecimen:
        """A meter of one of MANNERS."""
        return MeterSpecimen(profile, clock, MANNERS[manner])

    def sample(self, number: int, unit: str) -> Act:
        """Every fifth with a battery that is low, every third with a clock that its user put back or forward."""
        shown = Decimal(60 + number) if unit == "mg/dL" else Decimal(30 + number) / 10
        marks = frozenset(() if (number + 1) % 5 else {"battery_low"})
        shift = None if (number + 1) % 3 else timedelta(minutes=60 * (number % 25) - 720)
        return Act({PART: Quantity(shown, unit)}, marks, offset=shift)

    def echo(self, raw: bytes) -> bytes:
        """One notification."""
        return encode_measurement(decode_measurement(raw))


SUBJECT = MeterSubject()
