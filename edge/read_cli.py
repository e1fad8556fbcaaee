"""`vitalgate edge read`: its options and its words. The visit itself is elsewhere, so that no other command loads a radio for it."""

import asyncio
import re
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from device_profiles.loader import Entry, installed
from edge.plugins import allowed_profiles, refused_drivers
from edge.settings import EdgeSettings, RadioSettings, load, system_zone
from edge.tape import Shelf
from gateway.contract.profile import Profile
from gateway.contract.session import CONTRACT, Driver
from gateway.runtime import log
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, LinkError, StoreError
from gateway.runtime.plugins import DISTRIBUTION, DRIVERS, found

if TYPE_CHECKING:  # `vitalgate edge status` loads no radio
    from edge.read_once import Place, Reader

FAILED_EXIT, TEMPFAIL_EXIT = 1, 75
WHERE = "vitalgate edge read"
FOLDER = Path("captures")
_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}|[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def read(
    *,
    profile: Annotated[str, typer.Option(help="as `vitalgate profile list` shows it")],
    address: Annotated[
        str, typer.Option(help="Bluetooth address; without it the first device that fits")
    ] = "",
    port: Annotated[str, typer.Option(help='a serial port, as in "/dev/ttyUSB0"')] = "",
    radio: Annotated[str, typer.Option(help="bluez, or hci-tcp")] = "bluez",
    radio_address: Annotated[str, typer.Option(help="HOST:PORT for hci-tcp")] = "",
    settings: Annotated[
        Path | None,
        typer.Option(
            help="a box's settings: its radio, its zone, and what it allows; its agent leaves the device alone meanwhile",
            dir_okay=False,
        ),
    ] = None,
    record: Annotated[
        Path, typer.Option(help="folder for the capture of the visit", file_okay=False)
    ] = FOLDER,
    may_forget: Annotated[
        bool,
        typer.Option("--it-may-forget", help="read a device that deletes what it has told"),
    ] = False,
) -> None:
    """Read one device once: its readings on the terminal, its bytes in a capture. No outbox, no cloud; its clock is not set."""
    from edge.read_once import Place, Reader  # noqa: PLC0415 see above

    log.configure(json=False)
    box = load(settings) if settings else None
    asked = box.radio if box else _radio(radio, radio_address)
    entries = _entries(box)
    if profile not in entries:
        raise ConfigError(
            WHERE, "--profile", f"{profile!r} is no profile here", " or ".join(sorted(entries))
        )
    bound = entries[profile].profile
    _refuse_to_lose(bound, may_forget=may_forget)
    place = Place(
        port, (asked.name, asked.address), _address(address), box.data_dir if box else None
    )
    _check_place(bound, place)
    reader = Reader(
        _driver(bound, box), entries, bound, _zone(bound, box), SystemClock(), typer.echo
    )
    _read(reader, place, record)


def _read(reader: "Reader", place: "Place", folder: Path) -> None:
    from edge.read_once import read_once  # noqa: PLC0415 see above

    try:
        tape = Shelf(folder, reader.clock, version(DISTRIBUTION)).tape(reader.profile, None)
        typer.echo(f"Reading {reader.profile.id}: measure now, if it is not on already.")
        went = asyncio.run(read_once(reader, place, tape))
    except LinkError as fault:
        typer.echo(f"vitalgate: {fault}", err=True)
        raise typer.Exit(FAILED_EXIT) from None
    except StoreError as fault:
        typer.echo(f"vitalgate: {fault}", err=True)
        raise typer.Exit(TEMPFAIL_EXIT) from None
    why = f": {went.ended.why}" if went.ended.why else ""
    typer.echo(f"{went.readings} readings; visit {went.ended.outcome.value}{why}")
    if tape.begun:
        typer.echo(
            f"recorded: {tape.path}\n"
            "It holds all that the device said, also who it is. Before you give it away: "
            f"vitalgate driver scrub {tape.path} --serial …"
        )
    raise typer.Exit(0 if went.well else FAILED_EXIT)


def _refuse_to_lose(profile: Profile, *, may_forget: bool) -> None:
    if profile.deletes_on_confirm and not may_forget:
        raise ConfigError(
            WHERE,
            "--it-may-forget",
            f"{profile.id} deletes each record that it has told: afterwards its readings stand in the capture alone, and no agent"
            " will ever carry them to a patient",
            "--it-may-forget, if these are measurements that nobody needs",
        )


def _check_place(profile: Profile, place: "Place") -> None:
    if (profile.link == "serial") != bool(place.port):
        wanted = "--port /dev/…" if profile.link == "serial" else "no --port: it is on the air"
        raise ConfigError(WHERE, "--port", f"{profile.id} is for a {profile.link} link", wanted)


def _radio(name: str, address: str) -> RadioSettings:
    try:
        return RadioSettings(name=name, address=address)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(
            WHERE, "--radio", why, "bluez, or hci-tcp with --radio-address"
        ) from error


def _address(text: str) -> str:
    if text and not _ADDRESS.fullmatch(text.upper()):
        raise ConfigError(WHERE, "--address", f"{text!r}", "one like AA:BB:CC:DD:EE:FF")
    return text.upper()


def _entries(box: EdgeSettings | None) -> Mapping[str, Entry]:
    catalogue = installed()
    if box is None:
        return catalogue.entries
    allowed: Collection[str] = allowed_profiles(catalogue, box.plugins).profiles
    return {name: entry for name, entry in catalogue.entries.items() if name in allowed}


def _driver(profile: Profile, box: EdgeSettings | None) -> Driver:
    points = found(DRIVERS)
    refused = refused_drivers(points, box.plugins) if box else {}
    point = points.get(profile.driver)
    if point is None or profile.driver in refused:
        why = refused.get(profile.driver, f"no driver {profile.driver!r} is installed")
        raise ConfigError(WHERE, "--profile", why, " or ".join(sorted(points)))
    driver = cast("Driver", point.load())
    if driver.contract != CONTRACT:
        why = f"driver {driver.id} is written for contract {driver.contract!r}; this is {CONTRACT}"
        raise ConfigError(WHERE, "--profile", why, "a version of it that fits")
    return driver


def _zone(profile: Profile, box: EdgeSettings | None) -> ZoneInfo:
    if profile.clock.zone:
        return ZoneInfo(profile.clock.zone)
    return box.zone_info() if box else system_zone()
