"""`vitalgate edge pair`: its options. Words and steps are elsewhere, so that no other command loads a radio for them."""

import asyncio
import re
from pathlib import Path
from typing import Annotated

import typer

from edge.settings import load
from gateway.runtime import log
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError

FAILED_EXIT = 1

_ADDRESS = re.compile(r"([0-9A-F]{2}:){5}[0-9A-F]{2}")


def pair(
    address: Annotated[str, typer.Argument(help="the device's Bluetooth address")],
    settings: Annotated[
        Path, typer.Option("--settings", help="the box's settings file (TOML)", dir_okay=False)
    ],
    *,
    profile: Annotated[
        str | None, typer.Option(help="Its profile. Default: as enrolled in the settings.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget an earlier pairing with it first.")
    ] = False,
    from_stdin: Annotated[
        bool,
        typer.Option(
            "--passkey-from-stdin",
            help="Read the passkey from standard input when it is shown; without one, refuse.",
        ),
    ] = False,
) -> None:
    """Pair a device with this box, and read it once to prove it."""
    from edge.pair_talk import Asked, in_words, talk  # noqa: PLC0415 see above

    log.configure(json=False)
    asked = Asked(_address(address), profile, again=again, from_stdin=from_stdin)
    try:
        asyncio.run(talk(asked, load(settings), str(settings), SystemClock()))
    except LinkError as fault:
        typer.echo(f"vitalgate: {in_words(fault, asked.address)}", err=True)
        raise typer.Exit(FAILED_EXIT) from None


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text.upper()):
        raise typer.BadParameter(
            f"{text!r} is no Bluetooth address; write one like AA:BB:CC:DD:EE:FF"
        )
    return text.upper()
