"""A check of a device that never stops talking: the session may not hold more and more of what it hears. Measured, not counted."""

import gc
import tracemalloc
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random

from drivers.testing.case import BETWEEN_VISITS_S, Case, Trial, Trials, filled, shown
from drivers.testing.subject import Specimen
from drivers.testing.visiting import OPENED_AT, heard_at
from gateway.contract.session import (
    Command,
    Event,
    Finish,
    Flush,
    Opened,
    PeerError,
    Read,
    Received,
    Refused,
    Session,
    SetTimer,
    Stored,
    Subscribe,
    TimerFired,
    UnitInfo,
    Write,
)

STRETCH = 800  # packets, after which it is measured
STRETCHES_MAX = 14
GROWTH_BYTES_MAX = (
    48_000  # in one stretch: less than 32 octets a packet is what caches and counters take
)
HELD_BYTES_MAX = 64_000_000
EVERY_S = 0.001
INTRODUCTION_MAX = 10_000  # events


def memory_is_bounded(case: Case) -> Trials:
    """A device that talks for ever: what the session holds stops growing, or the session ends."""
    packets = filled(case).visit().packets
    for number in _places(len(packets)):
        for label, babble in _BABBLES.items():
            after = f"behind packet {number + 1}, {label}, {shown(packets[number])}"
            rng = Random(case.seed)  # noqa: S311 a seed, no secret
            talk = babble(rng, packets[number])
            yield Trial(after, _grows(Endless(case, number, talk)))


def _places(packets: int) -> Sequence[int]:
    return sorted({0, packets // 2, packets - 2, packets - 1} & set(range(packets)))


def _again(_rng: Random, packet: Received) -> Iterator[Received]:
    while True:
        yield packet


def _altered(rng: Random, packet: Received) -> Iterator[Received]:
    while True:
        data = bytearray(packet.data)
        for _ in range(min(len(data), 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        yield replace(packet, data=bytes(data))


def _numbered(_rng: Random, packet: Received) -> Iterator[Received]:
    """As records are that differ in their number alone, wherever that stands in the first octets."""
    for number in range(1 << 32):
        data = bytearray(packet.data)
        for place in (1, 2):
            if len(data) > place:
                data[place] = number >> (8 * (place - 1)) & 0xFF
        yield replace(packet, data=bytes(data))


def _endless(_rng: Random, packet: Received) -> Iterator[Received]:
    """No line ever ends."""
    while True:
        yield replace(packet, data=b"P " + bytes(62))


_BABBLES = {
    "the same again": _again,
    "octets altered": _altered,
    "numbers that rise": _numbered,
    "octets without an end": _endless,
}


def _grows(visit: "Endless") -> str | None:
    gc.collect()
    was_on = tracemalloc.is_tracing()
    if not was_on:
        tracemalloc.start()
    try:
        visit.introduce()
        before = first = held = tracemalloc.get_traced_memory()[0]
        for stretch in range(1, STRETCHES_MAX + 1):
            if visit.talk(STRETCH):
                return None
            held = tracemalloc.get_traced_memory()[0]
            if held - first > HELD_BYTES_MAX:
                return f"holds {(held - first) // 1000:,} kB after {stretch * STRETCH} packets"
            if held - before < GROWTH_BYTES_MAX and stretch > 1:
                return None
            before = held
    finally:
        if not was_on:
            tracemalloc.stop()
    return f"holds {(held - first) // 1000:,} kB after {STRETCHES_MAX * STRETCH} packets, and still grows"


class Endless:
    """A session and a device, without a host between that would keep something. Readings are thrown away, as if durable at once.

    `heard`: packets so far; `last`: the octets of the last of them.
    """

    def __init__(self, case: Case, number: int, talk: Iterator[Received]) -> None:
        """True up to the packet of that number; then it only talks."""
        bench = filled(case)
        bench.hours.at += BETWEEN_VISITS_S
        self._now = OPENED_AT + bench.hours.at
        self._specimen: Specimen = bench.specimen
        self._session: Session = case.subject.driver.open(UnitInfo(case.profile))
        self._left, self._talk = number + 1, talk
        self._timers: dict[str, float] = {}
        self._due: deque[Event] = deque()
        self._over = False
        self.heard, self.last = 0, b""

    def introduce(self) -> None:
        """As far as the packet from which on it only talks."""
        self._due.append(Opened(self._now))
        self._hear(self._specimen.speak())
        for _ in range(INTRODUCTION_MAX):
            if self._over or self._left <= 0:
                return
            self._step()

    def talk(self, packets: int) -> bool:
        """Let it talk; whether the session has ended."""
        for _ in range(packets):
            told = next(self._talk)
            self._due.append(heard_at(self._now, told))
            while self._due and not self._over:
                self._step()
            if self._over:
                return True
        return False

    def _step(self) -> None:
        self._now += EVERY_S
        if not self._due:
            # Nothing is said: the next timer is waited for.
            self._now = max(self._now, min(self._timers.values(), default=self._now))
        self._fire()
        if self._due:
            self._tell(self._due.popleft())

    def _fire(self) -> None:
        for name in [name for name, due in self._timers.items() if due <= self._now]:
            del self._timers[name]
            self._due.appendleft(TimerFired(self._now, name))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Received):
            self.heard, self.last = self.heard + 1, event.data
        if isinstance(event, Received) and self._left > 0:
            self._left -= 1
            if not self._left:
                # From here on it only talks: what else it would have said never comes.
                self._due = deque(
                    one for one in self._due if not isinstance(one, Received | Refused)
                )
        try:
            for command in self._session.on(event):
                self._carry_out(command)
        except PeerError:
            self._over = True

    def _carry_out(self, command: Command) -> None:
        match command:
            case SetTimer(timer, after_s):
                self._timers[timer] = self._now + after_s
            case Flush():
                self._due.appendleft(Stored(self._now))
            case Subscribe() | Write() | Read():
                self._hear(self._specimen.hear(command) if self._left > 0 else ())
            case Finish():
                self._over = True
            case _:
                pass

    def _hear(self, said: Iterable[Received | Refused]) -> None:
        for answer in said:
            self._due.append(replace(answer, at=self._now))
