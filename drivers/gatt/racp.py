"""Record Access Control Point 0x2A52, of any service that has one: its octets both ways, and a procedure for flows. Pure.

It may not know what a record is: whoever gathers records says what counts as one. Op codes, answers and what devices do
wrong: the tables of glucose/README.md.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol

from gateway.sdk import (
    Command,
    Event,
    Fields,
    PeerError,
    Received,
    Refused,
    SetTimer,
    Subscribe,
    TimerFired,
    Write,
    wait,
)

CHANNEL = "racp"

SEQUENCE_NUMBER = (
    1  # filter types: of glucose; in continuous glucose 1 is a time offset, of the same width
)
USER_FACING_TIME = 2
FILTER_OCTETS: Mapping[int, int] = {SEQUENCE_NUMBER: 2, USER_FACING_TIME: 7}
COUNT_OCTETS = (1, 2, 4)  # by service; 2 in glucose and continuous glucose

IN_PROGRESS_CODES = frozenset({0xFE, 0x80})  # ATT errors; the second is that of older devices
UNSUBSCRIBED_CODES = frozenset({0xFD, 0x81})
# Request not supported, invalid length, value not allowed, out of range: this request can't be had, and another may.
DECLINED_CODES = frozenset({0x06, 0x0D, 0x13, 0xFF})


class Op(IntEnum):
    """What is asked, and what is answered."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    COUNT = 4
    COUNTED = 5
    ANSWER = 6
    REPORT_COMBINED = 7
    COMBINED_COUNTED = 8


class Operator(IntEnum):
    """Which records. AT_MOST, AT_LEAST and WITHIN take a filter."""

    NULL = 0
    ALL = 1
    AT_MOST = 2
    AT_LEAST = 3
    WITHIN = 4
    FIRST = 5
    LAST = 6


class Outcome(IntEnum):
    """How a procedure ended."""

    SUCCESS = 1
    OP_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9
    BUSY = 10


