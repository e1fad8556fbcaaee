"""Fuzzing a driver: octets become what a device says in a visit. Pure; whoever runs it brings octets, time and coverage."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from drivers.testing.case import Case, fault, filled
from drivers.testing.checks_bounds import Endless
from drivers.testing.checks_faults import Babbler, channels_of
from drivers.testing.visiting import Mishap
from gateway.contract.session import Received
from gateway.contract.visit import Ending

CLOSES_AFTER_MAX = 12
BURST = 200  # frames, after which the device is visited anew
GARBAGE_OCTETS_MAX = 64


Some = TypeVar("Some")


class Octets(Random):
    """Choices that are read from octets instead of drawn: the same octets make the same visit. Behind their end the device says what is true."""

    def __init__(self, octets: bytes) -> None:
        """From the first one on."""
        super().__init__(0)
        self._octets, self._at = octets, 0

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """One octet, or two where one can't say it; the last choice behind the end."""
        low, high = (0, start) if stop is None else (start, stop)
        span = max(1, (high - low + step - 1) // step)
        if self._at >= len(self._octets):
            return low + step * (span - 1)
        width = 1 if span <= 0x100 else 2  # noqa: PLR2004 what an octet can say
        return low + step * (int.from_bytes(self.randbytes(width), "little") % span)

    def random(self) -> float:
        """One octet; as good as 1 behind the end."""
        return self.randrange(0x100) / 0x100

    def choice(self, seq: Sequence[Some]) -> Some:  # type: ignore[override]
        """By one octet."""
        return seq[self.randrange(len(seq))]

    def randbytes(self, n: int) -> bytes:
        """The next octets as they stand; 0 behind the end."""
        taken = self._octets[self._at : self._at + n]
        self._at += n
        return taken.ljust(n, b"\0")


def visited(case: Case, octets: bytes) -> str | None:
    """One visit; why it is a finding: raised something but PeerError, or never ended."""
    rng = Octets(octets)
    manner = case.manners[rng.randrange(len(case.manners))]
    bench = filled(case, manner)
    closes_after = rng.randrange(1, CLOSES_AFTER_MAX) if rng.randrange(4) == 1 else None
    between = Babbler(bench.specimen, rng, channels_of(case), GARBAGE_OCTETS_MAX)
    went = bench.visit(Mishap(closes_after=closes_after), between)
    # A device that goes on talking may well last until the deadline.
    return None if went.ending is Ending.DEADLINE else fault(went)


@dataclass(slots=True)
class Tally:
    """What came of many frames. `found`: octets in hex, by why they are a finding."""

    frames: int = 0
    visits: int = 0
    ended: Counter[str] = field(default_factory=Counter[str])
    found: dict[str, str] = field(default_factory=dict[str, str])


def bent_frames(case: Case, rng: Random, tally: Tally) -> Iterator[None]:
    """Visits without end, each of them true up to a packet, and altered frames from there on. Yields after each visit."""
    said = filled(case).visit().packets
    while said:
        number = rng.randrange(len(said))
        talk = _bent(rng, said)
        visit = Endless(case, number, talk)
        tally.visits += 1
        try:
            visit.introduce()
            ended = visit.talk(BURST)
        except Exception as bug:  # noqa: BLE001 this is what is looked for
            tally.found.setdefault(f"{type(bug).__name__}: {bug}"[:200], visit.last.hex())
            ended = True
        tally.frames += visit.heard
        tally.ended["ended" if ended else "went on"] += 1
        yield


def _bent(rng: Random, said: Sequence[Received]) -> Iterator[Received]:
    while True:
        packet = said[rng.randrange(len(said))]
        data = bytearray(packet.data)
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        match rng.randrange(24):
            case 0:
                data = data[: rng.randrange(len(data) + 1)]
            case 1:
                data += rng.randbytes(rng.randrange(GARBAGE_OCTETS_MAX))
            case 2:
                data = bytearray(rng.randbytes(rng.randrange(GARBAGE_OCTETS_MAX)))
            case _:
                pass
        yield Received(0.0, packet.channel, bytes(data))
