"""User Data Service 0x181C: the User Control Point 0x2A9F and the fields of a user, both ways. Pure. Tables: weight_scale/README.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from gateway.sdk import Fields, PeerError

CODE_MAX = 9999
NO_USER = 0xFF
YEAR_MIN = 1582  # the first that a date of the standard allows
_RESPONSE = 0x20


class Op(IntEnum):
    """What a control point is asked."""

    REGISTER = 1
    CONSENT = 2
    DELETE_DATA = 3
    LIST = 4
    DELETE_USER = 5


class Outcome(IntEnum):
    """What it answers."""

    SUCCESS = 1
    NOT_SUPPORTED = 2
    INVALID_PARAMETER = 3
    FAILED = 4
    NOT_AUTHORIZED = 5


IN_WORDS: Mapping[int, str] = {
    Outcome.SUCCESS: "success",
    Outcome.NOT_SUPPORTED: "operation not supported",
    Outcome.INVALID_PARAMETER: "invalid parameter: no such user",
    Outcome.FAILED: "operation failed: no free place",
    Outcome.NOT_AUTHORIZED: "user not authorized: another code",
}
GENDERS: Mapping[str, int] = {"male": 0, "female": 1, "unspecified": 2}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the control point. `number`: the index of the new or the deleted user, or how many users there are."""

    request: int
    outcome: int
    number: int | None = None

    @property
    def granted(self) -> bool:
        """Whether it did what it was asked."""
        return self.outcome == Outcome.SUCCESS

    @property
    def why(self) -> str:
        """The outcome in words."""
        return IN_WORDS.get(self.outcome, f"outcome {self.outcome}")


def register(code: int) -> bytes:
    """Ask for a place for a new user with this consent code. Raises ValueError."""
    return bytes((Op.REGISTER,)) + _code(code)


def consent(slot: int, code: int) -> bytes:
    """Ask for the access that this user agreed to. Raises ValueError."""
    return bytes((Op.CONSENT, slot)) + _code(code)


def decode_request(data: bytes) -> tuple[int, int | None, int | None]:
    """The device's side: operation, user index and consent code, as far as it has them. Raises PeerError."""
    fields = Fields(data)
    op = fields.u8("operation")
    slot = fields.u8("user index") if op in (Op.CONSENT, Op.DELETE_USER) else None
    # Two octets: a consent of three octets stands in public tests, and is cut (protocols.md, 7.1).
    code = fields.u16("consent code") if op in (Op.REGISTER, Op.CONSENT) else None
    return op, slot, code


def decode_answer(data: bytes) -> Answer:
    """Raises PeerError where it is none, or is cut."""
    fields = Fields(data)
    if (op := fields.u8("operation")) != _RESPONSE:
        raise PeerError(f"the user control point says 0x{op:02X}; 0x{_RESPONSE:02X} is a response")
    answer = Answer(fields.u8("request"), fields.u8("outcome"))
    if answer.granted and answer.request in (Op.REGISTER, Op.LIST, Op.DELETE_USER):
        return Answer(answer.request, answer.outcome, fields.u8("number"))
    return answer


def encode_answer(told: Answer) -> bytes:
    """The device's side."""
    tail = b"" if told.number is None else bytes((told.number,))
    return bytes((_RESPONSE, told.request, told.outcome)) + tail


def encode_birth_date(born: date) -> bytes:
    """0x2A85."""
    return born.year.to_bytes(2, "little") + bytes((born.month, born.day))


def decode_birth_date(data: bytes) -> date | None:
    """0x2A85; None where it isn't known, or is no date. Raises PeerError."""
    fields = Fields(data)
    year = fields.u16("year")
    month, day = fields.take(2, "month and day")
    if year < YEAR_MIN:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def encode_height(centimetres: int) -> bytes:
    """0x2A8E: steps of 0.01 m."""
    return centimetres.to_bytes(2, "little")


def _code(code: int) -> bytes:
    if not 0 <= code <= CODE_MAX:
        raise ValueError(
            f"a consent code is a number from 0 to {CODE_MAX}"
        )  # it is a secret, so it isn't shown
    return code.to_bytes(2, "little")
