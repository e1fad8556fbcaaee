"""Starting and ending processes: each writes a log of its own, and all end with the demo."""

import atexit
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

END_S = 10.0
LOOK_EVERY_S = 0.1
# Below those that systems give to outgoing connections (Linux: from 32768).
PORTS = range(20_000, 32_000)
PORT_TRIES_MAX = 100
Say = Callable[..., str]  # runs a command of the product, word by word; gives what it printed


class DemoError(RuntimeError):
    """A process did not do what it must: says which, and where its log lies."""


class Processes:
    """The processes of one demo, ended in reverse order."""

    def __init__(self, logs: Path) -> None:
        """Keep logs in this folder."""
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        while self._running:
            self.end(self._running[-1][0])

    def start(
        self,
        name: str,
        command: Sequence[str],
        log: Path | None = None,
        *,
        more: Mapping[str, str] | None = None,
    ) -> Path:
        """Start one, with `more` in its environment; gives its log, which lies with the others unless it is said where."""
        log = log or self.logs / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(more or {})},
            )
        self._running.append((name, process))
        return log

    def vitalgate(self, name: str, *arguments: str, more: Mapping[str, str] | None = None) -> Path:
        """Start one of the product's own commands, with `more` in its environment."""
        return self.start(name, (vitalgate(), *arguments), more=more)

    def end(self, name: str) -> None:
        """Ask it to end, wait END_S, then make it."""
        process = self._forget(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_S)

    def kill(self, name: str) -> None:
        """`kill -9`."""
        process = self._forget(name)
        process.kill()
        process.wait(END_S)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """One that runs."""
        return next(process for known, process in self._running if known == name)

    def _forget(self, name: str) -> subprocess.Popen[bytes]:
        process = self.process(name)
        self._running = [(known, other) for known, other in self._running if known != name]
        return process

    def check(self) -> None:
        """Raise DemoError where one has ended by itself."""
        for name, process in self._running:
            if (code := process.poll()) is not None:
                log = self.logs / f"{name}.log"
                tail = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise DemoError(f"{name} ended with {code}; the end of {log}:\n" + "\n".join(tail))

    def until(self, what: str, seen: Callable[[], object], within_s: float) -> None:
        """Wait until `seen()` is true. Raises DemoError after `within_s`."""
        deadline = time.monotonic() + within_s
        while not seen():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not seen within {within_s:.0f} s; logs in {self.logs}")
            time.sleep(LOOK_EVERY_S)


def vitalgate() -> str:
    """The command of this environment."""
    return str(Path(sys.executable).with_name("vitalgate"))


def say(*arguments: str) -> str:
    """Run a command of the product to its end; gives what it printed. Raises DemoError."""
    done = subprocess.run((vitalgate(), *arguments), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(
            f"vitalgate {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that no outgoing connection is given while its server is restarted.

    No other call gets it, of this process or another, as long as this process lives.
    Raises DemoError where none of PORT_TRIES_MAX is free.
    """
    for _ in range(PORT_TRIES_MAX):
        port = secrets.choice(PORTS)
        twin = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                twin.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                twin.close()
                continue
        # Nobody listens yet: its UDP twin tells the others that it is taken.
        atexit.register(twin.close)
        return port
    raise DemoError(f"{PORT_TRIES_MAX} ports of {PORTS.start} to {PORTS.stop - 1} are all taken")


def private(path: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    return path
