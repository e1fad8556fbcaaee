"""What a health sensor tells in one visit: live observations, and stored ones with their numbers. Pure."""

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from drivers.gatt.health_sensor.codec import (
    Observation,
    Segments,
    TornError,
    decode,
    split_stored,
)
from drivers.gatt.health_sensor.terms import reading
from gateway.sdk import (
    Command,
    Event,
    PeerError,
    Reading,
    Received,
    Refused,
    Subscribe,
    Unreadable,
)

LIVE, STORED, CONTROL = "live", "stored", "control"
SUCCESS = b"\x80"  # of the control point
RECORDS_MAX = 10_000  # in one visit

PACKETS_MAX = 64  # of a live observation are held, for the case that it can't be read

_FINGERPRINT_BYTES = 6


@dataclass(frozen=True, slots=True)
class Told:
    """An observation as it came; `record`: its number, of a stored one; `zone`: what the sensor's clock adds to UTC."""

    observation: Observation
    raw: bytes
    record: int | None = None
    zone: timedelta | None = None

    @property
    def reading(self) -> Reading | None:
        """None of something that we have no kind for. Raises PeerError."""
        return reading(self.observation, self.raw, self.record, self.zone)

    @property
    def fingerprint(self) -> str:
        """By which a sensor that numbers anew is noticed."""
        return hashlib.blake2b(self.raw, digest_size=_FINGERPRINT_BYTES).hexdigest()


class Gathering:
    """Puts observations together. One that can't be read costs no other: it stands in `fault`, the packets of a live one in `unreadable`.

    What is stored is asked for once more where there is a `fault`; a live one does not come again.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self._live, self._stored = Segments(), Segments()
        self.live: deque[Told] = deque()
        self.restart()
        self.fault: PeerError | None = None
        self.unreadable = Unreadable()
        self._under_way: list[Received] = []
        self.unwilling: PeerError | None = None
        """Why nothing is to be heard of what it observes now."""
        self.zone: timedelta | None = None
        """What is added to times in UTC that don't say themselves."""

    @property
    def frames(self) -> int:
        """Stored observations that came, with those that can't be read."""
        return len(self.stored) + self._unread

    def restart(self) -> None:
        """What is stored will come again."""
        self.stored: dict[bytes, Told] = {}
        self._stored = Segments()
        self._unread = 0
        self.fault = None

    def expect(self, announced: int | None) -> None:
        """The report itself is held against it."""

    def spill(self) -> list[Command]:
        """Live observations are told by whoever listens."""
        return []

    def hear(self, event: Event) -> bool:
        """Take an event. Raises PeerError where the sensor refuses to tell what it stored, or tells without end or sense."""
        match event:
            case Received(channel=channel) if channel == LIVE:
                self._take_live(event)
            case Received(_, channel, data) if channel == STORED:
                self._take_stored(data)
            case Refused(_, Subscribe(channel), code) if channel == LIVE:
                self.unwilling = PeerError(
                    f"refuses to tell of {LIVE} (ATT error 0x{code:02X}); is it paired?"
                )
                return False
            case Received(_, channel, data) if channel == CONTROL:
                if data[:1] != SUCCESS:
                    self.unwilling = PeerError(f"starts no live observations: says {data.hex()}")
                return False
            case Refused(_, Subscribe(channel), code) if channel == STORED:
                raise PeerError(f"refuses to tell (ATT error 0x{code:02X}); is it paired?")
            case _:
                return False
        return True

    def give_up(self) -> None:
        """No more will come: a live observation without its end can't be read."""
        packets, self._under_way = self._under_way, []
        self._miss(packets, TornError())

    def _take_live(self, packet: Received) -> None:
        come, self._under_way = self._under_way, []
        if not come or come[-1].data != packet.data:
            come = [*come[1 - PACKETS_MAX :], packet]
        try:
            _feed(self._live, packet.data, self._keep_live)
        except TornError as torn:
            self._miss(come[:-1], torn)
            come = [packet]
        except PeerError as fault:
            self._miss(come, fault)
        self._under_way = come if self._live.is_open else []

    def _miss(self, packets: Sequence[Received], fault: PeerError) -> None:
        for packet in packets:
            self.unreadable.keep(packet, fault)

    def _keep_live(self, body: bytes) -> None:
        self.live.append(self._understood(body))
        self.unwilling = None

    def _take_stored(self, data: bytes) -> None:
        try:
            _feed(self._stored, data, self._keep_stored)
        except PeerError as fault:
            self._unread += 1
            self.fault = PeerError(f"{STORED} {data.hex()}: {fault}")
        if self.frames > RECORDS_MAX:
            raise PeerError(f"over {RECORDS_MAX} observations in one visit")

    def _keep_stored(self, body: bytes) -> None:
        number, raw = split_stored(body)
        self.stored.setdefault(body, self._understood(raw, number))

    def _understood(self, raw: bytes, record: int | None = None) -> Told:
        told = Told(decode(raw), raw, record, self.zone)
        _ = told.reading  # that it can be told is part of being read
        return told


def _feed(segments: Segments, packet: bytes, keep: Callable[[bytes], None]) -> None:
    """Keep the observation that ends here, if one does. Raises PeerError, also for one without end that this put an end to."""
    try:
        whole = segments.feed(packet)
    except TornError as torn:
        if torn.whole is not None:
            keep(torn.whole)
        raise
    if whole is not None:
        keep(whole)
