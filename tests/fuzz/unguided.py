"""One driver under Hypothesis, where atheris is not to be had: shrinks what it finds, but sees no coverage. Started by `python -m tests.fuzz`."""

import sys
import time

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some

from drivers.testing.fuzz import visited
from drivers.testing.subjects import cases

OCTETS_MAX = 2_048
VISITS = 500  # in one round


def main() -> int:
    """Arguments: driver, seconds, seed."""
    driver, seconds, first = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    tried = cases(driver, first)
    end, round_, visits = time.monotonic() + seconds, 0, 0

    def one(octets: bytes, number: int) -> None:
        nonlocal visits
        visits += 1
        why = visited(tried[number], octets)
        line = f"python -m tests.fuzz --driver {driver} --input {octets.hex()}"
        assert why is None, f"{tried[number].profile.id}: {why}\n{line}"

    while time.monotonic() < end:
        held = given(some.binary(max_size=OCTETS_MAX), some.integers(0, len(tried) - 1))(one)
        quiet = settings(
            max_examples=VISITS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(first + round_)(quiet(held))()
        except AssertionError as found:
            print(found)
            return 1
        round_ += 1
    print(f"{driver}: {visits:,} visits")
    return 0


if __name__ == "__main__":
    sys.exit(main())
