"""The stored spot checks of one download: gathered for the control point, and which of them were told before. Pure.

No record has a number, and the control point knows no filter: each visit is told all. The cursor holds a digest of each record
of the last whole download; where the two overlap, what was there before is not told again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from drivers.gatt.pulse_oximeter.codec import SpotCheck, decode_spot_check
from drivers.gatt.pulse_oximeter.meaning import is_stored
from gateway.sdk import Command, Event, PeerError, Received

RECORDS_MAX = 2_000  # in one download

_VERSION = "p1"
_DIGEST_BYTES = 6


@dataclass(frozen=True, slots=True)
class Record:
    """A stored spot check as it came."""

    told: SpotCheck
    raw: bytes


# Whoever hears what is no record of the memory: a live spot check, a sample.
Aside = Callable[[Event], Iterable[Command]]


@dataclass(slots=True)
class Dump:
    """Gathers one download (a `racp.Gathering`). A record that can't be read costs no other: it stands in `fault`."""

    channel: str
    aside: Aside
    records: list[Record] = field(default_factory=list[Record])
    frames: int = 0
    fault: PeerError | None = None
    _spilled: list[Command] = field(default_factory=list[Command])

    def hear(self, event: Event) -> bool:
        """Take an event; whether it was a record. A live spot check that comes in between is told at once."""
        if not isinstance(event, Received) or event.channel != self.channel:
            self._spilled.extend(self.aside(event))
            return False
        try:
            told = decode_spot_check(event.data)
        except PeerError as fault:
            self.fault = PeerError(f"{event.channel} {event.data.hex()}: {fault}")
            self._count()
            return True
        if is_stored(told) is False:
            self._spilled.extend(self.aside(event))
            return False
        self.records.append(Record(told, event.data))
        self._count()
        return True

    def _count(self) -> None:
        self.frames += 1
        if self.frames > RECORDS_MAX:
            raise PeerError(f"over {RECORDS_MAX} records in one download")

    def restart(self) -> None:
        """They will come again."""
        self.records.clear()
        self.frames, self.fault = 0, None

    def expect(self, announced: int | None) -> None:
        """The count is held against the frames by whoever asks."""

    def spill(self) -> Iterator[Command]:
        """What was not of the memory."""
        spilled, self._spilled = self._spilled, []
        yield from spilled


def cursor(records: Sequence[Record]) -> str:
    """What lies on disk with the records of a whole download."""
    return f"{_VERSION}:{''.join(map(_digest, records))}"


def new(records: Sequence[Record], known: str | None) -> Sequence[Record]:
    """Those that the last whole download did not hold: all but the longest run that both share at their ends.

    A memory that is full forgets its oldest; a device may tell its newest first. One that was erased shares nothing.
    """
    before, now = _digests(known), [_digest(record) for record in records]
    for shared in range(min(len(before), len(now)), 0, -1):
        if before[-shared:] == now[:shared]:
            return records[shared:]
        if before[:shared] == now[-shared:]:
            return records[:-shared]
    return records


def _digest(record: Record) -> str:
    return hashlib.blake2b(record.raw, digest_size=_DIGEST_BYTES).hexdigest()


def _digests(text: str | None) -> Sequence[str]:
    """None of a cursor that another driver wrote."""
    version, _, told = (text or "").partition(":")
    width = 2 * _DIGEST_BYTES
    return (
        [told[at : at + width] for at in range(0, len(told), width)] if version == _VERSION else []
    )