BOUNDS: Mapping[int, int] = {Operator.AT_MOST: 1, Operator.AT_LEAST: 1, Operator.WITHIN: 2}
DONE = frozenset({Outcome.SUCCESS, Outcome.NO_RECORDS})
# Devices without a filter refuse it in any of these ways.
NOT_SUPPORTED = frozenset(
    {
        Outcome.OP_NOT_SUPPORTED,
        Outcome.INVALID_OPERATOR,
        Outcome.OPERATOR_NOT_SUPPORTED,
        Outcome.INVALID_OPERAND,
        Outcome.OPERAND_NOT_SUPPORTED,
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is written. Codes that no standard knows stand as they are; `bounds` are the filter's values in octets."""

    op: int
    operator: int = Operator.NULL
    filter_type: int | None = None
    bounds: tuple[bytes, ...] = ()


ABORT = Request(Op.ABORT)


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a procedure: which request it answers, and its outcome (`Outcome`, or a code that is reserved)."""

    request_op: int
    outcome: int


@dataclass(frozen=True, slots=True)
class Counted:
    """So many records. `op`: COUNTED answers COUNT, COMBINED_COUNTED answers REPORT_COMBINED."""

    number: int
    op: int = Op.COUNTED


class UnansweredError(PeerError):
    """No answer came, or none that can be read. Records may be had all the same, where it was their number that was asked for."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An indication that is neither: to be passed over."""

    data: bytes


def at_least(op: Op, number: int, octets: int = 2) -> Request:
    """The records from a number on, that one included."""
    return Request(op, Operator.AT_LEAST, SEQUENCE_NUMBER, (number.to_bytes(octets, "little"),))


def encode_request(asked: Request) -> bytes:
    """What is written to the control point."""
    filter_type = b"" if asked.filter_type is None else bytes((asked.filter_type,))
    return bytes((asked.op, asked.operator)) + filter_type + b"".join(asked.bounds)


def decode_request(data: bytes, octets: Mapping[int, int] = FILTER_OCTETS) -> Request:
    """For the device's side. `octets`: width of a filter's value by its type; of an unknown type it is what is left.

    Raises PeerError where it is cut.
    """
    fields = Fields(data)
    op, operator = fields.u8("op code"), fields.u8("operator")
    if operator not in BOUNDS or op not in (Op.REPORT, Op.DELETE, Op.COUNT, Op.REPORT_COMBINED):
        return Request(op, operator)
    filter_type = fields.u8("filter type")
    width = octets.get(filter_type)
    if width is None:
        return Request(op, operator, filter_type, (fields.rest,))
    bounds = tuple(fields.take(width, "filter value") for _ in range(BOUNDS[operator]))
    return Request(op, operator, filter_type, bounds)


def encode_answer(told: Answer | Counted, octets: int = 2) -> bytes:
    """What is indicated. `octets`: of a count. Raises OverflowError for a count that doesn't fit."""
    match told:
        case Answer(request_op, outcome):
            return bytes((Op.ANSWER, Operator.NULL, request_op, outcome))
        case Counted(number, op):
            return bytes((op, Operator.NULL)) + number.to_bytes(octets, "little")


def decode_answer(data: bytes) -> Answer | Counted | Unknown:
    """What was indicated. Raises UnansweredError where it is cut, or a count has a width that none has."""
    try:
        return _answer_of(Fields(data), data)
    except PeerError as cut:
        raise UnansweredError(str(cut)) from cut


def _answer_of(fields: Fields, data: bytes) -> Answer | Counted | Unknown:
    op = fields.u8("op code")
    if op == Op.ANSWER:
        fields.u8("operator")
        return Answer(fields.u8("request op code"), fields.u8("response code"))
    if op in (Op.COUNTED, Op.COMBINED_COUNTED):
        fields.u8("operator")
        if len(fields.rest) not in COUNT_OCTETS:
            raise PeerError(f"a count of {len(fields.rest)} octets; 1, 2 or 4 are known")
        return Counted(int.from_bytes(fields.rest, "little"), op)
    return Unknown(data)


class Gathering(Protocol):
    """Whoever takes the records that come between a request and its answer."""

    @property
    def frames(self) -> int:
        """How many records came since the last restart, also those that can't be read or came twice."""
        ...

    def hear(self, event: Event) -> bool:
        """Take an event that is not the control point's; whether it was a record: then more time is given."""
        ...

    def restart(self) -> None:
        """The request is made again: what was gathered for it will come once more."""
        ...

    def expect(self, announced: int | None) -> None:
        """The device announced so many records, or (None) doesn't count."""
        ...

    def spill(self) -> Iterable[Command]:
        """After each event: what can be told and flushed before the report has ended, if anything."""
        ...


class Trouble(StrEnum):
    """Why a request has to be made again."""

    UNSUBSCRIBED = "says that its indications are not switched on"
    IN_PROGRESS = "says that it is busy with an earlier request"
    BUSY = "says that it is busy"
    NOT_COMPLETED = "could not complete the procedure"
    SILENT = "fell silent"


# So often each is met in one procedure before it is given up.
RETRIES_MAX: Mapping[Trouble, int] = {
    Trouble.UNSUBSCRIBED: 1,
    Trouble.IN_PROGRESS: 1,
    Trouble.BUSY: 2,
    Trouble.NOT_COMPLETED: 1,
    Trouble.SILENT: 1,
}
_TRANSIENT: Mapping[int, Trouble] = {
    Outcome.BUSY: Trouble.BUSY,
    Outcome.NOT_COMPLETED: Trouble.NOT_COMPLETED,
}

PATIENCE_S = 8.0  # for the answer, anew with each record (reference notes: 5 to 10 s)
ABORT_S = 5.0
PAUSE_S = 3.0  # before a busy device is asked again

_PATIENCE, _PAUSE = "racp patience", "racp pause"

Ended = Answer | Counted
Asking = Generator[Command | None, Event | None, Ended]
Reporting = Generator[Command | None, Event | None, bool]
Counting = Generator[Command | None, Event | None, int | None]
_Trying = Generator[Command | None, Event | None, Ended | Trouble]
_Doing = Generator[Command | None, Event | None, None]

# The same records, asked for in another way: counted, reported.
Asked = Callable[[Op], Request]
# The gap that a device wants before each request.
Gap = Callable[[], _Doing]


def report(of: Asked, gathering: Gathering, gap: Gap) -> Reporting:
    """One report, held against the count that the device announced; False where it doesn't support such a request.

    A device that doesn't count is believed its answer. Raises PeerError where the report ends with neither success nor
    "no records found", or brings less than was announced.
    """
    announced = yield from count(of, gathering, gap)
    gathering.expect(announced)
    yield from gap()
    answer = yield from procedure(of(Op.REPORT), gathering)
    assert isinstance(answer, Answer)  # a count answers other requests only
    if answer.outcome in NOT_SUPPORTED:
        return False
    if answer.outcome not in DONE:
        raise PeerError(f"its report ended with response code {answer.outcome}")
    if announced is not None and gathering.frames < announced:
        raise PeerError(f"announced {announced} records and told {gathering.frames}")
    return True


def count(of: Asked, gathering: Gathering, gap: Gap) -> Counting:
    """How many records the device says there are; None where it doesn't count, or not these. Raises PeerError.

    One that answers an abort and says nothing to a count, or nothing that can be read, may tell its records all the same. One
    that doesn't answer an abort either is not asked on: what comes late would be taken for the answer to what is asked next.
    """
    yield from gap()
    try:
        answer = yield from procedure(of(Op.COUNT), gathering)
    except UnansweredError:
        return None
    match answer:
        case Counted(number):
            return number
        case Answer(_, Outcome.NO_RECORDS):
            return 0
        case _:
            return None


def procedure(asked: Request, gathering: Gathering) -> Asking:
    """Ask, let `gathering` have what comes, and return how it ended: an answer with any lasting outcome, or a count.

    Records say themselves which they are, so it may ask again where the device was busy, silent (after an abort) or not
    subscribed to; RETRIES_MAX bounds that. A caller holds what it gathered against a count, since an answer that comes
    late could be that to the first try. Raises PeerError where no try brings an end.
    """
    met: Counter[Trouble] = Counter()
    while True:
        yield Write(CHANNEL, encode_request(asked))
        ended = yield from _ended(asked.op, gathering, PATIENCE_S)
        trouble = ended if isinstance(ended, Trouble) else _trouble(ended)
        if trouble is None:
            assert not isinstance(ended, Trouble)  # that would be the trouble
            return ended
        met[trouble] += 1
        if met[trouble] > RETRIES_MAX[trouble]:
            fault = UnansweredError if trouble is Trouble.SILENT else PeerError
            raise fault(
                f"{trouble.value} on request {encode_request(asked).hex()}, asked {met.total()} times"
            )
        yield from _make_ready(trouble, gathering)
        gathering.restart()


def _trouble(ended: Ended) -> Trouble | None:
    return _TRANSIENT.get(ended.outcome) if isinstance(ended, Answer) else None


def _ended(op: int, gathering: Gathering, patience_s: float) -> _Trying:
    yield SetTimer(_PATIENCE, patience_s)
    while True:
        match event := (yield from wait()):
            case Received(_, channel, data) if channel == CHANNEL:
                answer = decode_answer(data)
                if not isinstance(answer, Unknown) and _answers(answer, op):
                    return answer
            case Refused(_, Write(channel), code) if channel == CHANNEL:
                return _refusal(op, code)
            case Refused(_, Subscribe(channel), code) if channel == CHANNEL:
                raise PeerError(
                    f"refuses its control point (ATT error 0x{code:02X}); is it paired?"
                )
            case TimerFired(_, timer) if timer == _PATIENCE:
                return Trouble.SILENT
            case _:
                if gathering.hear(event):
                    yield SetTimer(_PATIENCE, patience_s)
                yield from gathering.spill()


def _answers(answer: Ended, op: int) -> bool:
    # A late answer to an earlier request is no answer to this one.
    if isinstance(answer, Answer):
        return answer.request_op == op
    return (op, answer.op) in ((Op.COUNT, Op.COUNTED), (Op.REPORT_COMBINED, Op.COMBINED_COUNTED))


def _refusal(op: int, code: int) -> Ended | Trouble:
    if code in IN_PROGRESS_CODES:
        return Trouble.IN_PROGRESS
    if code in UNSUBSCRIBED_CODES:
        return Trouble.UNSUBSCRIBED
    if code in DECLINED_CODES:
        return Answer(op, Outcome.OPERAND_NOT_SUPPORTED)
    raise PeerError(f"refuses request {op} (ATT error 0x{code:02X}); is it paired?")


def _make_ready(trouble: Trouble, gathering: Gathering) -> _Doing:
    match trouble:
        case Trouble.UNSUBSCRIBED:
            yield Subscribe(CHANNEL)
        case Trouble.IN_PROGRESS | Trouble.SILENT:
            yield from abort(gathering)
        case Trouble.BUSY | Trouble.NOT_COMPLETED:
            yield from _pause(gathering)


def abort(gathering: Gathering) -> _Doing:
    """Stop what runs. Records that were on their way still come; "abort unsuccessful" means that nothing ran.

    Raises PeerError where that is not answered either.
    """
    yield Write(CHANNEL, encode_request(ABORT))
    ended = yield from _ended(Op.ABORT, gathering, ABORT_S)
    if isinstance(ended, Trouble):
        raise PeerError(f"{ended.value}, also on an abort")


def _pause(gathering: Gathering) -> _Doing:
    yield SetTimer(_PAUSE, PAUSE_S)
    while True:
        match event := (yield from wait()):
            case TimerFired(_, timer) if timer == _PAUSE:
                return
            case _:
                gathering.hear(event)
