"""`vitalgate driver submit`: one file for a reviewer, and what the reviewer makes of it. Sends nothing anywhere."""

import json
from collections.abc import Iterator
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
)
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import found

FAILED_EXIT = 1


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
    typer.echo(f"{place}: {driver} {made.manifest['version']}, tier {made.manifest['tier']}")


def _verify(path: Path) -> None:
    told = unpacked(path)
    found_ = list(_wrong(told))
    for line in found_:
        typer.echo(line)
    if not found_:
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
    yield from _unlike(judged(driver), told)


def _unlike(report: Report, told: Submission) -> Iterator[str]:
    """Captures are replayed by the check `replay_matches`; the rest of the report is held against what is found here."""
    claimed = json.loads(told.files[REPORT])
    here = json.loads(as_json([report]))
    if claimed == here:
        return
    if claimed[0]["tier"] != here[0]["tier"]:
        yield f"the tier here is {here[0]['tier']}; the bundle says {claimed[0]['tier']}"
    before = {(one["profile"], one["check"]): one for one in claimed[0]["findings"]}
    for one in here[0]["findings"]:
        earlier = before.get((one["profile"], one["check"]))
        if one != earlier:
            yield f"{one['check']} with {one['profile']}: {one['result']} after {one['tried']} (seed {SEED}); the bundle says otherwise"
