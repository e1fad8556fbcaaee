"""A private dbus-daemon: its folder, its configuration, its life. Knows nothing of Bluetooth."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from gateway.runtime.errors import ConfigError

PROGRAM = "dbus-daemon"
READY_S_MAX = 10.0
END_S_MAX = 5.0
SOCKET_PATH_BYTES_MAX = 107
"""Of sockaddr_un, less its closing zero (unix(7))."""

_FOLDER_MODE = 0o700
_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@asynccontextmanager
async def private_bus(folder: Path) -> AsyncGenerator[str]:
    """Run a bus whose socket lies in `folder` (made 0700); yields its address. Raises ConfigError."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise ConfigError(
            "this machine",
            "--bluez",
            f"{PROGRAM} is not installed, and the stand-in for BlueZ speaks D-Bus",
            "vitalgate ward without --bluez, or install it first (Debian: apt-get install dbus)",
        )
    address = _prepare(folder)
    with (folder / "bus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_outlived_by_nobody(),
            program,
            f"--config-file={folder / 'bus.conf'}",
            "--nofork",
            "--nopidfile",
            "--nosyslog",
            "--print-address",
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
            # Ctrl-C is for the ward, which hangs up before it ends the bus.
            start_new_session=True,
        )
    try:
        await _until_ready(process, folder)
        yield address
    finally:
        await _end(process)
        (folder / "bus").unlink(missing_ok=True)


def _prepare(folder: Path) -> str:
    socket = folder.resolve() / "bus"
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            str(socket),
            "--dir",
            f"a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes, this one"
            f" {len(os.fsencode(socket))}",
            "a folder with a shorter path",
        )
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    socket.unlink(missing_ok=True)  # left by a bus that was killed
    address = f"unix:path={quote(os.fsencode(socket), safe='/-_.*')}"
    (folder / "bus.conf").write_text(_CONFIGURATION.format(address=escape(address)))
    return address


def _outlived_by_nobody() -> tuple[str, ...]:
    """The bus of a ward that is killed dies with it, where util-linux can arrange that."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


async def _until_ready(process: Process, folder: Path) -> None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S_MAX):
            said = await process.stdout.readline()
    except TimeoutError:
        said = b""
    if not said:
        raise ConfigError(
            str(folder),
            "--bluez",
            f"{PROGRAM} did not start within {READY_S_MAX:g} s; it says why in bus.log there",
            "vitalgate ward without --bluez, or mend it first",
        )


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(END_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
