#!/usr/bin/env python3
"""Starts a Mosquitto of our own: 127.0.0.1, a folder of its own, a password and an ACL branch for each box.

Prints one line of JSON when it listens: {"port", "pid", "users": {name: password file}}. Ends with SIGTERM, Ctrl-C, or when
its standard input closes (--until-stdin-closes). Needs `mosquitto` and `mosquitto_passwd`, and Python's standard library.
"""

import argparse
import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import FrameType

TEMPLATES = Path(__file__).resolve().parent.parent / "mosquitto"
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
INGESTER = "ingester"
READY_S_MAX = 10.0


def main() -> int:
    """Set up, start, tell, wait, end."""
    told = _arguments()
    binary, passwd = _find("mosquitto"), _find("mosquitto_passwd")
    if binary is None or passwd is None:
        sys.stderr.write("mosquitto is not installed (Debian: apt-get install mosquitto)\n")
        return 2
    told.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = told.port or _free_port()
    users = _passwords(told.dir, passwd, [INGESTER, *told.agent])
    for name in ("mosquitto.conf", "acl"):
        _fill(
            told.dir / name,
            {
                "DIR": told.dir,
                "PORT": port,
                "TENANT": told.tenant,
                "INGESTER": INGESTER,
                "USER": getpass.getuser(),
            },
        )
    command = [binary, "-c", str(told.dir / "mosquitto.conf")]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, partial(_end, server))
    if told.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    if not _listens(port, server):
        server.kill()
        sys.stderr.write(f"mosquitto did not listen on 127.0.0.1:{port}\n")
        return 1
    sys.stdout.write(json.dumps({"port": port, "pid": server.pid, "users": users}) + "\n")
    sys.stdout.flush()
    return max(0, server.wait())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--dir", type=Path, required=True, help="configuration, passwords and queue; kept"
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--tenant", default="demo")
    parser.add_argument(
        "--agent", action="append", default=[], help="a box that may connect; may be given again"
    )
    parser.add_argument("--until-stdin-closes", action="store_true")
    told = parser.parse_args()
    told.dir = told.dir.resolve()
    return told


def _passwords(folder: Path, passwd: str, names: list[str]) -> dict[str, str]:
    """A random password for each name, kept in a file (0600) over restarts; Mosquitto gets the hashes."""
    hashes, users = folder / "passwords", dict[str, str]()
    hashes.touch(0o600)
    for name in names:
        place = folder / f"{name}.password"
        if not place.exists():
            place.touch(0o600)
            place.write_text(secrets.token_urlsafe(24) + "\n")
        # From a file, not as an argument: arguments can be read by every process of the machine.
        fresh = folder / "passwords.new"
        fresh.touch(0o600)
        fresh.write_text(f"{name}:{place.read_text().strip()}\n")
        subprocess.run([passwd, "-U", str(fresh)], check=True)
        kept = [line for line in hashes.read_text().splitlines() if not line.startswith(f"{name}:")]
        hashes.write_text("\n".join([*kept, fresh.read_text().strip()]) + "\n")
        fresh.unlink()
        users[name] = str(place)
    return users


def _fill(place: Path, values: dict[str, object]) -> None:
    text = (TEMPLATES / place.name).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    place.touch(0o600)
    place.write_text(text)
    place.chmod(0o600)


def _find(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(PLACES))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port: int, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + READY_S_MAX
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return server.poll() is None
    return False


def _end(server: subprocess.Popen[bytes], _signal: int, _frame: FrameType | None) -> None:
    server.terminate()


def _end_with_stdin(server: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1_000):
        pass
    server.terminate()


if __name__ == "__main__":
    sys.exit(main())
