"""`vitalgate driver submit`: one file for a reviewer, and what the reviewer makes of it. Sends nothing anywhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from drivers.testing.report import Report, as_json
from drivers.testing.subjects import SUBJECTS
from drivers.testing.submission import (
    REPORT,
    SEED,
    Submission,
    faults,
    gather,
    judged,
    packed,
    sources,
    unpacked,
    unwritten,
)
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import found

FAILED_EXIT = 1


@dataclass(frozen=True, slots=True)
class _Claim:
    """A bundle's own report. `findings` by profile and check."""

    tier: object
    findings: Mapping[tuple[object, object], object]


def submit(
    driver: Annotated[str, typer.Argument(metavar="ID", help="of an installed driver")] = "",
    out: Annotated[Path | None, typer.Option(help="./<driver>-<version>.zip without it")] = None,
    verify: Annotated[
        Path | None, typer.Option(help="look into a bundle instead of making one", dir_okay=False)
    ] = None,
) -> None:
    """Put sources, captures, quality file, profiles and the kit's findings into one file; or verify one."""
    if verify is not None:
        _verify(verify)
        return
    if not driver:
        raise ConfigError(
            "vitalgate driver submit", "ID", "is missing", "a driver's id, or --verify FILE"
        )
    made = gather(driver)
    place = out or Path(f"{driver}-{made.manifest['version']}.zip")
    try:
        place.write_bytes(packed(made))
    except OSError as error:
        raise ConfigError(
            str(place), "--out", f"{error.strerror}", "a file that can be written"
        ) from error
    for name in sorted(made.files):
        typer.echo(name)
    for line in unwritten(made):
        typer.echo(line)
    typer.echo(f"{place}: {driver} {made.manifest['version']}, tier {made.manifest['tier']}")


def _verify(path: Path) -> None:
    told = unpacked(path)
    found_ = list(_wrong(told))
    for line in found_:
        typer.echo(line)
    if not found_:
        for line in unwritten(told):
            typer.echo(line)
        manifest = told.manifest
        typer.echo(
            f"{manifest['driver']} {manifest['version']}: {len(told.files)} files as hashed, sources as installed, "
            f"{len(told.captures)} captures replayed, checks as reported; tier {manifest['tier']}"
        )
    raise typer.Exit(FAILED_EXIT if found_ else 0)


def _wrong(told: Submission) -> Iterator[str]:
    wrong = list(faults(told))
    yield from wrong
    if wrong:
        return  # what contradicts itself is not worth running
    driver = str(told.manifest["driver"])
    point = found(SUBJECTS).get(driver)
    if point is None:
        yield (
            f"hashes agree, but nothing was replayed: {driver} is not installed here. Read its sources, install "
            f"{told.manifest['distribution']} {told.manifest['version']}, and verify again"
        )
        return
    here = sources(driver, point)
    for name in sorted(here.keys() | told.files.keys()):
        if name.startswith("sources/") and here.get(name) != told.files.get(name):
            yield f"{name} is not what is installed here"
            return
    try:
        claimed = _claim(told)
    except ValueError as error:
        yield str(error)
        return
    yield from _unlike(judged(driver), claimed)


def _claim(told: Submission) -> _Claim:
    """What its report says. Raises ValueError where that is no report."""
    try:
        (claimed,) = json.loads(told.files[REPORT])
        findings = {(one["profile"], one["check"]): one for one in claimed["findings"]}
        return _Claim(claimed["tier"], findings)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"{REPORT} can't be read: {error!r}") from error


def _unlike(report: Report, claimed: _Claim) -> Iterator[str]:
    """Captures are replayed by the check `replay_matches`; the rest of the report is held against what is found here."""
    (here,) = json.loads(as_json([report]))
    if claimed.tier != here["tier"]:
        yield f"the tier here is {here['tier']}; the bundle says {claimed.tier}"
    for one in here["findings"]:
        earlier = claimed.findings.get((one["profile"], one["check"]))
        if one != earlier:
            yield f"{one['check']} with {one['profile']}: {one['result']} after {one['tried']} (seed {SEED}); the bundle says otherwise"
