"""`python -m tests.world --seeds 0:1000 --jobs 2`: lives through many worlds, and prints those in which something is amiss."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.world.run import Outcome, run

CHUNK, CHUNK_STOPPING = 20, 2


def seeds_of(told: str) -> range:
    """`7`, or `0:1000`."""
    first, _, end = told.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def main() -> int:
    """1 where any seed found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--seeds", type=seeds_of, default=range(100), help="7, or 0:1000")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--trace", action="store_true", help="print every line of each world")
    parser.add_argument("--stop", action="store_true", help="end at the first finding")
    told = parser.parse_args()
    began, bad, counts = time.monotonic(), 0, Counter[str]()
    with ProcessPoolExecutor(told.jobs) as pool:
        chunk = CHUNK_STOPPING if told.stop or len(told.seeds) <= CHUNK else CHUNK
        for outcome in pool.map(run, told.seeds, chunksize=chunk):
            counts.update(outcome.counts)
            bad += _tell(outcome, trace=told.trace)
            if bad and told.stop:
                pool.shutdown(cancel_futures=True)
                break
    took_s = time.monotonic() - began
    print(f"{len(told.seeds)} worlds in {took_s:.1f} s, {bad} with findings")
    print(", ".join(f"{what} {count}" for what, count in sorted(counts.items())))
    return 1 if bad else 0


def _tell(outcome: Outcome, *, trace: bool) -> bool:
    if trace:
        print("\n".join(outcome.lines))
        print(f"seed {outcome.seed} trace {outcome.trace_hash}")
    if outcome.findings:
        print(outcome.report(), flush=True)
    return bool(outcome.findings)


if __name__ == "__main__":
    sys.exit(main())
