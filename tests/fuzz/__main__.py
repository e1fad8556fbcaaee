"""`make fuzz`: looks for octets over which a driver raises anything but PeerError, never ends, or grows. `python -m tests.fuzz --help`."""

import argparse
import gc
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from random import Random

from drivers.testing.fuzz import Tally, bent_frames, visited
from drivers.testing.subjects import cases, offered

FRAMES = 10_000_000
GROWTH_KB_MAX = 64_000
SAY_EVERY_S = 30.0


def main() -> int:
    """1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--driver", action="append", help="these alone")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each driver")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--frames",
        type=int,
        nargs="?",
        const=FRAMES,
        default=0,
        help="no coverage: altered frames, so many over all",
    )
    parser.add_argument("--input", default="", help="octets in hex that were found, once more")
    told = parser.parse_args()
    drivers: list[str] = told.driver or list(offered())
    if told.input:
        return _once(drivers, bytes.fromhex(told.input), told.seed)
    if told.frames:
        return _frames(drivers, told.frames, told.seed, told.seconds)
    return _guided(drivers, told.seconds, told.seed)


def _once(drivers: list[str], octets: bytes, seed: int) -> int:
    found = [
        (case.profile.id, why)
        for one in drivers
        for case in cases(one, seed)
        if (why := visited(case, octets))
    ]
    for profile, why in found:
        print(f"{profile}: {why}")
    return 1 if found else 0


def _guided(drivers: list[str], seconds: float, seed: int) -> int:
    """Each driver in a process of its own: the fuzzer never gives it back."""
    engine = "tests.fuzz.guided" if find_spec("atheris") else "tests.fuzz.unguided"
    bad = 0
    for driver in drivers:
        command = [sys.executable, "-m", engine, driver, str(seconds), str(seed)]
        ran = subprocess.run(command, check=False)
        print(
            f"{driver}: {engine}, {seconds:g} s, {'nothing found' if not ran.returncode else 'FOUND'}",
            flush=True,
        )
        bad += bool(ran.returncode)
    return 1 if bad else 0


def _frames(drivers: list[str], most: int, seed: int, seconds: float) -> int:
    rng, tallies = Random(seed), {}
    running = []
    for driver in drivers:
        tallies[driver] = tally = Tally()
        running += [(driver, bent_frames(case, rng, tally)) for case in cases(driver, seed)]
    for _, visits in running * 50:
        next(visits)
    before_kb, said, end = _held_kb(), time.monotonic(), time.monotonic() + seconds * len(drivers)
    while sum(tally.frames for tally in tallies.values()) < most and time.monotonic() < end:
        for _, visits in running:
            next(visits)
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            print(f"{sum(tally.frames for tally in tallies.values()):,} frames", flush=True)
    grown_kb = _held_kb() - before_kb
    for driver, tally in tallies.items():
        print(
            f"{driver}: {tally.frames:,} frames in {tally.visits:,} visits ({dict(tally.ended)}), {len(tally.found)} findings"
        )
        for why, octets in tally.found.items():
            print(f"  {why}  upon {octets}")
    print(
        f"{sum(tally.frames for tally in tallies.values()):,} frames; memory grew by {grown_kb:,} kB"
    )
    return 1 if grown_kb > GROWTH_KB_MAX or any(tally.found for tally in tallies.values()) else 0


def _held_kb() -> int:
    gc.collect()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
