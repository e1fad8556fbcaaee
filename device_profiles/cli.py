"""`vitalgate profile`: which devices are known, what is said of one, what is wrong with one. Changes nothing."""

from pathlib import Path
from typing import Annotated

import typer

from device_profiles.catalogue import catalogue
from device_profiles.draft import draft, fitting, nearest, parse_interview, sighting
from device_profiles.lint import lint as findings_in
from device_profiles.loader import MODELS, Entry, installed, load_catalogue, profile_id
from device_profiles.origins import flattened
from device_profiles.shelves import Shelf
from device_profiles.tiers import tier, tried
from gateway.runtime.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Devices as data: what is known of each model.")


@app.command("list")
def list_profiles(
    markdown: Annotated[bool, typer.Option(help="as the page docs/catalogue.md")] = False,
) -> None:
    """Each profile with its driver, tier, the distribution that brought it, and what its support rests on."""
    if markdown:
        print(catalogue(entry.profile for entry in load_catalogue(MODELS).values()), end="")
        return
    known, named = installed(), tried()
    for name, entry in sorted(known.entries.items()):
        profile = entry.profile
        print(
            f"{name:<28} {profile.kind:<16} {profile.driver:<20} "
            f"{tier(name, profile.driver, named):<10} {entry.distribution:<14} {profile.support}"
        )
    for fault in known.faults:
        print(f"{fault.profile or fault.distribution:<28} can't be read: {fault.why}")


@app.command()
def explain(name: Annotated[str, typer.Argument(metavar="ID", help="as `list` shows it")]) -> None:
    """All that a profile says: in words, then line by line with where it is from."""
    known = load_catalogue()
    if name not in known:
        raise ConfigError(
            "vitalgate profile explain",
            "ID",
            f"{name!r} is no profile",
            " or ".join(sorted(known)),
        )
    for line in _told(known[name]):
        print(line)
    print("\nevery line, and where it is from:")
    for line in flattened(known[name].path):
        print(f"  {line}")


@app.command()
def lint(
    file: Annotated[Path | None, typer.Argument(help="one profile; all without it")] = None,
) -> None:
    """Findings with their codes; exit status 1 where there are any."""
    findings = findings_in(file)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings")
    raise typer.Exit(1 if findings else 0)


@app.command("draft")
def draft_profile(
    interview: Annotated[Path, typer.Argument(help="as `vitalgate edge interview` wrote it")],
    out: Annotated[
        Path,
        typer.Option(help="a new file, as models/<maker>/<model>.toml: its place makes the id"),
    ],
) -> None:
    """Write a first profile from an interview of a device, with its sighting; what a person must confirm is said in it."""
    sightings = _sightings_for(out)
    try:
        told = parse_interview(interview.read_text(encoding="utf-8"), str(interview))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(interview), "(file)", f"{error}", "a file that can be read"
        ) from error
    known = load_catalogue()
    like = nearest(told, known)
    if like is None:
        why = "no driver that is installed knows its characteristics"
        raise ConfigError(
            str(interview), "gatt", why, "a driver for it first: docs/how-to/write-a-driver.md"
        )
    _add(out, draft(told, like), mode="x")
    try:
        _add(sightings, sighting(told, profile_id(out.resolve())) + "\n", mode="a")
    except ConfigError:
        out.unlink()
        raise
    print(
        f"{out}: driver {like.profile.driver}, after {like.profile.id}; its sighting is in {sightings}"
    )
    print(f"profiles whose driver could read it: {', '.join(fitting(told, known))}")
    findings = findings_in(out)
    for finding in findings:
        print(finding)
    print(f"{len(findings)} findings; each line that says CONFIRM is yours to look up")


def _sightings_for(out: Path) -> Path:
    """The file beside `models` for the sighting of a profile that is written there. Raises ConfigError for any other place."""
    shelf = Shelf("", out.resolve().parent.parent.parent)
    if out.resolve().parent.parent != shelf.models or out.suffix != ".toml":
        raise ConfigError(
            str(out), "--out", "is no place that makes an id", "models/<maker>/<model>.toml"
        )
    return shelf.sightings / f"{out.resolve().parent.name}.jsonl"


def _add(path: Path, text: str, *, mode: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(str(path), "--out", "is there already", "a new file") from error
    except OSError as error:
        raise ConfigError(str(path), "--out", f"{error.strerror}", "a place to write to") from error


def _told(entry: Entry) -> list[str]:
    profile, clues = entry.profile, entry.identify
    clock = "set to local time at each visit" if profile.clock.settable else "read, never set"
    epochs = (
        ", ".join(f"{epoch:%Y-%m-%d}" for epoch in profile.identity.reset_epochs) or "none known"
    )
    forgets = (
        "deletes a record once the radio has confirmed it"
        if profile.deletes_on_confirm
        else "keeps its memory"
    )
    return [
        f"{profile.id}: {profile.maker} {profile.model}",
        f"  file       {entry.path}",
        f"  from       {entry.distribution}",
        f"  support    {profile.support}",
        f"  measures   {profile.kind} over {profile.link}, driver {profile.driver}",
        f"  known by   {_clues(clues.model_dump())}",
        f"  identity   {profile.identity.scheme.name.lower()}; clock starts anew at: {epochs}",
        f"  clock      {clock}; zone {profile.clock.zone or 'of the box'}",
        f"  memory     {forgets}; holds {profile.memory or 'an unknown number'}",
        f"  users      {profile.users}",
        *(
            f"  shows      {part} {r.low} to {r.high} {r.unit}"
            for part, r in profile.ranges.items()
        ),
        f"  a visit    ends after {profile.quiet_s:g} s of silence, at the latest after {profile.deadline_s:g} s",
    ]


def _clues(clues: dict[str, tuple[object, ...]]) -> str:
    return "; ".join(f"{what} {', '.join(map(str, told))}" for what, told in clues.items() if told)
