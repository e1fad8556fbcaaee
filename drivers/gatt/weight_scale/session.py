"""A visit to a scale: who it is, its clock, its users' consent, then every indication to disk at once. Pure.

It never says of itself whose a measurement is: a slot is what the frame says, and only of a user who agreed in this visit
where the box knows codes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from drivers.gatt.consent import CONTROL, Desk, users_of
from drivers.gatt.introduction import Hearing, Introduction, Telling
from drivers.gatt.weight_scale import codec as weight
from drivers.gatt.weight_scale import composition
from drivers.gatt.weight_scale.joining import PATIENCE_S, USER_CONTEXT, WITHOUT_CONSENT, Joining
from gateway.sdk import (
    Command,
    Event,
    Finish,
    Flow,
    FlowDriver,
    Flush,
    Opened,
    PeerError,
    Reading,
    Received,
    Refused,
    Report,
    ReportFacts,
    SetTimer,
    Subscribe,
    TimerFired,
    UnitInfo,
    Unreadable,
    VisitClosed,
    Write,
    wait,
)

WEIGHT, COMPOSITION = "weight", "body_composition"
WEIGHT_FEATURE, COMPOSITION_FEATURE = "weight_feature", "body_composition_feature"
SLOT_LIST = "slot_list"
# So long a user's stored measurements are waited for before the next user's consent is given.
BETWEEN_USERS_S = 5.0
SLOT_LIST_S = 2.0
PARTING_S = 5.0  # a scale that tells without end is left before the visit's deadline

_QUIET, _ENOUGH, _HALF, _LIST = "quiet", "enough", "half", "list"
_LIST_ALL, _LIST_ENDS = b"\0", (1, 2)
_FEATURES: Mapping[str, Callable[[bytes], dict[str, str]]] = {
    WEIGHT_FEATURE: weight.decode_resolution,
    COMPOSITION_FEATURE: composition.decode_resolution,
}


class _Scale:
    """One visit."""

    def __init__(self, unit: UnitInfo, opened: Opened) -> None:
        self._profile, self._users = unit.profile, users_of(unit)
        self._intro = Introduction(unit, opened, self._tell)
        self._desk = Desk(unit.profile.channels, self._hear)
        self._joining = Joining(self._attributed)
        self._deaf = {WEIGHT, COMPOSITION} - unit.profile.channels.keys()
        self._troubles: list[str] = []
        self._told_all = False
        self._unreadable = Unreadable()

    def visit(self) -> Flow:
        with self._unreadable.told_at_the_end():
            yield from self._visit()
        yield Finish(told_all=self._told_all)

    def _visit(self) -> Flow:
        yield SetTimer(_ENOUGH, self._profile.deadline_s - PARTING_S)
        try:
            yield from self._talk()
        except (PeerError, VisitClosed):
            yield from map(Report, self._joining.rest())
            raise
        yield from _commit(self._joining.rest())
        if self._troubles:
            raise PeerError("; ".join(self._troubles))

    def _talk(self) -> Flow:
        yield from self._intro.settle()
        yield ReportFacts({**(yield from self._intro.facts()), **(yield from self._resolution())})
        if not self._users:
            if (yield from self._intro.clock()):
                yield from self._intro.settle()
            yield from self._subscribe(WEIGHT, COMPOSITION)
        else:
            # A scale that waits for consent keeps what it has until then: it may be subscribed to before its clock is set.
            yield from self._subscribe(CONTROL, WEIGHT, COMPOSITION, SLOT_LIST)
            yield from self._intro.clock()
            yield from self._ask_for_slots()
            yield from self._admit_all()
        yield from self._listen(self._profile.quiet_s)

    def _resolution(self) -> Telling:
        """What the scale states of its resolution: a fact, by which nothing is scaled."""
        told: dict[str, str] = {}
        for channel, decode in _FEATURES.items():
            if channel in self._profile.channels:
                data = yield from self._intro.ask(channel)
                try:
                    told |= {} if data is None else decode(data)
                except PeerError:
                    continue
        return told

    def _subscribe(self, *channels: str) -> Flow:
        for channel in channels:
            if channel in self._profile.channels:
                yield Subscribe(channel)

    def _ask_for_slots(self) -> Flow:
        """Beurer's app asks for the list of users each time, before it gives consent; what it says is not needed."""
        if SLOT_LIST not in self._profile.channels:
            return
        yield Write(SLOT_LIST, _LIST_ALL)
        yield SetTimer(_LIST, SLOT_LIST_S)
        while True:
            match (yield from self._hear()):
                case Received(_, channel, data) if channel == SLOT_LIST and data[:1]:
                    if data[0] in _LIST_ENDS:
                        return
                case Refused(_, Write(channel)) if channel == SLOT_LIST:
                    return
                case TimerFired(_, timer) if timer == _LIST:
                    return
                case _:
                    pass

    def _admit_all(self) -> Flow:
        for place, user in enumerate(self._users):
            if self._desk.owes:
                self._troubles.append(f"user {user.name}: not asked while an answer is due")
                continue
            if place:
                yield from self._listen(BETWEEN_USERS_S)
            commits = SLOT_LIST in self._profile.channels
            why = yield from self._desk.admit(user, commits=commits)
            if why is not None:
                self._troubles.append(f"user {user.name}: the scale {why}")

    def _listen(self, quiet_s: float) -> Flow:
        yield SetTimer(_QUIET, quiet_s)
        while True:
            match (yield from self._hear()):
                case Received():
                    yield SetTimer(_QUIET, quiet_s)
                case TimerFired(_, timer) if timer in (_QUIET, _ENOUGH):
                    self._told_all = timer == _QUIET
                    return
                case _:
                    pass

    def _hear(self) -> Hearing:
        event = yield from wait()
        yield from self._tell(event)
        return event

    def _tell(self, event: Event) -> Iterator[Command]:
        """What any event means, at any time: a scale may tell before it is asked, and forgets what it told."""
        match event:
            case Received(channel=channel) if channel in (WEIGHT, COMPOSITION):
                try:
                    told = self._measured(event)
                except PeerError as fault:
                    # What follows can't be taken for the rest of what is held back: a packet is missing between.
                    yield from _commit(self._joining.rest())
                    self._unreadable.keep(event, fault)
                else:
                    yield from _commit(told)
                    if self._joining.waits:
                        yield SetTimer(_HALF, PATIENCE_S)
            case TimerFired(_, timer) if timer == _HALF:
                yield from _commit(self._joining.rest())
            case Refused(_, Subscribe(channel), code) if channel in (WEIGHT, COMPOSITION):
                self._deaf.add(channel)
                if self._deaf == {WEIGHT, COMPOSITION}:
                    raise PeerError(f"refuses to tell of {channel} (ATT error 0x{code:02X})")
            case _:
                pass

    def _measured(self, event: Received) -> list[Reading]:
        """What is to be told now. Raises PeerError; what is held back stays so."""
        if event.channel == COMPOSITION:
            return self._joining.composed(event.at, event.data)
        told = self._attributed(weight.reading(event.data))
        before = self._joining.rest()
        self._joining.weighed(event.at, told)
        return [*before, told]

    def _attributed(self, told: Reading) -> Reading:
        """Where the box knows codes, a slot counts only while its user agrees: a wiped scale gives it to somebody else."""
        if not self._users or told.slot is None or int(told.slot) in self._desk.granted:
            return told
        return replace(
            told,
            slot=None,
            marks=told.marks | {WITHOUT_CONSENT},
            context={**told.context, USER_CONTEXT: told.slot},
        )


def _commit(readings: Sequence[Reading]) -> Iterator[Command]:
    """In a commit of its own: a scale may forget what the radio has confirmed."""
    yield from map(Report, readings)
    if readings:
        yield Flush()


def visit(unit: UnitInfo, opened: Opened) -> Flow:
    """A visit to a scale: weight, body composition, or both, as the profile names them."""
    yield from _Scale(unit, opened).visit()


DRIVER = FlowDriver("gatt.weight_scale", visit)
