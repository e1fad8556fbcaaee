"""The meter's side: its memory, and what its control point answers. Pure: the one who asks brings the time."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from drivers.gatt import racp
from drivers.gatt.glucose.codec import (
    CONTROL_LOCATION,
    CONTROL_TYPE,
    KIND,
    PART,
    SHOWN,
    STATUS_MARKS,
    TOO_HIGH,
    TOO_LOW,
    Concentration,
    Measurement,
    Unit,
    encode_measurement,
)
from drivers.gatt.glucose.context import Context, Number, encode_context
from drivers.gatt.glucose.transfer import CONTEXT, MEASUREMENT, SEQUENCE_END
from gateway.sdk import (
    Limit,
    PeerError,
    Quantity,
    Read,
    Received,
    Refused,
    Special,
    StoredTime,
    Subscribe,
    Write,
)

CAPILLARY_WHOLE_BLOOD, FINGER = 1, 1

STATUS_BITS: Mapping[str, int] = {mark: bit for bit, mark in STATUS_MARKS.items()}
_SPECIALS: Mapping[Limit, tuple[Special, int]] = {
    Limit.ABOVE: (Special.ABOVE, TOO_HIGH),
    Limit.BELOW: (Special.BELOW, TOO_LOW),
}
_WHOLE: Mapping[int, slice] = {
    racp.Operator.ALL: slice(None),
    racp.Operator.FIRST: slice(1),
    racp.Operator.LAST: slice(-1, None),
}
_UNITS: Mapping[str, tuple[Unit, int]] = {
    shown: (unit, places) for unit, (shown, places) in SHOWN.items()
}


@dataclass(frozen=True, slots=True)
class Stored:
    """One record in a meter's memory, with the context that its user gave."""

    measurement: Measurement
    context: Context | None = None


@dataclass(frozen=True, slots=True)
class Manners:
    """How a meter differs: whether it knows the filter by number, whether it counts, whether contexts come first."""

    filters: bool = True
    counts: bool = True
    contexts_first: bool = False


class MeterMemory:
    """Records, oldest first, numbered as they are stored. `kept_max`: the oldest goes when it is full."""

    def __init__(self, kept_max: int, next_number: int = 1) -> None:
        """Empty. `next_number`: of the first record; 65535 is followed by 0."""
        self._kept: deque[tuple[str, Stored]] = deque(maxlen=kept_max)
        self._next = next_number

    def __len__(self) -> int:
        """How many it holds."""
        return len(self._kept)

    def store(
        self, name: str, told: Measurement, context: Context | None = None
    ) -> tuple[int, str | None]:
        """Remember under the asker's `name`, with a number of its own: that number, and the name of the record that had to go."""
        number = self._next
        self._next = (number + 1) % SEQUENCE_END
        lost = self._kept[0][0] if len(self._kept) == self._kept.maxlen else None
        if context is not None:
            context = replace(context, sequence=number)
        told = replace(told, sequence=number, context_follows=context is not None)
        self._kept.append((name, Stored(told, context)))
        return number, lost

    def reset(self, next_number: int = 1) -> None:
        """Forget everything, and number anew, as after a factory reset."""
        self._kept.clear()
        self._next = next_number

    def forget(self, records: Iterable[Stored]) -> None:
        """Forget these; numbers go on."""
        gone = [stored.measurement.sequence for stored in records]
        kept = [one for one in self._kept if one[1].measurement.sequence not in gone]
        self._kept = deque(kept, maxlen=self._kept.maxlen)

    @property
    def records(self) -> list[Stored]:
        """What it holds, oldest first."""
        return [stored for _, stored in self._kept]


def answers(
    memory: MeterMemory, asked: bytes, manners: Manners = Manners()
) -> Iterator[tuple[str, bytes]]:
    """What a meter sends upon a write to its control point, in order: channel and octets. The answer comes last."""
    try:
        request = racp.decode_request(asked)
    except PeerError:
        op = asked[0] if asked else 0
        yield racp.CHANNEL, _answer(op, racp.Outcome.INVALID_OPERAND)
        return
    match request.op:
        case racp.Op.REPORT:
            yield from _report(memory, request, manners)
        case racp.Op.COUNT if manners.counts:
            found = _chosen(memory, request, manners)
            if isinstance(found, racp.Outcome):
                yield racp.CHANNEL, _answer(request.op, found)
            else:
                yield racp.CHANNEL, racp.encode_answer(racp.Counted(len(found)))
        case racp.Op.DELETE:
            found = _chosen(memory, request, manners)
            if not isinstance(found, racp.Outcome):
                memory.forget(found)
                found = racp.Outcome.SUCCESS
            yield racp.CHANNEL, _answer(request.op, found)
        case racp.Op.ABORT:
            bad = request.operator != racp.Operator.NULL
            outcome = racp.Outcome.INVALID_OPERATOR if bad else racp.Outcome.SUCCESS
            yield racp.CHANNEL, _answer(request.op, outcome)
        case _:
            yield racp.CHANNEL, _answer(request.op, racp.Outcome.OP_NOT_SUPPORTED)


