"""What a session heard before it raised, made smaller as long as it raises the same kind of thing. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gateway.contract.profile import Profile
from gateway.contract.session import (
    Closed,
    Command,
    Driver,
    Event,
    Opened,
    PeerError,
    Received,
    Refused,
    Session,
    Stored,
    TimerFired,
    UnitInfo,
)

TRIES_MAX = 2_000
OCTETS_SHOWN_MAX = 40

Heard = Sequence[Event]
Fails = Callable[[Heard], bool]


class Recorded:
    """A driver as it is, and all that its next session hears."""

    def __init__(self, inner: Driver) -> None:
        """Nothing is heard yet."""
        self._inner = inner
        self.id, self.contract = inner.id, inner.contract
        self.heard: list[Event] = []

    def open(self, unit: UnitInfo) -> Session:
        """A session that is listened to."""
        self._session = self._inner.open(unit)
        return self

    def on(self, event: Event) -> Iterator[Command]:
        """As the session answers."""
        self.heard.append(event)
        yield from self._session.on(event)


def raised(driver: Driver, profile: Profile, heard: Heard) -> str:
    """Which exception, other than PeerError, a new session raises over these events; empty where none."""
    try:
        session = driver.open(UnitInfo(profile))
        for event in heard:
            for _ in session.on(event):
                pass
    except PeerError:
        return ""
    except Exception as bug:  # noqa: BLE001 this is what is looked for
        return type(bug).__name__
    return ""


def smallest(heard: Heard, fails: Fails) -> Heard:
    """Fewer events, and shorter frames of fewer octets that are not 0, over which it still fails."""
    left = TRIES_MAX

    def still(smaller: Heard) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(smaller)

    before: Heard = ()
    while before != heard and left > 0:
        before = heard
        heard = _fewer(list(heard), still)
        heard = _shorter(list(heard), still)
    return heard


def in_words(heard: Heard) -> str:
    """Events for people."""
    return "; ".join(map(_word, heard))


def _fewer(heard: list[Event], still: Fails) -> list[Event]:
    step = max(1, len(heard) // 2)
    while True:
        at = 0
        while at < len(heard):
            without = heard[:at] + heard[at + step :]
            if still(without):
                heard = without
            else:
                at += step
        if step == 1:
            return heard
        step //= 2


def _shorter(heard: list[Event], still: Fails) -> list[Event]:
    for at, event in enumerate(heard):
        if not isinstance(event, Received):
            continue
        best = event
        for data in _simpler(event.data):
            smaller = replace(best, data=data)
            if len(data) <= len(best.data) and still([*heard[:at], smaller, *heard[at + 1 :]]):
                best = smaller
        heard[at] = best
    return heard


def _simpler(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]
    for start in range(1, len(data)):
        yield data[start:]
    for place, octet in enumerate(data):
        if octet:
            yield data[:place] + b"\0" + data[place + 1 :]


def _word(event: Event) -> str:
    match event:
        case Opened():
            return "opened"
        case Received(_, channel, data):
            more = f" … ({len(data)} octets)" if len(data) > OCTETS_SHOWN_MAX else ""
            return f"{channel} {data[:OCTETS_SHOWN_MAX].hex(' ') or 'without octets'}{more}"
        case Refused(_, command, code):
            return f"{type(command).__name__.lower()} {command.channel} refused, 0x{code:02X}"
        case TimerFired(_, timer):
            return f"timer {timer}"
        case Stored():
            return "stored"
        case Closed(_, why):
            return f"closed ({why})"
