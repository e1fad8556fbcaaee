"""Words for a person who pairs a device. Asks for the passkey and forgets it; decides nothing of the pairing itself."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import typer

from device_profiles.loader import installed
from edge.alone import attending
from edge.links.ble_radio import PLATFORM
from edge.links.pairing import PASSKEY_S, PairingError, Why
from edge.pairing import FIND_S, NotHeardError, NotProvedError, Paired, Person, Step, Wanted
from edge.pairing import pair as walk_through
from edge.plugins import allowed_profiles
from edge.settings import EdgeSettings
from gateway.contract.profile import BleChannel
from gateway.runtime.clock import Clock
from gateway.runtime.errors import ConfigError, LinkError

LINE_BYTES_MAX = 64

_PASSKEY = re.compile(rb"\s*([0-9]{1,6})\s*")

_STEPS = {
    Step.LOOKING: f"Looking for {{address}}: put it into its pairing mode now ({FIND_S:g} s).",
    Step.PAIRING: "Heard. Pairing…",
    Step.PROVING: "Paired. Reading it once more without you, as this box will have to from now on…",
}
_AGAIN = "put it into its pairing mode and run: vitalgate edge pair {address} --again --settings …"
_WORDS = {
    Why.NOT_REACHED: "{address} was heard, but did not answer. Hold it nearer to the box, and try again.",
    Why.REFUSED: "{address} refused to be paired. Its pairing mode has ended, or it is paired with another box or phone:"
    " put it into its pairing mode (its manual says how), and try again.",
    Why.WRONG_PASSKEY: "{address}: the passkey was wrong. Try again, with the number that it shows then.",
    Why.GIVEN_UP: f"{{address}} shows a passkey, and none was given within {PASSKEY_S:g} s. Try again, on a terminal or with"
    " --passkey-from-stdin.",
    Why.TOO_LATE: "{address} waited too long, and gave up. Try again.",
    Why.HUNG_UP: "{address} hung up in the middle of pairing. Try again; where a phone is paired with it, remove it there first.",
    Why.STUCK: "{address} was heard, and nothing came of pairing it, twice. Switch it off and on, and try again.",
    Why.BOND_KEPT: "This box is paired with {address} already. Where it can't be read any more, the device has forgotten that: "
    + _AGAIN,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was written on the command line. `profile` None: as enrolled."""

    address: str
    profile: str | None
    again: bool
    from_stdin: bool


async def talk(asked: Asked, told: EdgeSettings, where: str, clock: Clock) -> None:
    """Pair, and say how it goes. Raises ConfigError, and LinkError for `in_words`."""
    if told.radio.name != PLATFORM:
        raise ConfigError(
            where, "radio.name", f"{told.radio.name} is no BlueZ to pair with", f'"{PLATFORM}"'
        )
    channels = _channels(asked, told, where)
    person = Person(
        lambda: _ask(prompt=not asked.from_stdin),
        lambda step: typer.echo(_STEPS[step].format(address=asked.address)),
    )
    wanted = Wanted(asked.address, channels, just_works=not asked.from_stdin, again=asked.again)
    async with attending(told.data_dir, asked.address):
        paired = await walk_through(wanted, person, clock)
    typer.echo(_success(paired, asked.address))


def _channels(asked: Asked, told: EdgeSettings, where: str) -> Mapping[str, BleChannel]:
    enrolled = [device.profile for device in told.device if device.address == asked.address]
    name = asked.profile or next(iter(enrolled), None)
    profiles = allowed_profiles(installed(), told.plugins).profiles
    ours = sorted(known for known, about in profiles.items() if about.channels)
    if name is None:
        raise ConfigError(
            where, "device.address", f"no device is enrolled at {asked.address}", "--profile …"
        )
    if name not in ours:
        raise ConfigError(
            where, "--profile", f"{name!r} is no profile to connect to", " or ".join(ours)
        )
    return profiles[name].channels


def in_words(fault: LinkError, place: str) -> str:
    """What went wrong, and what to do about it."""
    match fault:
        case PairingError():
            return _WORDS[fault.why].format(address=place)
        case NotHeardError():
            return (
                f"{place} was not heard within {FIND_S:g} s. Is it in its pairing mode (its manual says how), near the box,"
                " and not connected to a phone?"
            )
        case NotProvedError():
            return (
                f"{place} was paired, but could not be read afterwards ({fault}). To begin anew, "
                + _AGAIN.format(address=place)
            )
        case _:
            return str(fault)


def _success(paired: Paired, place: str) -> str:
    how = "by passkey" if paired.by_passkey else "without a passkey: it has none to show"
    return (
        f"{place} is paired ({how}), and answered without you: {', '.join(paired.read)}.\n"
        "If it is enrolled in the settings, vitalgate edge run reads it from now on."
    )


async def _ask(*, prompt: bool) -> int | None:
    """The number that the device shows, or None. A terminal may try again until PASSKEY_S is over."""
    if prompt and not sys.stdin.isatty():
        return None
    while True:
        if prompt:
            typer.echo(f"The passkey that it shows ({PASSKEY_S:g} s): ", nl=False)
        line = await _line()
        if digits := _PASSKEY.fullmatch(line):
            return int(digits[1])
        if not prompt or not line:
            return None
        typer.echo("A passkey has 1 to 6 digits.")


async def _line() -> bytes:
    """One line of standard input; empty at its end. No thread: one that waits for a line can't be stopped."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    number, line = sys.stdin.fileno(), b""
    try:
        loop.add_reader(number, arrived.set)
    except PermissionError:  # a plain file is always ready, and epoll refuses it
        return sys.stdin.buffer.readline(LINE_BYTES_MAX)
    try:
        while not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
            await arrived.wait()
            arrived.clear()
            octet = os.read(number, 1)
            if not octet:
                break
            line += octet
        return line
    finally:
        loop.remove_reader(number)
