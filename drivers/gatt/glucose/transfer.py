"""What one transfer of a glucose meter brings: records, their contexts, and what is known of them already. Pure."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from drivers.gatt.glucose.codec import Measurement, decode_measurement, ketone, reading
from drivers.gatt.glucose.context import MEAL_KETONE_ISENS, Context, decode_context
from gateway.sdk import Event, Fields, PeerError, Reading, Received, Refused, Subscribe

MEASUREMENT, CONTEXT = "measurement", "context"
RECORDS_MAX = 10_000  # in one transfer; the largest home meter holds 2,000

SEQUENCE_END = 0x10000
# From here on a number is near enough to its wrap that what comes after it may begin at 0 again.
WRAP_NEAR = 0xF000
PERHAPS_KETONE = "context_perhaps_ketone"

_FINGERPRINT_BYTES = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """A record's number, and a fingerprint by which a meter that was reset is noticed."""

    sequence: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came."""

    told: Measurement
    raw: bytes

    @property
    def mark(self) -> Mark:
        """What would be known by it: number, base time and value, none of which a meter changes later."""
        sample = self.told.concentration
        said = f"{self.told.base_time.text} {sample and (sample.number, sample.unit, sample.type)}"
        digest = hashlib.blake2b(said.encode(), digest_size=_FINGERPRINT_BYTES)
        return Mark(self.told.sequence, digest.hexdigest())


class Transfer:
    """Gathers records and contexts, and joins them by sequence number, whichever comes first.

    A record that can't be read costs no other: it stands in `fault`. `frames` counts what came as a measurement.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self.restart()

    def restart(self) -> None:
        """Forget all: it will come again."""
        self.records: list[Record] = []
        self._raw: set[bytes] = set()
        self._by_number: dict[int, list[Record]] = defaultdict(list)
        # A context that can't be read stands as its octets.
        self._contexts: dict[int, list[Context | bytes]] = defaultdict(list)
        self._contexts_come: set[bytes] = set()
        self._contexts_before: set[bytes] = set()
        self._contexts_heard = 0
        self.frames = 0
        self.fault: PeerError | None = None

    def again(self) -> None:
        """The same is told once more: what did come is known, what did not is added."""
        self._contexts_before = self._contexts_come.copy()

    def hear(self, event: Event) -> bool:
        """Take an event. Raises PeerError where the device refuses to tell measurements, or tells without end."""
        match event:
            case Received(_, channel, data) if channel in (MEASUREMENT, CONTEXT):
                self._take(channel, data)
            case Refused(_, Subscribe(channel), code) if channel == MEASUREMENT:
                raise PeerError(f"refuses to tell (ATT error 0x{code:02X}); is it paired?")
            case _:
                return False
        return True

    def _take(self, channel: str, data: bytes) -> None:
        try:
            if channel == CONTEXT:
                self._contexts_heard += 1
                if data not in self._contexts_before:
                    self._contexts[_number(data)].append(_context(data))
                self._contexts_come.add(data)
            else:
                self.frames += 1
                # Some meters tell a record twice (i-SENS), and an aborted report may still trickle in.
                if data not in self._raw:
                    self._raw.add(data)
                    record = Record(decode_measurement(data), data)
                    self.records.append(record)
                    self._by_number[record.told.sequence].append(record)
        except PeerError as fault:
            self.fault = PeerError(f"{channel} {data.hex()}: {fault}")
        if max(self.frames, self._contexts_heard) > RECORDS_MAX:
            raise PeerError(f"over {RECORDS_MAX} records in one transfer")

    @property
    def different(self) -> int:
        """How many measurements came, each counted once."""
        return len(self._raw)

    def newest(self) -> Record | None:
        """The record that a meter stored last, as far as its numbers tell: the highest, or behind the wrap the highest there."""
        numbers = [record.told.sequence for record in self.records]
        wrapped = any(n >= WRAP_NEAR for n in numbers) and any(
            n < SEQUENCE_END - WRAP_NEAR for n in numbers
        )
        behind = [r for r in self.records if not wrapped or r.told.sequence < WRAP_NEAR]
        return max(behind, key=lambda record: record.told.sequence, default=None)

    def settled(self) -> Sequence[Record]:
        """The records so far whose numbers rise, from the first on, as far as the contexts that they promise have come.

        Without the last: the next frame may still be its context.
        """
        rising, contexts = list[Record](), self._joined()
        for record, following in pairwise(self.records):
            number = record.told.sequence
            waits = record.told.context_follows and record.raw not in contexts
            if following.told.sequence <= number or number >= WRAP_NEAR or waits:
                break
            rising.append(record)
        return rising

    def undecided(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those whose promised context did not come, or can't be read."""
        contexts = self._joined()
        return [
            record
            for record in records
            if record.told.context_follows and not isinstance(contexts.get(record.raw), Context)
        ]

    def as_far_as(self, known: Mark) -> int:
        """How many records came that are not newer than that one, itself included."""
        return sum(record.mark == known or not _is_newer(record, known) for record in self.records)

    def holds(self, known: Mark) -> bool:
        """Whether the record of that mark is among them: then the meter is the same, and was not reset."""
        return any(record.mark == known for record in self.records)

    def beyond(self, known: Mark | None) -> Sequence[Record]:
        """Those that are newer than a mark. Where that record is not there, its number says nothing, and it is all of them."""
        if known is None or not self.holds(known):
            return self.records
        return [record for record in self.records if _is_newer(record, known)]

    def readings(self, records: Sequence[Record], join: "Join") -> Iterator[Reading]:
        """Records with their contexts."""
        contexts = self._joined()
        for record in records:
            waiting = contexts.get(record.raw)
            yield join(record, waiting)

    def _joined(self) -> Mapping[bytes, Context | bytes]:
        """By a record's octets its context: of several under one number in the order in which they came, those that promise one first."""
        joined: dict[bytes, Context | bytes] = {}
        for number, contexts in self._contexts.items():
            records = self._by_number.get(number, [])
            takers = [one for one in records if one.told.context_follows] or records
            joined |= {one.raw: context for one, context in zip(takers, contexts, strict=False)}
        return joined


class Join(Protocol):
    """How a record and its context (as octets, where it can't be read) become a reading."""

    def __call__(self, record: Record, context: Context | bytes | None, /) -> Reading:
        """The reading."""
        ...


def joined(record: Record, context: Context | bytes | None) -> Reading:
    """As the standard says."""
    if not isinstance(context, bytes):
        told = reading(record.told, record.raw, context)
        if context is not None and context.meal == MEAL_KETONE_ISENS:
            # Reserved by the standard. A meter that doesn't say whose it is may be one that means ketone.
            return replace(told, marks=told.marks | {PERHAPS_KETONE})
        return told
    told = reading(record.told, record.raw)
    return replace(
        told,
        marks=told.marks | {"context_unreadable"},
        context={**told.context, "context_raw": context.hex()},
    )


def joined_isens(record: Record, context: Context | bytes | None) -> Reading:
    """As i-SENS means it: a meal of 6 says that the record is of ketone."""
    if isinstance(context, Context) and context.meal == MEAL_KETONE_ISENS:
        return ketone(record.told, record.raw, context)
    return joined(record, context)


def joined_by_place(record: Record, context: Context | bytes | None) -> Reading:
    """Of a meter whose numbers are places in its memory: no record has one of its own."""
    return replace(joined(record, context), sequence=None)


def _is_newer(record: Record, known: Mark) -> bool:
    ahead = (record.told.sequence - known.sequence) % SEQUENCE_END
    # Another record under the same number is told: a repeat does no harm, a loss would.
    return record.mark != known if ahead == 0 else ahead < SEQUENCE_END // 2


def _number(data: bytes) -> int:
    fields = Fields(data)
    fields.u8("flags")
    return fields.u16("sequence number")


def _context(data: bytes) -> Context | bytes:
    try:
        return decode_context(data)
    except PeerError:
        return data
