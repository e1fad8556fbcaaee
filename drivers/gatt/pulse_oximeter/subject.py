"""What the oximeter brings to the conformance kit: one that keeps its spot checks, and samples. Pure; no check stands here."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from drivers.gatt import racp
from drivers.gatt.clocks import (
    decode_current_time,
    encode_current_time,
    stored,
)
from drivers.gatt.pulse_oximeter.codec import decode_spot_check, encode_spot_check
from drivers.gatt.pulse_oximeter.meaning import PERFUSION, PULSE, SPO2
from drivers.gatt.pulse_oximeter.session import DRIVER
from drivers.gatt.pulse_oximeter.sim import OximeterMemory, OximeterPeer, spot_check
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
)

NEWEST_FIRST = "tells its newest first"
FACTS: Mapping[str, bytes] = {
    "serial_number": b"00000001\0",
    "model": b"oximeter",
    "manufacturer": b"Virtual Oximeters",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
}
MEMORY = 200
CLOCK = "current_time"
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF


class OximeterSpecimen:
    """An oximeter that forgets nothing, whatever it is asked."""

    def __init__(self, profile: Profile, clock: DeviceClock, *, newest_first: bool) -> None:
        """Its memory is empty."""
        self._channels, self._clock, self._newest_first = profile.channels, clock, newest_first
        self._memory = OximeterMemory(MEMORY)
        self._peer = self._at_rest()

    def speak(self) -> Iterable[Received]:
        """Nothing: it is asked."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts and the clock, as far as its model has them; else what its control point says."""
        match command:
            case Read(channel) if channel in self._channels and channel == CLOCK:
                yield Received(0.0, channel, encode_current_time(self._clock.shows()))
            case Write(channel, data) if channel in self._channels and channel == CLOCK:
                if not self._set(data):
                    yield Refused(0.0, command, _OUT_OF_RANGE)
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
        self._memory.store(spot_check(act.parts, moment, marks=act.marks, stored=True))

    def reset_battery(self) -> None:
        """Its memory is kept."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Records in its memory."""
        return len(self._memory) if racp.CHANNEL in self._channels else 0

    def _at_rest(self) -> OximeterPeer:
        return OximeterPeer(self._memory, FACTS, newest_first=self._newest_first)

    def _set(self, data: bytes) -> bool:
        try:
            given = decode_current_time(data)
        except PeerError:
            return False
        if given is not None:
            self._clock.set(given)
        return given is not None


class OximeterSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> OximeterSpecimen:
        """An oximeter with a memory."""
        return OximeterSpecimen(profile, clock, newest_first=manner == NEWEST_FIRST)

    def sample(self, number: int, unit: str) -> Act:
        """Every other with an amplitude, every fifth of a weak pulse, every seventh without its rate."""
        parts = {
            SPO2: Quantity(Decimal(80 + number % 20), unit),
            PULSE: Quantity(Decimal(50 + number), "/min"),
        }
        if number % 7 == 6:  # noqa: PLR2004 every seventh
            del parts[PULSE]
        if number % 2:
            parts[PERFUSION] = Quantity(Decimal(10 + number) / 10, unit)
        return Act(parts, frozenset(() if (number + 1) % 5 else {"low_perfusion"}))

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_spot_check(decode_spot_check(raw))


SUBJECT = OximeterSubject()
