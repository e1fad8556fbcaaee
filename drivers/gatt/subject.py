"""What cuffs, scales and thermometers bring to the conformance kit alike: a device that forgets what the radio has confirmed. Pure.

What such a device tells, and in which frames, its service's subject says; no check stands here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from drivers.gatt.clocks import (
    decode_current_time,
    decode_date_time,
    encode_current_time,
    stored,
)
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import (
    PeerError,
    Profile,
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

_CLOCKS = {
    "date_time": (encode_date_time, decode_date_time),
    "current_time": (encode_current_time, decode_current_time),
}
_NOT_PERMITTED, _OUT_OF_RANGE = 0x02, 0xFF


@dataclass(frozen=True, slots=True)
class Indicating:
    """A kind of device: the channel that it indicates on, how it frames what was measured, what can be read of it.

    `beside`: a channel that it also notifies on; `ahead`: what it tells there before each indication (None: nothing).
    """

    channel: str
    frame: Callable[[Act, StoredTime], bytes]
    values: Mapping[str, bytes]
    beside: str | None = None
    ahead: bytes | None = None


class IndicatingSpecimen:
    """A device that forgets each measurement as its indication is confirmed."""

    def __init__(
        self, profile: Profile, clock: DeviceClock, kind: Indicating, *, bonded: bool
    ) -> None:
        """Its memory is empty."""
        self._channels, self._clock, self._bonded = profile.channels, clock, bonded
        self._kind = kind
        self._kept: deque[bytes] = deque()
        self._under_way = 0

    def speak(self) -> Iterable[Received]:
        """A bonded one tells at once."""
        return self._tell() if self._bonded else ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Facts, the clock, and upon the subscription its memory, oldest first."""
        match command:
            case Subscribe(channel) if channel == self._kind.channel:
                yield from self._tell()
            case Subscribe(channel) if channel == self._kind.beside:
                pass
            case Read(channel) if channel in self._channels and channel in self._kind.values:
                yield Received(0.0, channel, self._kind.values[channel])
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
        if told.channel == self._kind.channel and self._kept and self._kept[0] == told.data:
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
        self._kept.append(self._kind.frame(act, moment))

    def reset_battery(self) -> None:
        """Its memory is kept."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Measurements that no radio has confirmed."""
        return len(self._kept)

    def _tell(self) -> Iterable[Received]:
        beside, ahead = self._kind.beside, self._kind.ahead
        waiting = list(self._kept)[self._under_way :]
        self._under_way = len(self._kept)
        for octets in waiting:
            if beside is not None and ahead is not None and beside in self._channels:
                yield Received(0.0, beside, ahead)
            yield Received(0.0, self._kind.channel, octets)

    def _set(self, channel: str, data: bytes) -> bool:
        _, decode = _CLOCKS[channel]
        try:
            given = decode(data)
        except PeerError:
            return False
        if given is not None:
            self._clock.set(given)
        return given is not None
