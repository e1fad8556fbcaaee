"""`python -m drivers.testing.testify acme.glu acme/sugar 1`: what a driver tells, on standard output. Started by `drivers.testing.witness`."""

import sys

from drivers.testing.subjects import cases
from drivers.testing.witness import testimony


def main() -> None:
    """Say it."""
    driver, profile, seed = sys.argv[1:]
    for case in cases(driver, int(seed)):
        if case.profile.id == profile:
            sys.stdout.writelines(f"{line}\n" for line in testimony(case))


if __name__ == "__main__":
    main()
