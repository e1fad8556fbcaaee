"""What was found, for people and for programs: a table where there is a terminal, plain lines elsewhere, or JSON. Writes to no file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from drivers.testing.judge import CHECKS, Finding, Result, Tier

_COLOURS = {
    Result.PASSED: "green",
    Result.EXEMPT: "yellow",
    Result.FAILED: "bold red",
    Result.IDLE: "bold red",
}


@dataclass(frozen=True, slots=True)
class Report:
    """One driver: its findings, and the tier that they earn; None where only some of the checks were asked for."""

    driver: str
    findings: Sequence[Finding]
    tier: Tier | None

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return all(finding.good for finding in self.findings)


def as_json(reports: Sequence[Report]) -> str:
    """All of it."""
    return json.dumps(
        [
            {
                "driver": report.driver,
                "tier": report.tier,
                "good": report.good,
                "findings": [asdict(finding) for finding in report.findings],
            }
            for report in reports
        ],
        indent=1,
    )


def as_lines(report: Report) -> Iterator[str]:
    """Plain text, one line a check, the failing ones with input and reason below."""
    for profile in dict.fromkeys(finding.profile for finding in report.findings):
        yield f"{report.driver} with {profile}"
        for finding in report.findings:
            if finding.profile == profile:
                yield from _lines(finding)
    yield summary(report)


def print_table(report: Report, console: Console) -> None:
    """The same for a terminal."""
    for profile in dict.fromkeys(finding.profile for finding in report.findings):
        table = Table(title=f"{report.driver} with {profile}", title_justify="left")
        for heading in (
            "check",
            "tried",
            "result",
            "smallest failing input, why, and how to see it again",
        ):
            table.add_column(heading, justify="right" if heading == "tried" else "left")
        for finding in report.findings:
            if finding.profile == profile:
                colour = _COLOURS[finding.result]
                told = escape("\n".join(_told(finding)))
                result = f"[{colour}]{finding.result}[/]"
                table.add_row(finding.check, str(finding.tried), result, told)
        console.print(table)
    console.print(escape(summary(report)), highlight=False, soft_wrap=True)


def summary(report: Report) -> str:
    """The last line: what was earned, and what stands in the way. A check that fails for any profile has failed."""
    checks = {finding.check for finding in report.findings}
    failed = {finding.check for finding in report.findings if not finding.good}
    exempt = {it.check for it in report.findings if it.result is Result.EXEMPT} - failed
    tried = sum(finding.tried for finding in report.findings)
    told = (
        f"{report.driver}: {len(checks - failed - exempt)} held, {len(failed)} failed, {len(exempt)} exempt"
        f" of {len(checks)} checks, {tried:,} inputs tried"
    )
    if report.tier is None and checks == set(CHECKS):
        return f"{told}; a tier is earned by all profiles together: leave --profile out"
    if report.tier is None:
        return f"{told}; a tier is earned by all checks only"
    return f"{told}; tier: {report.tier}{_WHAT_NEXT[report.tier]}"


_WHAT_NEXT = {
    Tier.DECLARED: "",
    Tier.CONFORMANT: " (proven needs 3 captures recorded from 2 real units)",
    Tier.PROVEN: "",
}


def _lines(finding: Finding) -> Iterator[str]:
    yield f"  {finding.check:<24} {finding.tried:>6} tried  {finding.result}"
    for line in _told(finding):
        yield f"      {line}"


def _told(finding: Finding) -> Iterator[str]:
    if finding.result is Result.EXEMPT:
        yield finding.why
    elif not finding.good:
        yield finding.input
        yield finding.why
        yield finding.replay
    elif finding.exchange:
        yield finding.input
    yield from finding.exchange
