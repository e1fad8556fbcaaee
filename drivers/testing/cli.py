"""`vitalgate driver check`: holds the kit's checks over installed drivers. Talks to no device, and needs no network."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from drivers.testing.judge import CHECKS, Finding, judge, tier
from drivers.testing.report import Report, as_json, as_lines, print_table
from drivers.testing.subjects import cases, offered, quality_file
from gateway.runtime.errors import ConfigError

SEED = 1


def check(
    drivers: Annotated[list[str] | None, typer.Argument(help="ids; all without one")] = None,
    *,
    seed: Annotated[int, typer.Option(help="of what is tried at random")] = SEED,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    only: Annotated[list[str] | None, typer.Option("--check", help="this check alone")] = None,
    profile: Annotated[str, typer.Option(help="with this profile alone")] = "",
    only_trial: Annotated[
        int,
        typer.Option(min=0, help="the trial of this number alone, with what went over the link"),
    ] = 0,
) -> None:
    """Hold the named checks over drivers; exit status 1 where one fails."""
    names = _named(only or list(CHECKS))
    if only_trial and (len(names) != 1 or not profile or len(drivers or []) != 1):
        raise ConfigError(
            "--only-trial",
            str(only_trial),
            "is one trial of one check",
            "one driver, --profile and --check with it, as the report's line says",
        )
    reports: list[Report] = []
    for driver in drivers or offered():
        reports.append(_held(driver, seed, names, profile, only_trial))
        if not json:
            _print(reports[-1])
    if json:
        print(as_json(reports))
    raise typer.Exit(0 if reports and all(report.good for report in reports) else 1)


def _held(driver: str, seed: int, names: Sequence[str], profile: str, trial: int) -> Report:
    tried = cases(driver, seed)
    asked = [case for case in tried if profile in ("", case.profile.id)]
    if not asked:
        known = " or ".join(case.profile.id for case in tried)
        cure = f"{known}, or add it to `profiles` in {quality_file(driver)}"
        raise ConfigError("--profile", driver, f"is not tried with a profile {profile!r}", cure)
    findings: list[Finding] = [found for case in asked for found in judge(case, names, trial)]
    captures = [capture for case in tried for capture in case.captures.values()]
    whole = len(asked) == len(tried) and set(names) == set(CHECKS) and not trial
    return Report(driver, findings, tier(findings, captures) if whole else None)


def _named(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in CHECKS:
            raise ConfigError("--check", name, "is no check", f"one of {', '.join(CHECKS)}")
    return names


def _print(report: Report) -> None:
    if sys.stdout.isatty():
        print_table(report, Console())
        return
    for line in as_lines(report):
        print(line)
