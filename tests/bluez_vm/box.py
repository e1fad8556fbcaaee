"""The box: its settings, its agent and `edge pair` as processes, what its outbox holds and its status says. Judges nothing.

Knows not whether BlueZ is the real one: both are reached over the system's bus.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from drivers.sim.fleet import Device
from edge.outbox.schema import connect_readonly
from edge.outbox.status import read_status
from edge.running import OUTBOX_FILE
from edge.running import read as read_note
from edge.settings import load
from edge.status import DeviceLine, Standing, document
from gateway.model.observation import Observation
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import StoreError

VITALGATE = str(Path(sys.executable).with_name("vitalgate"))
LOOK_EVERY_S = 0.5
END_S_MAX = 60.0
LOG_CHARS = 2_000

Typed = Callable[[str], str]
"""What a person types who reads this off the device."""


def as_shown(passkey: str) -> str:
    """They read it well."""
    return passkey


def misread(passkey: str) -> str:
    """They don't: the last digit is another."""
    return passkey[:-1] + str((int(passkey[-1]) + 1) % 10)


@dataclass
class Box:
    """`devices` by the names that stories call them. `shown`: the passkeys that a device's screen has shown so far."""

    folder: Path
    devices: Mapping[str, Device]
    shown: Callable[[str], list[str]]
    patience_s: float
    raw_stream: frozenset[str] = frozenset()
    began_s: float = field(default_factory=time.monotonic)
    running: Process | None = None

    def __post_init__(self) -> None:
        """Write the settings."""
        text = (
            'agent = "box-1"\ntenant = "demo"\nzone = "UTC"\n'
            f'data_dir = "{self.folder / "edge"}"\n'
            # No broker: what was read waits in the outbox.
            '[mqtt]\nport = 9\n[radio]\nname = "bluez"\n'
        )
        for name, device in self.devices.items():
            text += f'[[device]]\nprofile = "{device.profile}"\naddress = "{device.place}"\n'
            text += "raw_stream = true\n" if name in self.raw_stream else ""
        self.settings.write_text(text)

    @property
    def settings(self) -> Path:
        """Its settings file."""
        return self.folder / "edge.toml"

    def tell(self, line: str) -> None:
        """A line for whoever watches, with the seconds since the start."""
        print(f"[{time.monotonic() - self.began_s:6.1f}] {line}", flush=True)

    async def until(self, what: str, seen: Callable[[], bool], *, quietly: bool = False) -> None:
        """Look until it is so. Raises AssertionError with what was waited for, and how the box stands."""
        try:
            async with asyncio.timeout(self.patience_s):
                while not seen():
                    assert self.running is None or self.running.returncode is None, self.log()
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            message = f"not so within {self.patience_s:g} s: {what}; {self.lines()}; {self.log()}"
            raise AssertionError(message) from None
        if not quietly:
            self.tell(what)

    def observations(self) -> list[Observation]:
        """What the outbox holds, in the order in which it was committed; nothing before there is an outbox."""
        try:
            db = connect_readonly(load(self.settings).data_dir / OUTBOX_FILE)
        except StoreError:
            return []
        with contextlib.closing(db):
            bodies = [body for (body,) in db.execute("SELECT body FROM rows ORDER BY id")]
        return [msgspec.json.decode(body, type=Observation) for body in bodies]

    def lines(self) -> dict[str, DeviceLine]:
        """`edge status` of each place; empty before there is an outbox."""
        told = load(self.settings)
        try:
            outbox = read_status(told.data_dir / OUTBOX_FILE)
        except StoreError:
            return {}
        note = read_note(told.data_dir)
        standing = Standing(told, outbox, note, SystemClock().now())
        return {line["place"]: line for line in document(standing)["devices"]}

    def trouble(self, which: str) -> str:
        """What the box says is wrong with a device."""
        line = self.lines().get(self.devices[which].place)
        return "" if line is None else line["trouble"] or ""

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncGenerator[None]:
        """`vitalgate edge run`, as a box runs it; its log is edge.log."""
        with (self.folder / "edge.log").open("ab") as log:
            process = self.running = await self._vitalgate("edge", "run", out=log.fileno())
        try:
            yield
        finally:
            self.running = None
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(END_S_MAX):
                await process.wait()

    def log(self) -> str:
        """What agents have logged, the end of it."""
        return (self.folder / "edge.log").read_text()[-LOG_CHARS:]

    async def pair(self, which: str, *options: str, typed: Typed | None = None) -> str:
        """`vitalgate edge pair`, a person reading the passkey off the device. Gives its exit status and its words."""
        more = (*options, *(("--passkey-from-stdin",) if typed else ()))
        process = await self._vitalgate("edge", "pair", self.devices[which].place, *more)
        typing = asyncio.create_task(self._type(process, which, typed)) if typed else None
        try:
            async with asyncio.timeout(self.patience_s):
                assert process.stdout is not None
                words = (await process.stdout.read()).decode()
                status = await process.wait()
        finally:
            if typing is not None:
                typing.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.tell(f"edge pair {which} {' '.join(more)}: {status}\n{words}")
        return f"{status}: {words}"

    async def _type(self, process: Process, which: str, typed: Typed) -> None:
        before = len(self.shown(which))
        while len(self.shown(which)) == before:  # noqa: ASYNC110 a person looks at the screen
            await asyncio.sleep(LOOK_EVERY_S / 5)
        assert process.stdin is not None
        process.stdin.write(f"{typed(self.shown(which)[-1])}\n".encode())
        await process.stdin.drain()

    async def _vitalgate(self, *arguments: str, out: int = PIPE) -> Process:
        return await asyncio.create_subprocess_exec(
            VITALGATE, *arguments, "--settings", str(self.settings),
            stdin=PIPE, stdout=out, stderr=STDOUT, env={**os.environ, "COLUMNS": "400"},
        )  # fmt: skip
