"""The sensor's side: its memory, its live observations, and what its control points answer. Pure: the one who asks brings the time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drivers.gatt import racp
from drivers.gatt.health_sensor.codec import (
    Class,
    Layout,
    Measured,
    Observation,
    encode,
    segments,
)
from drivers.gatt.health_sensor.gathering import LIVE, STORED
from drivers.gatt.health_sensor.terms import COMPONENTS, NIBP, TERMS, UNITS
from drivers.gatt.health_sensor.values import ElapsedTime, encode_time
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

SUCCESS, BUSY, ERROR = b"\x80", b"\x81", b"\x82"
_SPECIALS: Mapping[Limit, Special] = {Limit.ABOVE: Special.ABOVE, Limit.BELOW: Special.BELOW}
_WIDTHS: Mapping[int, int] = {racp.SEQUENCE_NUMBER: 4}
_CODES: Mapping[str, int] = {unit: code for code, unit in UNITS.items()}
_OF_PART: Mapping[str, int] = {part: code for code, part in COMPONENTS.items()}
_WHOLE: Mapping[int, slice] = {
    racp.Operator.ALL: slice(None),
    racp.Operator.FIRST: slice(1),
    racp.Operator.LAST: slice(-1, None),
}
_NOT_READABLE, _NOT_PERMITTED = 0x0A, 0x02


@dataclass(frozen=True, slots=True)
class Manners:
    """How a sensor differs: whether it knows combined reports and filters, how it writes, whether it tells its newest live too."""

    combined: bool = True
    filters: bool = True
    layout: Layout = field(default_factory=Layout)
    live: bool = False
    segment_octets: int = 19


@dataclass
class HealthSensor:
    """Observations with their record numbers, oldest first."""

    manners: Manners = field(default_factory=Manners)
    records: list[tuple[int, Observation]] = field(default_factory=list[tuple[int, Observation]])
    next_number: int = 1
    unconfirmed: Observation | None = None
    """The newest, until its live packet is confirmed: nothing tells it live after that."""

    def store(self, told: Observation) -> None:
        """Remember it under the next number."""
        self.records.append((self.next_number, told))
        self.next_number += 1
        self.unconfirmed = told if self.manners.live else None

    def live(self, told: Observation) -> Iterator[bytes]:
        """Packets of an observation as it is made."""
        yield from segments(encode(told, self.manners.layout), self.manners.segment_octets)

    def answers(self, asked: bytes) -> Iterator[tuple[str, bytes]]:
        """What it sends upon a write to its record access control point, in order: channel and octets."""
        try:
            request = racp.decode_request(asked, _WIDTHS)
        except PeerError:
            yield racp.CHANNEL, _answer(asked[0] if asked else 0, racp.Outcome.INVALID_OPERAND)
            return
        found = self._chosen(request)
        match request.op, found:
            case racp.Op.ABORT, _:
                yield racp.CHANNEL, _answer(request.op, racp.Outcome.SUCCESS)
            case racp.Op.COUNT, list():
                yield racp.CHANNEL, racp.encode_answer(racp.Counted(len(found)), 4)
            case racp.Op.REPORT_COMBINED, list() if self.manners.combined:
                yield from self._stored(found)
                done = racp.Counted(len(found), racp.Op.COMBINED_COUNTED)
                yield racp.CHANNEL, racp.encode_answer(done, 4)
            case racp.Op.REPORT, list() if not self.manners.combined:
                yield from self._stored(found)
                outcome = racp.Outcome.SUCCESS if found else racp.Outcome.NO_RECORDS
                yield racp.CHANNEL, _answer(request.op, outcome)
            case _, racp.Outcome():
                yield racp.CHANNEL, _answer(request.op, found)
            case _:
                yield racp.CHANNEL, _answer(request.op, racp.Outcome.OP_NOT_SUPPORTED)

    def _stored(self, found: list[tuple[int, Observation]]) -> Iterator[tuple[str, bytes]]:
        for number, told in found:
            body = number.to_bytes(4, "little") + encode(told, self.manners.layout)
            for packet in segments(body, self.manners.segment_octets):
                yield STORED, packet

    def _chosen(self, request: racp.Request) -> list[tuple[int, Observation]] | racp.Outcome:
        if request.operator in _WHOLE:
            return self.records[_WHOLE[request.operator]]
        if request.operator != racp.Operator.AT_LEAST or not self.manners.filters:
            return racp.Outcome.OPERATOR_NOT_SUPPORTED
        if request.filter_type != racp.SEQUENCE_NUMBER:
            return racp.Outcome.OPERAND_NOT_SUPPORTED
        low = int.from_bytes(request.bounds[0], "little")
        return [one for one in self.records if one[0] >= low]


def _answer(op: int, outcome: racp.Outcome) -> bytes:
    return racp.encode_answer(racp.Answer(op, outcome))


class HealthSensorPeer:
    """A sensor in virtual time: answers reads, and its control points at once; refuses all else."""

    def __init__(
        self, sensor: HealthSensor, facts: Mapping[str, bytes], shows: Callable[[], ElapsedTime]
    ) -> None:
        """`shows`: its clock. Nothing is subscribed to yet."""
        self._sensor, self._facts, self._shows = sensor, facts, shows
        self._subscribed: set[str] = set()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """Frames only on channels that are subscribed to, as over the air."""
        match command:
            case Subscribe(channel):
                self._subscribed.add(channel)
            case Read("elapsed_time"):
                yield Received(0.0, command.channel, encode_time(self._shows()))
            case Read(channel) if channel in self._facts:
                yield Received(0.0, channel, self._facts[channel])
            case Read():
                yield Refused(0.0, command, _NOT_READABLE)
            case Write(channel, data) if channel in self._subscribed:
                yield from self._written(channel, data)
            case _:
                yield Refused(0.0, command, _NOT_PERMITTED)

    def _written(self, channel: str, data: bytes) -> Iterator[Received]:
        answers: Iterable[tuple[str, bytes]] = ()
        if channel == racp.CHANNEL:
            answers = self._sensor.answers(data)
        elif channel == "control":
            answers = [("control", SUCCESS if data in {b"\x01", b"\x02"} else ERROR)]
            newest = self._sensor.unconfirmed
            if newest is not None and data == b"\x01":
                answers += [(LIVE, packet) for packet in self._sensor.live(newest)]
        for told, octets in answers:
            if told in self._subscribed:
                yield Received(0.0, told, octets)


def observed(
    kind: str, parts: Mapping[str, Quantity | Limit], time: ElapsedTime | None, patient: int | None
) -> Observation:
    """An observation of these parts: a blood pressure as a compound, all else as one number. Raises ValueError for a unit without a code."""
    if kind == "blood_pressure":
        numbers = tuple(_measured(_OF_PART[name], part) for name, part in parts.items())
        return Observation(Class.COMPOUND, NIBP, time, numbers, patient)
    ((name, part),) = parts.items()
    code = next(code for code, term in TERMS.items() if (term.kind, term.part) == (kind, name))
    return Observation(Class.NUMERIC, code, time, (_measured(code, part),), patient)


def _measured(code: int, part: Quantity | Limit) -> Measured:
    match part:
        case Limit():
            return Measured(code, _CODES["mmHg"], _SPECIALS[part])
        case Quantity(number, unit) if unit in _CODES:
            return Measured(code, _CODES[unit], number)
        case Quantity(_, unit):
            raise ValueError(f"{unit!r}; {', '.join(_CODES)} have a code")
