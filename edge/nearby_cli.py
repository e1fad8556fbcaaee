"""`vitalgate edge nearby`: its options and its words. What is heard and what fits is found elsewhere; a tie is the person's."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from device_profiles.identify import Match, Tie
from device_profiles.loader import installed
from edge.plugins import allowed_profiles
from edge.settings import load
from gateway.runtime import log
from gateway.runtime.errors import LinkError

if TYPE_CHECKING:  # `vitalgate edge status` loads no radio
    from edge.nearby import Nearby, Neighbourhood

FAILED_EXIT = 1
SECONDS = 20.0
SECONDS_MAX = 600.0
NAME_CHARS_MAX = 60
BLUEZ = "bluez"
BASE_UUID = "-0000-1000-8000-00805f9b34fb"  # Bluetooth Core, vol 3 part B, 2.5.1


def nearby(
    settings: Annotated[
        Path, typer.Option("--settings", help="the box's settings file (TOML)", dir_okay=False)
    ],
    seconds: Annotated[
        float, typer.Option(help="how long to listen", min=1.0, max=SECONDS_MAX)
    ] = SECONDS,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="also devices that no profile fits")
    ] = False,
) -> None:
    """Say which devices are heard now, which profile fits each, and what to write to enrol it."""
    from edge.nearby import listen  # noqa: PLC0415 see above

    log.configure(json=False)
    told = load(settings)
    catalogue = installed()
    allowed = allowed_profiles(catalogue, told.plugins).profiles
    entries = {name: entry for name, entry in catalogue.entries.items() if name in allowed}
    enrolled = {device.address: device.profile for device in told.device if device.address}
    typer.echo(f"Listening for {seconds:g} s: measure now, so that the device is on the air.")
    try:
        here = asyncio.run(listen((told.radio.name, told.radio.address), entries, seconds))
    except LinkError as fault:
        hint = (
            ". Is there a Bluetooth adapter, and does bluetoothd run?"
            if told.radio.name == BLUEZ
            else ""
        )
        typer.echo(f"vitalgate: {fault}{hint}", err=True)
        raise typer.Exit(FAILED_EXIT) from None
    for line in in_words(here, enrolled, everything=everything):
        typer.echo(line)


def in_words(
    here: "Neighbourhood", enrolled: Mapping[str, str], *, everything: bool
) -> Iterator[str]:
    """What was heard, device by device, with what to do about each."""
    devices = here.devices()
    fitting = [one for one in devices if one.found is not None or one.address in enrolled]
    for one in devices if everything else fitting:
        yield f"{one.address}  {_printable(one.seen.name) or '(no name)'}"
        if everything:
            yield f"  sighting: {_sighting(one)}"
        yield from (f"  {line}" for line in _about(one, enrolled.get(one.address)))
    others = len(devices) - len(fitting)
    if not everything and others:
        yield f"{others} other devices fit no profile: --all shows them."
    if not devices:
        yield "Nothing was heard. Most devices advertise only right after a measurement: measure, near the box."
    if here.unkept:
        yield f"More than {len(devices)} devices are on the air; the others were not kept."


def _about(one: "Nearby", enrolled: str | None) -> Iterator[str]:
    match one.found:
        case Match(profile, _, clues):
            words = ", ".join(clue.name.lower() for clue in clues)
            yield f"fits {profile}, by its {words}"
        case Tie(profiles):
            yield f"{len(profiles)} profiles fit equally: {' and '.join(profiles)}."
            yield "Choose the one whose maker and model stand on its label: vitalgate profile explain ID"
        case None:
            yield "no profile fits"
    if enrolled is not None:
        yield f"enrolled as {enrolled}"
    elif one.found is not None:
        yield from _enrolment(one, one.found)


def _enrolment(one: "Nearby", found: Match | Tie) -> Iterator[str]:
    yield "to enrol it, in the settings:"
    profile = found.profile if isinstance(found, Match) else "the one that you chose"
    yield from ("  [[device]]", f'  profile = "{profile}"', f'  address = "{one.address}"')
    if not one.lasting:
        yield "its address may change: it is served only if it states a serial number or a System ID"


def _sighting(one: "Nearby") -> str:
    """As a line of `sightings/*.jsonl`; what only a person knows is left to be written."""
    seen = {
        "services": sorted(map(_short, one.seen.services)),
        "name": _printable(one.seen.name),
        "companies": sorted(one.seen.companies),
    }
    told = {name: value for name, value in seen.items() if value}
    line = {
        "id": "…",
        "link": one.seen.link,
        **told,
        "wins": "…",
        "kind": "recorded",
        "source": "…",
    }
    return json.dumps(line, ensure_ascii=False)


def _short(uuid: str) -> str:
    return uuid[4:8] if uuid.startswith("0000") and uuid.endswith(BASE_UUID) else uuid


def _printable(name: str) -> str:
    """Whoever is on the air chooses the name: no control characters reach the terminal."""
    return "".join(filter(str.isprintable, name))[:NAME_CHARS_MAX]
