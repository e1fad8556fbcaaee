"""`vitalgate driver`: which drivers are installed, what one makes of a capture, and the checks. Talks to no device."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, cast

import typer

from drivers.captures.bound import driver_of, profile_of, read_capture
from drivers.captures.cli import scrub
from drivers.scaffold.cli import new
from drivers.testing.cli import check
from drivers.testing.disk import keys_of
from drivers.testing.submit_cli import submit
from gateway.contract.capture import stated_line
from gateway.contract.replay import Played, replay
from gateway.contract.session import CONTRACT, Driver, UnitInfo
from gateway.contract.visit import Ending
from gateway.contract.words import in_words
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found, load

driver_app = typer.Typer(no_args_is_help=True, help="Drivers: how devices are talked to.")
driver_app.command("check")(check)
driver_app.command("new")(new)
driver_app.command("scrub")(scrub)
driver_app.command("submit")(submit)


@driver_app.command("list")
def list_drivers() -> None:
    """Installed drivers, the contract each was written against, and where it comes from."""
    for name, point in sorted(found(DRIVERS).items()):
        try:
            driver = cast("Driver", load(point))
            told = f"contract {driver.contract}" + (
                "" if driver.contract == CONTRACT else f", this is {CONTRACT}"
            )
        except ConfigError as fault:
            told = fault.why
        except AttributeError:
            told = "is no driver: it names no contract"
        print(f"{name:<24} {told:<14} {point.dist.name if point.dist else ''} {point.value}")


@driver_app.command("replay")
def replay_capture(
    capture: Annotated[Path, typer.Argument(help="JSON lines, as recorded")],
    profile: Annotated[str, typer.Option(help="the capture's own without it")] = "",
    keys: Annotated[
        bool,
        typer.Option("--keys", help="keys and readings as the line for the capture's end, alone"),
    ] = False,
) -> None:
    """Play a capture and print the readings; exit status 1 where the visit broke off."""
    told = read_capture(capture)
    bound = profile_of(told, capture, profile)
    driver = driver_of(bound, capture)
    played = replay(driver.open(UnitInfo(bound, told.header.get("cursor") or None)), told.heard)
    stated = stated_line(keys_of(played.readings, bound), list(map(in_words, played.readings)))
    for line in [stated] if keys else _lines(played):
        print(line)
    raise typer.Exit(0 if played.ending in (Ending.FINISHED, Ending.CLOSED) else 1)


def _lines(played: Played) -> Iterator[str]:
    for facts in played.facts:
        yield "device   " + ", ".join(f"{name} {text}" for name, text in facts.items())
    for clock in played.clocks:
        yield f"clock    {clock.shown:%Y-%m-%d %H:%M:%S}"
    for reading in played.readings:
        yield in_words(reading)
    yield f"{len(played.readings)} readings; visit {played.ending}" + (
        f": {played.error}" if played.error else ""
    )
