"""The sensor's side: its session, its memory, and what its control points answer. Pure: the one who asks brings the time.

Time is a counter in seconds that nobody sets: a sensor has no clock of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from drivers.gatt import racp
from drivers.gatt.cgm import codec, ops
from drivers.gatt.cgm.codec import DST_UNKNOWN, ZONE_UNKNOWN, Feature, Record, Start, Status
from drivers.gatt.cgm.readings import (
    PART,
    SESSION_STOPPED,
    STATUS_MARKS,
    SUBCUTANEOUS,
    TOO_HIGH,
    TOO_LOW,
    TREND,
)
from drivers.gatt.cgm.transfer import MEASUREMENT
from drivers.gatt.clocks import stored
from gateway.sdk import (
    Limit,
    PeerError,
    Quantity,
    Read,
    Received,
    Refused,
    Special,
    Subscribe,
    Write,
)

OPS = "ops"
START_WRITE = "session_start_write"
INTERSTITIAL_FLUID = 9
FEATURES = 0x1C101  # calibration, limits, several sessions, trend, quality
PLAIN = Feature(FEATURES, INTERSTITIAL_FLUID, SUBCUTANEOUS)
SEALED = replace(PLAIN, bits=FEATURES | codec.E2E_CRC)
NEVER = Start(stored(None), ZONE_UNKNOWN, DST_UNKNOWN)
PACKET_OCTETS_MAX = 20  # without a larger MTU

BITS: Mapping[str, int] = {mark: bit for bit, mark in STATUS_MARKS.items()}
_SPECIALS: Mapping[Limit, tuple[Special, int]] = {
    Limit.ABOVE: (Special.ABOVE, TOO_HIGH),
    Limit.BELOW: (Special.BELOW, TOO_LOW),
}
_WHOLE: Mapping[int, slice] = {
    racp.Operator.ALL: slice(None),
    racp.Operator.FIRST: slice(1),
    racp.Operator.LAST: slice(-1, None),
}
# What is set by one op is told by another.
_SETS: Mapping[int, int] = {ops.Op.SET_INTERVAL: ops.Op.INTERVAL, **ops.ALERT_OPS}
_NOT_READABLE, _NOT_PERMITTED, _OUT_OF_RANGE = 0x0A, 0x02, 0xFF


@dataclass(frozen=True, slots=True)
class Manners:
    """How a sensor differs: whether it knows filters, counts, puts several records in a packet, tells its newest unasked."""

    filters: bool = True
    counts: bool = True
    packs: bool = False
    tells: bool = False


@dataclass
class Sensor:
    """A sensor in its session: `began_s` on its own counter. A new session forgets the records of the one before."""

    feature: Feature = SEALED
    run_time_h: int = 336
    start: Start = NEVER
    began_s: float = 0.0
    bits: int = 0
    records: list[Record] = field(default_factory=list[Record])
    levels: dict[int, ops.Operand] = field(default_factory=dict[int, ops.Operand])

    def begin(self, now_s: float, start: Start = NEVER) -> None:
        """A new session, of which no client has written the start yet (or one did)."""
        self.records, self.began_s, self.start, self.bits = [], now_s, start, 0

    def minute(self, now_s: float) -> int:
        """Minutes of its session."""
        return int((now_s - self.began_s) // 60) % codec.OFFSET_END

    def store(self, now_s: float, record: Record) -> Record:
        """Remember a record: the minute is now's."""
        told = replace(record, offset_min=self.minute(now_s))
        self.records.append(told)
        return told

    def frames(self, records: Iterable[Record], *, packs: bool = False) -> Iterator[bytes]:
        """Notifications of records."""
        packet = b""
        for record in records:
            octets = codec.encode_record(record, e2e=self.feature.e2e)
            if packet and (not packs or len(packet) + len(octets) > PACKET_OCTETS_MAX):
                yield packet
                packet = b""
            packet += octets
        if packet:
            yield packet

    def value(self, channel: str, now_s: float) -> bytes | None:
        """What a read of a channel gives."""
        e2e = self.feature.e2e
        match channel:
            case "feature":
                return codec.encode_feature(self.feature)
            case "status":
                return codec.encode_status(Status(self.minute(now_s), self.bits), e2e=e2e)
            case "session_start":
                return codec.encode_start(self.start, e2e=e2e)
            case "run_time":
                return codec.encode_run_time(self.run_time_h, e2e=e2e)
            case _:
                return None

    def write_start(self, data: bytes, now_s: float) -> bool:
        """A client's own time: the start is so long before as the session lasts. False where it can't be read."""
        try:
            told = codec.decode_start(data, e2e=self.feature.e2e)
        except PeerError:
            return False
        if told.time.naive is None:
            return False
        began = told.time.naive - timedelta(seconds=int(now_s - self.began_s))
        self.start = replace(told, time=stored(began))
        return True

    def ask(self, data: bytes, now_s: float) -> bytes:
        """What its ops control point indicates upon a write."""
        e2e = self.feature.e2e
        try:
            asked = ops.decode(data, e2e=e2e)
        except PeerError:
            op = data[0] if data else 0
            return ops.encode(_refused(op, ops.Outcome.INVALID_OPERAND), e2e=e2e)
        return ops.encode(self._answered(asked, now_s), e2e=e2e)

    def _answered(self, asked: ops.Message, now_s: float) -> ops.Message:
        op = asked.op
        if op + 1 in self.levels:
            return ops.Message(op + 1, self.levels[op + 1])
        outcome = ops.Outcome.SUCCESS
        if op == ops.Op.START_SESSION:
            outcome = self._restarted(now_s)
        elif op == ops.Op.STOP_SESSION:
            self.bits |= SESSION_STOPPED
        elif op in _SETS:
            self.levels[_SETS[op]] = asked.operand
        else:
            outcome = ops.Outcome.OP_NOT_SUPPORTED
        return _refused(op, outcome)

    def _restarted(self, now_s: float) -> ops.Outcome:
        if not self.bits & SESSION_STOPPED:
            return ops.Outcome.NOT_COMPLETED
        self.begin(now_s)
        return ops.Outcome.SUCCESS

    def answers(self, asked: bytes, manners: Manners = Manners()) -> Iterator[tuple[str, bytes]]:
        """What it sends upon a write to its record access control point, in order: channel and octets."""
        try:
            request = racp.decode_request(asked)
        except PeerError:
            op = asked[0] if asked else 0
            yield racp.CHANNEL, _answer(op, racp.Outcome.INVALID_OPERAND)
            return
        found = self._chosen(request, manners)
        match request.op, found:
            case racp.Op.ABORT, _:
                yield racp.CHANNEL, _answer(request.op, racp.Outcome.SUCCESS)
            case ((racp.Op.REPORT | racp.Op.COUNT | racp.Op.DELETE), racp.Outcome()):
                yield racp.CHANNEL, _answer(request.op, found)
            case racp.Op.REPORT, list():
                for frame in self.frames(found, packs=manners.packs):
                    yield MEASUREMENT, frame
                outcome = racp.Outcome.SUCCESS if found else racp.Outcome.NO_RECORDS
                yield racp.CHANNEL, _answer(request.op, outcome)
            case racp.Op.DELETE, list():
                self.records = [one for one in self.records if one not in found]
                yield racp.CHANNEL, _answer(request.op, racp.Outcome.SUCCESS)
            case racp.Op.COUNT, list() if manners.counts:
                yield racp.CHANNEL, racp.encode_answer(racp.Counted(len(found)))
            case _:
                yield racp.CHANNEL, _answer(request.op, racp.Outcome.OP_NOT_SUPPORTED)

    def _chosen(self, request: racp.Request, manners: Manners) -> list[Record] | racp.Outcome:
        if request.operator == racp.Operator.NULL:
            return racp.Outcome.INVALID_OPERATOR
        if request.operator in _WHOLE:
            return self.records[_WHOLE[request.operator]]
        if request.operator not in racp.BOUNDS or not manners.filters:
            return racp.Outcome.OPERATOR_NOT_SUPPORTED
        if request.filter_type != racp.SEQUENCE_NUMBER:
            return racp.Outcome.OPERAND_NOT_SUPPORTED
        bounds = [int.from_bytes(bound, "little") for bound in request.bounds]
        low = 0 if request.operator == racp.Operator.AT_MOST else bounds[0]
        high = codec.OFFSET_END if request.operator == racp.Operator.AT_LEAST else bounds[-1]
        if low > high:
            return racp.Outcome.INVALID_OPERAND
        return [one for one in self.records if low <= one.offset_min <= high]


