"""Altered frames by the million, over all drivers in one process: nothing but PeerError, no growth, an end. Started by `python -m tests.fuzz --frames`."""

import signal
import time
from collections import Counter
from itertools import cycle
from random import Random

from drivers.testing.fuzz import OCTETS_MAX, kind_of
from drivers.testing.subjects import cases
from tests.fuzz.filed import box_of
from tests.fuzz.limits import GROWTH_KB_MAX, SAY_EVERY_S, Limited, held_kb, shown

FRAMES = 10_000_000
WARM_VISITS = 200  # of each profile, before its memory is looked at
KINDS_MAX = 20  # of findings of one driver
LOOK_EVERY = 64  # visits


class _Counted:
    """One driver with its profiles in turn."""

    def __init__(self, driver: str, seed: int) -> None:
        self.driver = driver
        self.tried = [Limited(case, box_of(case.profile)) for case in cases(driver, seed)]
        self.kinds: set[str] = set()
        self._turn = cycle(self.tried)

    @property
    def altered(self) -> int:
        return sum(one.tally.altered for one in self.tried)

    def visit(self, rng: Random) -> None:
        one = next(self._turn)
        octets = rng.randbytes(rng.randrange(OCTETS_MAX))
        why = one.visit(octets)
        if why is None or kind_of(why) in self.kinds or len(self.kinds) >= KINDS_MAX:
            return
        self.kinds.add(kind_of(why))
        print(shown(self.driver, one.case.profile.id, one.found(octets, why)), flush=True)

    def told(self) -> str:
        tallies = [one.tally for one in self.tried]
        ends: Counter[str] = Counter()
        for tally in tallies:
            ends.update(tally.ends)
        frames, visits = (sum(getattr(t, name) for t in tallies) for name in ("frames", "visits"))
        ended = ", ".join(f"{how} {times:,}" for how, times in ends.most_common())
        return f"{self.driver}: {self.altered:,} altered of {frames:,} frames in {visits:,} visits ({ended}); {len(self.kinds)} findings"


def counted(drivers: list[str], most: int, seed: int, seconds: float | None) -> int:
    """1 where something was found, or memory grew, or it was ended before it was done: what was tried until then is told."""
    rng = Random(seed)
    running = [_Counted(driver, seed) for driver in drivers]
    for one in running:
        for _ in range(WARM_VISITS * len(one.tried)):
            one.visit(rng)
    before_kb = held_kb()
    end_s = float("inf") if seconds is None else seconds * len(drivers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _run(running, rng, most, end_s)
        ended = False
    except KeyboardInterrupt:
        ended = True
    grown_kb, kinds = held_kb() - before_kb, sum(len(one.kinds) for one in running)
    for one in running:
        print(one.told())
    print(
        f"{'ended early: ' if ended else ''}{sum(one.altered for one in running):,} altered frames, {kinds} findings; "
        f"memory grew by {grown_kb:,} kB (at most {GROWTH_KB_MAX:,})"
    )
    return 1 if ended or grown_kb > GROWTH_KB_MAX or kinds else 0


def _run(running: list[_Counted], rng: Random, most: int, end_s: float) -> None:
    """Whichever driver is behind is next, so that each gets its share."""
    began = said = time.monotonic()
    before_kb, first = held_kb(), sum(one.altered for one in running)
    while (done := sum(one.altered for one in running)) < most:
        now = time.monotonic()
        if now - began > end_s:
            return
        if now - said > SAY_EVERY_S:
            said, rate = now, (done - first) / (now - began)
            print(_progress(done, most, rate, held_kb() - before_kb), flush=True)
        least = min(running, key=lambda one: one.altered)
        for _ in range(LOOK_EVERY):
            least.visit(rng)


def _progress(done: int, most: int, rate: float, grown_kb: int) -> str:
    left_min = (most - done) / max(1, rate) / 60
    return f"{done:,} of {most:,} altered frames, {rate:,.0f} a second, about {left_min:.0f} min left; memory +{grown_kb:,} kB"
