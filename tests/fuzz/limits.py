"""What a visit may take of the machine, and how a search is told to a person. The drivers' fuzzer itself reads no clock."""

import gc
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePath
from types import FrameType

from drivers.testing.fuzz import SHRINKS_MAX, Found, Fuzzed

VISIT_CPU_S_MAX = 10.0
GROWTH_KB_MAX = 64_000
SAY_EVERY_S = 30.0
FOUND_EXIT = 3  # none of the engines' own


class Stuck(BaseException):
    """A visit that would not end by itself. No driver may catch it."""


def _stuck(_signal: int, frame: FrameType | None) -> None:
    where = f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "?"
    raise Stuck(f"at {where}, after {VISIT_CPU_S_MAX:g} s of the processor in one visit")


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """The processor's time, so that a busy machine finds nothing. An endless loop is broken where it stands."""
    signal.signal(signal.SIGVTALRM, _stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


class Limited(Fuzzed):
    """A driver with one of its profiles, whose visits end: by force, if need be."""

    patience_s = VISIT_CPU_S_MAX

    def visit(self, octets: bytes) -> str | None:
        try:
            with limited(self.patience_s):
                return super().visit(octets)
        except Stuck as stuck:
            return f"{Stuck.__name__}: {stuck}"

    def heard(self, octets: bytes) -> str:
        try:
            with limited(self.patience_s):
                return super().heard(octets)
        except Stuck:
            return "what it takes to be stuck is not made smaller"

    def found(self, octets: bytes, why: str, tries: int = SHRINKS_MAX) -> Found:
        """What does not end is waited for more briefly, and less often."""
        if not why.startswith(Stuck.__name__):
            return super().found(octets, why, tries)
        self.patience_s = VISIT_CPU_S_MAX / 40
        small = super().found(octets, why, tries // 25)
        self.patience_s = VISIT_CPU_S_MAX
        return replace(small, why=why)


def shown(driver: str, profile: str, found: Found) -> str:
    """A finding for people, with the line that shows it once more."""
    again = f"--driver {driver} --profile {profile} --input {found.octets.hex()}"
    return (
        f'FOUND {profile}: {found.why}\n  heard: {found.heard}\n  again: make fuzz ARGS="{again}"'
    )


class Searched:
    """How far a search of one driver is, said now and then."""

    def __init__(self, driver: str, seconds: float, tried: list[Limited]) -> None:
        self._driver, self._seconds, self._tried = driver, seconds, tried
        self._began = self._said = 0.0
        self._before_kb = 0

    @property
    def over(self) -> bool:
        """Whether the time is up, which begins with the first question. Says how far it is when it was not said for a while."""
        now = time.monotonic()
        if not self._began:
            self._began = self._said = now
            self._before_kb = held_kb()
        over = now - self._began > self._seconds
        if now - self._said > SAY_EVERY_S and not over:
            self._said = now
            print(self.told(), flush=True)
        return over

    def told(self, more: str = "") -> str:
        tallies = [one.tally for one in self._tried]
        took_s = max(0.001, time.monotonic() - self._began)
        visits, altered = sum(t.visits for t in tallies), sum(t.altered for t in tallies)
        return (
            f"{self._driver}: {took_s:.0f} of {self._seconds:g} s, {visits:,} visits ({visits / took_s:,.0f} a second), "
            f"{altered:,} altered of {sum(t.frames for t in tallies):,} frames, memory +{held_kb() - self._before_kb:,} kB{more}"
        )


def held_kb() -> int:
    """The most that this process has held so far."""
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
