"""`vitalgate driver`: which drivers are installed, what one makes of a capture, and the checks. Talks to no device."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, cast

import typer

from device_profiles.loader import load_profiles
from drivers.scaffold.cli import new
from drivers.testing.cli import check
from drivers.testing.disk import keys_of
from gateway.contract.capture import Capture, CaptureError, parse
from gateway.contract.profile import Profile
from gateway.contract.replay import Played, replay
from gateway.contract.session import CONTRACT, Driver, UnitInfo
from gateway.contract.visit import Ending
from gateway.contract.words import in_words
from gateway.runtime.errors import ConfigError
from gateway.runtime.plugins import DRIVERS, found

CAPTURE_BYTES_MAX = 100_000_000

driver_app = typer.Typer(no_args_is_help=True, help="Drivers: how devices are talked to.")
driver_app.command("check")(check)
driver_app.command("new")(new)


@driver_app.command("list")
def list_drivers() -> None:
    """Installed drivers, the contract each was written against, and where it comes from."""
    for name, point in sorted(found(DRIVERS).items()):
        try:
            driver = cast("Driver", point.load())
            told = f"contract {driver.contract}" + (
                "" if driver.contract == CONTRACT else f", this is {CONTRACT}"
            )
        except (ImportError, AttributeError) as fault:
            told = f"does not load: {fault}"
        print(f"{name:<24} {told:<14} {point.dist.name if point.dist else ''} {point.value}")


@driver_app.command("replay")
def replay_capture(
    capture: Annotated[Path, typer.Argument(help="JSON lines, as recorded")],
    profile: Annotated[str, typer.Option(help="the capture's own without it")] = "",
    keys: Annotated[
        bool, typer.Option("--keys", help="the line that says so, for the capture's end, alone")
    ] = False,
) -> None:
    """Play a capture and print the readings; exit status 1 where the visit broke off."""
    told = _read(capture)
    bound = _profile(told, capture, profile)
    driver = _driver(bound, capture)
    played = replay(driver.open(UnitInfo(bound, told.header.get("cursor") or None)), told.heard)
    stated = json.dumps({"keys": keys_of(played.readings, bound)})
    for line in [stated] if keys else _lines(played):
        print(line)
    raise typer.Exit(0 if played.ending in (Ending.FINISHED, Ending.CLOSED) else 1)


def _read(path: Path) -> Capture:
    try:
        if path.stat().st_size > CAPTURE_BYTES_MAX:
            raise ConfigError(
                str(path), "(file)", f"over {CAPTURE_BYTES_MAX} bytes", "one visit's capture"
            )
        with path.open(encoding="utf-8") as lines:
            return parse(lines)
    except (OSError, CaptureError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "(file)", f"{error}", "a capture that can be read") from error


def _profile(told: Capture, path: Path, asked: str) -> Profile:
    profiles = load_profiles()
    name = asked or told.header.get("profile", "")
    if name not in profiles:
        raise ConfigError(
            str(path), "profile", f"{name!r} is no profile", " or ".join(sorted(profiles))
        )
    return profiles[name]


def _driver(profile: Profile, path: Path) -> Driver:
    points = found(DRIVERS)
    if profile.driver not in points:
        raise ConfigError(
            str(path), "driver", f"{profile.driver!r} is not installed", " or ".join(sorted(points))
        )
    return cast("Driver", points[profile.driver].load())


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
