"""`make fuzz`: looks for octets over which a driver raises anything but PeerError, never ends, or grows. `python -m tests.fuzz --help`."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from drivers.testing.subjects import cases, offered
from gateway.cli import CONFIG_EXIT
from gateway.runtime.errors import ConfigError
from tests.fuzz.counted import FRAMES, counted
from tests.fuzz.filed import box_of
from tests.fuzz.limits import FOUND_EXIT, Limited

GUIDED, UNGUIDED = "tests.fuzz.guided", "tests.fuzz.unguided"
LINES_SHOWN = 25


def main() -> int:
    """1 where something was found, 78 where a driver can't be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--driver", action="append", help="these alone")
    parser.add_argument(
        "--seconds", type=float, help="for each driver: 60; with --frames: no limit"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="drivers at once")
    parser.add_argument(
        "--frames",
        type=int,
        nargs="?",
        const=FRAMES,
        default=0,
        help=f"no coverage: altered frames, so many over all ({FRAMES:,})",
    )
    parser.add_argument("--profile", default="", help="with --input: this alone")
    parser.add_argument("--input", help="octets in hex that were found, once more")
    told = parser.parse_args()
    try:
        drivers: list[str] = told.driver or list(offered())
        for one in drivers:
            cases(one, told.seed)
    except ConfigError as fault:
        print(fault, file=sys.stderr)
        return CONFIG_EXIT
    if told.input is not None:
        return _once(drivers, told.profile, bytes.fromhex(told.input))
    if told.frames:
        return counted(drivers, told.frames, told.seed, told.seconds)
    return _searched(drivers, told.seconds or 60.0, told.seed, max(1, told.jobs))


def _once(drivers: list[str], profile: str, octets: bytes) -> int:
    tried = [case for one in drivers for case in cases(one, 1) if profile in ("", case.profile.id)]
    bad = 0
    for case in tried:
        fuzzed = Limited(case, box_of(case.profile))
        why = fuzzed.visit(octets)
        print(f"{case.profile.id}: {why or 'nothing found'}")
        if why is not None:
            print(f"  heard: {fuzzed.heard(octets)}")
            bad = 1
    return bad


def _searched(drivers: list[str], seconds: float, seed: int, jobs: int) -> int:
    """Each driver in a process of its own: the fuzzer never gives it back."""
    engine = GUIDED if find_spec("atheris") else UNGUIDED
    how = "guided by coverage" if engine == GUIDED else "by Hypothesis, which sees no coverage"
    print(f"{len(drivers)} drivers, {seconds:g} s each, {jobs} at once, {how}", flush=True)
    with TemporaryDirectory(prefix="vitalgate-fuzz-") as folder, ThreadPoolExecutor(jobs) as pool:
        done = pool.map(lambda one: _search(engine, one, (seconds, seed), Path(folder)), drivers)
        bad = sum(done)
    print(f"FOUND in {bad} of {len(drivers)} drivers" if bad else "nothing found")
    return 1 if bad else 0


def _search(engine: str, driver: str, how: tuple[float, int], folder: Path) -> bool:
    """Whether something was found. What the engine itself says is shown where it ends otherwise than it should."""
    log = folder / f"{driver}.log"
    command = [sys.executable, "-m", engine, driver, *map(str, how), str(log)]
    with log.open("wb") as errors:
        code = subprocess.run(command, check=False, stderr=errors).returncode
    if code not in (0, FOUND_EXIT):
        told = log.read_text(errors="replace").splitlines()[-LINES_SHOWN:]
        print(f"FOUND {driver}: {engine} ended with {code}", *told, sep="\n  ", flush=True)
    return code != 0


if __name__ == "__main__":
    sys.exit(main())
