"""CGM Specific Ops Control Point 0x2AAC, its octets both ways. Pure.

Starting and stopping a session, calibrating and setting limits are a person's to do: no visit writes here. The device's side
answers by it, and what another client asks can be read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from drivers.gatt.cgm.codec import Number
from drivers.gatt.e2e_crc import sealed, unsealed
from gateway.sdk import Fields, PeerError, encode_sfloat


class Op(IntEnum):
    """What is asked, and what is answered. Of each triple of limits: set, get, what it is."""

    SET_INTERVAL = 0x01
    GET_INTERVAL = 0x02
    INTERVAL = 0x03
    SET_CALIBRATION = 0x04
    GET_CALIBRATION = 0x05
    CALIBRATION = 0x06
    SET_PATIENT_HIGH = 0x07
    GET_PATIENT_HIGH = 0x08
    PATIENT_HIGH = 0x09
    SET_PATIENT_LOW = 0x0A
    GET_PATIENT_LOW = 0x0B
    PATIENT_LOW = 0x0C
    SET_HYPO = 0x0D
    GET_HYPO = 0x0E
    HYPO = 0x0F
    SET_HYPER = 0x10
    GET_HYPER = 0x11
    HYPER = 0x12
    SET_FALLING = 0x13
    GET_FALLING = 0x14
    FALLING = 0x15
    SET_RISING = 0x16
    GET_RISING = 0x17
    RISING = 0x18
    RESET_DEVICE_ALERT = 0x19
    START_SESSION = 0x1A
    STOP_SESSION = 0x1B
    ANSWER = 0x1C


class Outcome(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OP_NOT_SUPPORTED = 2
    INVALID_OPERAND = 3
    NOT_COMPLETED = 4
    OUT_OF_RANGE = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a request that has no other answer: which one, and its outcome (`Outcome`, or a code that is reserved)."""

    request_op: int
    outcome: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration value with its record: mg/dL, minutes since the session began, type and location in two nibbles, status bits."""

    glucose: Number
    time_min: int
    type: int
    location: int
    next_min: int = 0
    record: int = 0
    status: int = 0


Operand = int | Number | Calibration | Answer | bytes | None


@dataclass(frozen=True, slots=True)
class Message:
    """An op code and its operand; octets where no standard knows the op code."""

    op: int
    operand: Operand = None


ALERT_OPS: Mapping[int, int] = {
    set_op: set_op + 2 for set_op in range(Op.SET_PATIENT_HIGH, Op.SET_RISING + 1, 3)
}
"""The op that sets a limit, and the one that tells it; the one that asks for it stands between."""


def decode(data: bytes, *, e2e: bool) -> Message:
    """What was written or indicated. Raises PeerError where it is cut, or its CRC is another."""
    fields = Fields(unsealed(data, "control point") if e2e else data)
    op = fields.u8("op code")
    return Message(op, _READ.get(op, _rest)(fields))


def _calibration(fields: Fields) -> Calibration:
    glucose, time_min = fields.sfloat("calibration value"), fields.u16("calibration time")
    both = fields.u8("type and location")
    return Calibration(
        glucose,
        time_min,
        both & 0x0F,
        both >> 4,
        fields.u16("next calibration"),
        fields.u16("record number"),
        fields.u8("calibration status"),
    )


def _nothing(_fields: Fields) -> Operand:
    return None


def _rest(fields: Fields) -> Operand:
    return fields.rest


def _level(fields: Fields) -> Operand:
    return fields.sfloat("level")


def _interval(fields: Fields) -> Operand:
    return fields.u8("interval")


def _answer(fields: Fields) -> Operand:
    return Answer(fields.u8("request op code"), fields.u8("response code"))


# By op code; of a triple of limits, what is set and what it is have a level, and asking has nothing.
_READ: Mapping[int, Callable[[Fields], Operand]] = {
    **{op: _level for pair in ALERT_OPS.items() for op in pair},
    **dict.fromkeys((op + 1 for op in ALERT_OPS), _nothing),
    **dict.fromkeys(
        (Op.GET_INTERVAL, Op.RESET_DEVICE_ALERT, Op.START_SESSION, Op.STOP_SESSION), _nothing
    ),
    Op.SET_INTERVAL: _interval,
    Op.INTERVAL: _interval,
    Op.GET_CALIBRATION: lambda fields: fields.u16("record number"),
    Op.SET_CALIBRATION: _calibration,
    Op.CALIBRATION: _calibration,
    Op.ANSWER: _answer,
}


def encode(told: Message, *, e2e: bool) -> bytes:
    """The octets. Raises ValueError where the operand is none that the op code takes."""
    body = bytes((told.op,)) + _octets(told)
    try:
        fits = decode(body, e2e=False) == told
    except PeerError:
        fits = False
    if not fits:
        raise ValueError(f"{told} has another operand than its op code takes")
    return sealed(body) if e2e else body


def _octets(told: Message) -> bytes:
    match told.operand:
        case None:
            return b""
        case bytes() as octets:
            return octets
        case Answer(request_op, outcome):
            return bytes((request_op, outcome))
        case Calibration() as one:
            return (
                encode_sfloat(one.glucose)
                + one.time_min.to_bytes(2, "little")
                + bytes((one.type | one.location << 4,))
                + one.next_min.to_bytes(2, "little")
                + one.record.to_bytes(2, "little")
                + bytes((one.status,))
            )
        case int() as number:
            return number.to_bytes(2 if told.op == Op.GET_CALIBRATION else 1, "little")
        case number:
            return encode_sfloat(number)
