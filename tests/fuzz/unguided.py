"""One driver under Hypothesis, where atheris is not to be had: it sees no coverage. Started by `python -m tests.fuzz`."""

import sys

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some

from drivers.testing.fuzz import OCTETS_MAX
from drivers.testing.subjects import cases
from tests.fuzz.filed import box_of
from tests.fuzz.limits import FOUND_EXIT, Limited, Searched, shown

OCTETS_MIN = (
    128  # behind their end the device says what is true: shorter ones alter next to nothing
)
VISITS = 200  # in one round
# What is found is made smaller as every engine's findings are.
QUIET = settings(
    max_examples=VISITS,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class _Found(Exception):  # noqa: N818 ends a round
    """Which profile, which octets, why."""


def main() -> int:
    """Arguments: driver, seconds, seed; a fourth, the file that stderr goes to, says nothing here."""
    driver, seconds, first = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    tried = [Limited(case, box_of(case.profile)) for case in cases(driver, first)]
    searched, round_ = Searched(driver, seconds, tried), first

    def one(octets: bytes, chosen: Limited) -> None:
        if why := chosen.visit(octets):
            raise _Found(chosen, octets, why)

    while not searched.over:
        held = given(
            some.binary(min_size=OCTETS_MIN, max_size=OCTETS_MAX), some.sampled_from(tried)
        )(one)
        try:
            seed(round_)(QUIET(held))()
        except _Found as found:
            chosen, octets, why = found.args
            print(shown(driver, chosen.case.profile.id, chosen.found(octets, why)), flush=True)
            return FOUND_EXIT
        round_ += 1
    print(searched.told(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