def _refused(op: int, outcome: ops.Outcome) -> ops.Message:
    return ops.Message(ops.Op.ANSWER, ops.Answer(op, outcome))


def _answer(op: int, outcome: racp.Outcome) -> bytes:
    return racp.encode_answer(racp.Answer(op, outcome))


class SensorPeer:
    """A sensor in virtual time: answers reads, and its control points at once; refuses all else."""

    def __init__(
        self, sensor: Sensor, facts: Mapping[str, bytes], now_s: Callable[[], float],
        manners: Manners = Manners(),
    ) -> None:  # fmt: skip
        """`now_s`: its own counter. Nothing is subscribed to yet."""
        self._sensor, self._facts, self._now_s, self._manners = sensor, facts, now_s, manners
        self._subscribed: set[str] = set()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Frames only on channels that are subscribed to, as over the air."""
        match command:
            case Subscribe(channel):
                self._subscribed.add(channel)
                newest = self._sensor.records[-1:] if self._manners.tells else []
                told = self._sensor.frames(newest) if channel == MEASUREMENT else ()
                yield from (Received(0.0, MEASUREMENT, frame) for frame in told)
            case Read(channel):
                value = self._facts.get(channel) or self._sensor.value(channel, self._now_s())
                if value is None:
                    yield Refused(0.0, command, _NOT_READABLE)
                else:
                    yield Received(0.0, channel, value)
            case Write():
                yield from self._written(command)

    def _written(self, command: Write) -> Iterator[Received | Refused]:
        channel, data = command.channel, command.data
        if channel == START_WRITE:
            if not self._sensor.write_start(data, self._now_s()):
                yield Refused(0.0, command, _OUT_OF_RANGE)
        elif channel not in self._subscribed:
            yield Refused(0.0, command, max(racp.UNSUBSCRIBED_CODES))
        elif channel == racp.CHANNEL:
            for told, octets in self._sensor.answers(data, self._manners):
                if told in self._subscribed:
                    yield Received(0.0, told, octets)
        elif channel == OPS:
            yield Received(0.0, OPS, self._sensor.ask(data, self._now_s()))
        else:
            yield Refused(0.0, command, _NOT_PERMITTED)


def measured(parts: Mapping[str, Quantity | Limit], marks: frozenset[str] = frozenset()) -> Record:
    """A record as a sensor stores it; the minute is still to come. Raises ValueError for a unit that it can't hold."""
    glucose, bits = _stored(parts.get(PART), "mg/dL", _SPECIALS)
    bits |= sum(BITS[mark] for mark in marks if mark in BITS)
    trend = None
    if TREND in parts:
        plain = {limit: (special, 0) for limit, (special, _) in _SPECIALS.items()}
        trend, _ = _stored(parts[TREND], "mg/dL/min", plain)
    octets = [bits >> shift & 0xFF or None for shift in (0, 8, 16)]
    return Record(0, glucose, octets[0], octets[1], octets[2], trend)


def _stored(
    part: Quantity | Limit | None, unit: str, limits: Mapping[Limit, tuple[Special, int]]
) -> tuple[codec.Number, int]:
    match part:
        case None:
            return Special.NAN, 0
        case Limit():
            return limits[part]
        case Quantity(number, shown) if shown == unit:
            return number, 0
        case Quantity(_, shown):
            raise ValueError(f"{shown!r}; {unit} fits")
