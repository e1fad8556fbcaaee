"""How long a vendor waits for the kit: `driver check` of each driver, one after the other, beside what it may take."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from bench.figures import rate, table
from drivers.testing.cli import SEED
from drivers.testing.judge import CHECKS, judge
from drivers.testing.subjects import cases, offered

MAY_TAKE_S = 60.0  # a driver, with all its profiles: what the kit promises


@dataclass(frozen=True, slots=True)
class Took:
    """`seconds` by check, of the CPU: the checks start no thread and wait for nothing."""

    driver: str
    profiles: int
    inputs: int
    failed: int
    seconds: dict[str, float]


def run(console: Console) -> None:
    """Every driver, and print."""
    names, took = offered(), list[Took]()
    for place, name in enumerate(names, 1):
        with console.status(f"{name}, {place} of {len(names)}"):
            took.append(_check(name))
    _tell(took, console)


def _check(driver: str) -> Took:
    tried = cases(driver, SEED)
    seconds = dict.fromkeys(CHECKS, 0.0)
    inputs = failed = 0
    for case in tried:
        for check in CHECKS:
            begun = time.process_time()
            (found,) = judge(case, [check])
            seconds[check] += time.process_time() - begun
            inputs += found.tried
            failed += not found.good
    return Took(driver, len(tried), inputs, failed, seconds)


def _tell(took: Sequence[Took], console: Console) -> None:
    shown = table(
        "The kit, a driver",
        "driver",
        "profiles",
        "inputs",
        "CPU s",
        f"of {MAY_TAKE_S:.0f} s",
        "inputs/s",
        "longest checks, s",
        "failed",
        note="CPU of one core, without the second that Python and the profiles take to start.",
    )
    for one in sorted(took, key=lambda one: -sum(one.seconds.values())):
        total = sum(one.seconds.values())
        longest = sorted(one.seconds, key=lambda name: -one.seconds[name])[:2]
        shown.add_row(
            one.driver,
            f"{one.profiles}",
            f"{one.inputs:,}",
            f"{total:.1f}",
            f"{total / MAY_TAKE_S:.0%}",
            rate(one.inputs / total),
            ", ".join(f"{name} {one.seconds[name]:.1f}" for name in longest),
            f"{one.failed}",
        )
    console.print(shown)