def _report(
    memory: MeterMemory, request: racp.Request, manners: Manners
) -> Iterator[tuple[str, bytes]]:
    found = _chosen(memory, request, manners)
    if isinstance(found, racp.Outcome):
        yield racp.CHANNEL, _answer(request.op, found)
        return
    for stored in found:
        frames = [(MEASUREMENT, encode_measurement(stored.measurement))]
        if stored.context is not None:
            frames.append((CONTEXT, encode_context(stored.context)))
        yield from reversed(frames) if manners.contexts_first else frames
    outcome = racp.Outcome.SUCCESS if found else racp.Outcome.NO_RECORDS
    yield racp.CHANNEL, _answer(request.op, outcome)


def _answer(op: int, outcome: racp.Outcome) -> bytes:
    return racp.encode_answer(racp.Answer(op, outcome))


def _chosen(
    memory: MeterMemory, request: racp.Request, manners: Manners
) -> list[Stored] | racp.Outcome:
    if request.operator == racp.Operator.NULL:
        return racp.Outcome.INVALID_OPERATOR
    if request.operator in _WHOLE:
        return memory.records[_WHOLE[request.operator]]
    if request.operator not in racp.BOUNDS or not manners.filters:
        return racp.Outcome.OPERATOR_NOT_SUPPORTED
    if request.filter_type != racp.SEQUENCE_NUMBER:
        return racp.Outcome.OPERAND_NOT_SUPPORTED
    return _within(memory.records, request)


def _within(records: list[Stored], request: racp.Request) -> list[Stored] | racp.Outcome:
    bounds = [int.from_bytes(bound, "little") for bound in request.bounds]
    low = 0 if request.operator == racp.Operator.AT_MOST else bounds[0]
    high = SEQUENCE_END if request.operator == racp.Operator.AT_LEAST else bounds[-1]
    if low > high:
        return racp.Outcome.INVALID_OPERAND
    return [stored for stored in records if low <= stored.measurement.sequence <= high]


class MeterPeer:
    """A meter in virtual time: answers reads from `values`, and its control point at once; refuses all else."""

    def __init__(
        self, memory: MeterMemory, values: Mapping[str, bytes], manners: Manners = Manners()
    ) -> None:
        """`values`: what a channel holds. Nothing is subscribed to yet."""
        self._memory, self._values, self._manners = memory, values, manners
        self._subscribed: set[str] = set()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Frames only on channels that are subscribed to, as over the air."""
        match command:
            case Subscribe(channel):
                self._subscribed.add(channel)
            case Read(channel) if channel in self._values:
                yield Received(0.0, channel, self._values[channel])
            case Write(racp.CHANNEL) if racp.CHANNEL not in self._subscribed:
                yield Refused(0.0, command, max(racp.UNSUBSCRIBED_CODES))
            case Write(racp.CHANNEL, data):
                for channel, octets in answers(self._memory, data, self._manners):
                    if channel in self._subscribed:
                        yield Received(0.0, channel, octets)
            case _:
                yield Refused(0.0, command, 0x0A)


def measured(
    parts: Mapping[str, Quantity | Limit],
    base_time: StoredTime,
    *,
    offset_min: int | None = None,
    marks: frozenset[str] = frozenset(),
) -> Measurement:
    """A measurement as the meter stores it, not numbered yet. `control` makes it one of control solution.

    Raises ValueError for a unit that the characteristic can't hold.
    """
    control = "control" in marks
    number, unit, bits = _stored(parts.get(PART))
    bits |= sum(bit for mark, bit in STATUS_BITS.items() if mark in marks)
    return Measurement(
        sequence=0,
        base_time=base_time,
        offset_min=offset_min,
        concentration=Concentration(
            number,
            unit,
            CONTROL_TYPE if control else CAPILLARY_WHOLE_BLOOD,
            CONTROL_LOCATION if control else FINGER,
        ),
        status=bits,
    )


def _stored(part: Quantity | Limit | None) -> tuple[Number, Unit, int]:
    match part:
        case None:
            return Special.NAN, "kg/L", 0
        case Limit():
            special, bit = _SPECIALS[part]
            return special, "kg/L", bit
        case Quantity(number, shown) if shown in _UNITS:
            unit, places = _UNITS[shown]
            return number.scaleb(-places), unit, 0
        case Quantity(_, shown):
            raise ValueError(f"{KIND} in {shown!r}; {' or '.join(_UNITS)} fit")
