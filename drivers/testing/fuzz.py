"""Fuzzing a driver: octets become a visit to a device that says what it likes. Pure; whoever runs it brings octets, time and coverage."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from random import Random
from typing import TypeVar

from drivers.testing.case import Case, fault, filled
from drivers.testing.checks_faults import Babbler
from drivers.testing.fuzz_frames import GARBAGE_OCTETS_MAX, Stock, stocked
from drivers.testing.fuzz_talk import Talk, Tally, Told, units_of
from drivers.testing.shrink import in_words, raised, smallest
from drivers.testing.visiting import Mishap
from gateway.contract.session import Command, UnitInfo
from gateway.contract.visit import Ending

CLOSES_AFTER_MAX = 12
OCTETS_MAX = 512  # of one visit
SHRINKS_MAX = 1_500
HOSTED_ONE_IN = 24  # visits; it costs as much as five without a host
FILED_ONE_IN = 6
EVENTS_SHOWN = 4
WHY_CHARS_MAX = 300

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


def unheeded(_told: Command) -> None:
    """What a session reports, and nobody files."""


@dataclass(frozen=True, slots=True)
class Found:
    """What must not be: why, the smallest octets that show it, and what the session heard, in words."""

    why: str
    octets: bytes
    heard: str


class Fuzzed:
    """A driver with one of its profiles, ready to be fuzzed. `tally` counts all visits."""

    def __init__(self, case: Case, box: Callable[[], Told] = lambda: unheeded) -> None:
        """`box`: who hears, in each visit anew, what a session reports; what that raises is a finding too."""
        self.case, self.tally = case, Tally()
        self._box = box
        self._stock: Stock = stocked(case)
        self._units: Sequence[UnitInfo] = units_of(case)

    def visit(self, octets: bytes) -> str | None:
        """One visit; why it is a finding: raised something but PeerError, or never ended. Most without a host."""
        rng = Octets(octets)
        if rng.randrange(HOSTED_ONE_IN) == 0:
            return self._hosted(rng)
        talk = self._talk(rng)
        try:
            self.tally.ended(talk.run())
        except Exception as bug:  # noqa: BLE001 this is what is looked for
            self.tally.ended("raised")
            return in_short(bug)
        finally:
            self._count(talk)
        return None

    def _talk(self, rng: Octets) -> Talk:
        told = self._box() if rng.randrange(FILED_ONE_IN) == 0 else unheeded
        return Talk(self.case, self._stock, rng, told, self._units)

    def _count(self, talk: Talk) -> None:
        self.tally.frames += talk.frames
        self.tally.altered += talk.altered
        self.tally.readings += talk.readings

    def _hosted(self, rng: Octets) -> str | None:
        """With the loop of a visit, its disk and its deadline."""
        case = self.case
        bench = filled(case, case.manners[rng.randrange(len(case.manners))])
        closes_after = rng.randrange(1, CLOSES_AFTER_MAX) if rng.randrange(4) == 1 else None
        between = Babbler(bench.specimen, rng, self._stock.channels, GARBAGE_OCTETS_MAX)
        went = bench.visit(Mishap(closes_after=closes_after), between)
        self.tally.ended(f"hosted: {went.ending or 'never'}")
        if went.ending is Ending.BUG and went.error is not None:
            return in_short(went.error)
        # A device that goes on talking may well last until the deadline.
        return None if went.ending is Ending.DEADLINE else fault(went)

    def found(self, octets: bytes, why: str, tries: int = SHRINKS_MAX) -> Found:
        """What these octets showed, made smaller for as long as it stays the same kind of thing."""
        kind = kind_of(why)
        small = _fewer(octets, lambda fewer: kind_of(self.visit(fewer)) == kind, tries)
        return Found(self.visit(small) or why, small, self.heard(small))

    def heard(self, octets: bytes) -> str:
        """What the session hears in such a visit, in words: only what it takes, where that raises by itself."""
        rng = Octets(octets)
        if rng.randrange(HOSTED_ONE_IN) == 0:
            return "with the loop of a visit around it"
        talk = self._talk(rng)
        with suppress(Exception):
            talk.run()
        driver, profile = self.case.subject.driver, self.case.profile
        bug = raised(driver, profile, talk.heard)
        if not bug:
            return f"what came before matters too: {in_words(talk.heard[-EVENTS_SHOWN:])}"
        return in_words(smallest(talk.heard, lambda heard: raised(driver, profile, heard) == bug))


def in_short(bug: BaseException) -> str:
    """What was raised and where, then what it says."""
    at = bug.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    code = at.tb_frame.f_code if at is not None else None
    where = f" in {PurePath(code.co_filename).name}:{at.tb_lineno}" if at and code else ""
    return f"{type(bug).__name__}{where}: {bug}"[:WHY_CHARS_MAX]


def kind_of(why: str | None) -> str:
    """Two findings of one kind are one: of what was raised, and where."""
    return (why or "").partition(": ")[0]


def _fewer(octets: bytes, still: Callable[[bytes], bool], tries: int) -> bytes:
    """Fewer, and of those more that are 0."""
    step = len(octets)
    while step:
        at = 0
        while at < len(octets) and tries > 0:
            tries -= 1
            without = octets[:at] + octets[at + step :]
            octets, at = (without, at) if still(without) else (octets, at + step)
        step //= 2
    for at in range(len(octets)):
        tries -= 1
        plain = octets[:at] + b"\0" + octets[at + 1 :]
        if tries > 0 and octets[at] and still(plain):
            octets = plain
    return octets
