"""The users of a scale and what they agreed to: who they are, from the box's secrets, and how a scale is asked. Pure.

Consent holds for one connection. A wrong code is told and never tried twice in a visit; no code stands in any text.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import date

from drivers.gatt import user_data
from drivers.gatt.introduction import Hearing
from drivers.gatt.user_data import Answer
from gateway.sdk import (
    Command,
    Event,
    Flow,
    PeerError,
    Read,
    Received,
    Refused,
    ReportFacts,
    SetTimer,
    TimerFired,
    UnitInfo,
    Write,
)

CONTROL, CHANGES, INDEX = "user_control", "change_increment", "user_index"
BORN, GENDER, HEIGHT, ACTIVITY = "birth_date", "gender", "user_height", "activity"
# In the order in which Beurer's own app writes them (protocols.md, 7.1).
USER_FIELDS = (BORN, GENDER, HEIGHT, ACTIVITY)
ANSWER_S = 5.0
SLOT_MAX = user_data.NO_USER - 1
UNCHANGED = (1).to_bytes(4, "little")  # what Beurer's app writes when it has changed nothing
SLOT_FACT = "slot."  # of a user who was registered here: the place that the scale gave

_ANSWER = "consent"
_PREFIX = "user."

Consenting = Generator[Command | None, Event | None, str | None]
_Asking = Generator[Command | None, Event | None, Answer | None]
_Reading = Generator[Command | None, Event | None, bytes | None]


@dataclass(frozen=True, slots=True)
class User:
    """One user of a scale. `name` is the slot's number, or a word of the operator's for one who has none yet."""

    name: str
    code: int = field(repr=False)
    slot: int | None
    fields: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)


def users_of(unit: UnitInfo) -> list[User]:
    """Those whose codes the operator wrote down, by name. One who was registered before has the slot that was told then."""
    names = {key.split(".")[1] for key in unit.secrets if key.startswith(_PREFIX)}
    return [_user(name, unit) for name in sorted(names)]


def _user(name: str, unit: UnitInfo) -> User:
    slot = name if name.isdecimal() else unit.facts.get(SLOT_FACT + name, "")
    secrets = {key: unit.secrets.get(f"{_PREFIX}{name}.{key}") for key in _ENCODE}
    return User(
        name=name,
        code=int(unit.secrets[f"{_PREFIX}{name}.code"]),
        slot=int(slot) if slot.isdecimal() else None,
        fields={key: _ENCODE[key](told) for key, told in secrets.items() if told is not None},
    )


_ENCODE: Mapping[str, Callable[[str], bytes]] = {
    BORN: lambda told: user_data.encode_birth_date(date.fromisoformat(told)),
    GENDER: lambda told: bytes((user_data.GENDERS[told],)),
    HEIGHT: lambda told: user_data.encode_height(int(told)),
}


class Desk:
    """Where a scale is asked for its users' data. `granted`: the slots whose users agreed, in this visit.

    `owes`: it has not answered in time. An answer doesn't say which user it is about: a late one would be the next one's.
    """

    def __init__(self, channels: Mapping[str, object], hear: Callable[[], Hearing]) -> None:
        """`hear` gives the next event, after the session has told what it means."""
        self._channels, self._hear = channels, hear
        self.granted: set[int] = set()
        self.owes = False

    def admit(self, user: User, *, commits: bool) -> Consenting:
        """Ask for one user's data, who is registered first where there is no slot. Why the scale refuses, or None.

        `commits`: the scale waits until its own data of the user is written back, unchanged (Beurer).
        """
        slot, fresh = user.slot, user.slot is None
        if slot is None:
            answer = yield from self._ask(user_data.register(user.code))
            if answer is None or not answer.granted or answer.number is None:
                return f"registers no new user: {_why(answer)}"
            slot = answer.number
            if slot > SLOT_MAX:
                return f"registers no new user: gives place {slot}, which is nobody's"
            yield ReportFacts({SLOT_FACT + user.name: str(slot)})
        answer = yield from self._ask(user_data.consent(slot, user.code))
        if answer is None or not answer.granted:
            return f"does not take the consent code of slot {slot}: {_why(answer)}"
        self.granted.add(slot)
        if fresh:
            return (yield from self._fill_in(user, slot))
        if commits:
            yield from self._commit()
        return None

    def _fill_in(self, user: User, slot: int) -> Consenting:
        """Write the new user's data, say that it changed, and read all of it back."""
        for channel in USER_FIELDS:
            if channel in user.fields and channel in self._channels:
                yield Write(channel, user.fields[channel])
        if CHANGES in self._channels:
            known = yield from self._read(CHANGES)
            count = int.from_bytes((known or b"")[:4], "little") + 1
            yield Write(CHANGES, (count % (1 << 32)).to_bytes(4, "little"))
        wanted = {INDEX: bytes((slot,)), **user.fields}
        wrong: list[str] = []
        for channel in (INDEX, *USER_FIELDS):
            if channel in wanted and channel in self._channels:
                stands = yield from self._read(channel)
                if stands is not None and stands != wanted[channel]:
                    wrong.append(channel)
        return f"does not hold what was written: {', '.join(wrong)}" if wrong else None

    def _commit(self) -> Flow:
        """Each field as it stands, octet by octet. One that can't be read is not written: it isn't known to be empty."""
        for channel in USER_FIELDS:
            if channel not in self._channels:
                continue
            stands = yield from self._read(channel)
            if stands:
                yield Write(channel, stands)
        if CHANGES in self._channels:
            yield Write(CHANGES, UNCHANGED)

    def _read(self, channel: str) -> _Reading:
        yield Read(channel)
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            match (yield from self._hear()):
                case Received(_, told, data) if told == channel:
                    return data
                case Refused(_, Read(refused)) if refused == channel:
                    return None
                case TimerFired(_, timer) if timer == _ANSWER:
                    return None
                case _:
                    pass

    def _ask(self, request: bytes) -> _Asking:
        yield Write(CONTROL, request)
        yield SetTimer(_ANSWER, ANSWER_S)
        while True:
            match (yield from self._hear()):
                case Received(_, told, data) if told == CONTROL:
                    answer = _answer(data)
                    if answer is not None and answer.request == request[0]:
                        return answer
                case Refused(_, Write(refused)) if refused == CONTROL:
                    return None
                case TimerFired(_, timer) if timer == _ANSWER:
                    self.owes = True
                    return None
                case _:
                    pass


def _answer(data: bytes) -> Answer | None:
    # What can't be read answers nothing. It is no reason to hang up on somebody who is being weighed.
    try:
        return user_data.decode_answer(data)
    except PeerError:
        return None


def _why(answer: Answer | None) -> str:
    return "no answer that can be read" if answer is None else answer.why
