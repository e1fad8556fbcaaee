#!/usr/bin/env python3
"""Starts an InfluxDB 2.7 of our own: 127.0.0.1, a folder of its own, one org, one bucket, a random token in a file (0600).

Prints one line of JSON when it answers: {"url", "org", "bucket", "token_file", "pid"}. Ends with SIGTERM, Ctrl-C, or when its
standard input closes (--until-stdin-closes). The binary comes from influxd.sh beside this file, which builds it once.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import urllib.response
from functools import partial
from pathlib import Path
from types import FrameType

BUILD = Path(__file__).resolve().with_name("influxd.sh")
READY_S_MAX = 60.0
ORG, BUCKET = "vitalgate", "readings"


def main() -> int:
    """Set up, start, tell, wait, end."""
    told = _arguments()
    folder: Path = told.dir.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    built = subprocess.run([str(BUILD)], stdout=subprocess.PIPE, text=True, check=True)
    binary = built.stdout.strip()
    url = f"http://127.0.0.1:{told.port or _free_port()}"
    command = [
        binary,
        "--bolt-path", str(folder / "influxd.bolt"),
        "--sqlite-path", str(folder / "influxd.sqlite"),
        "--engine-path", str(folder / "engine"),
        "--http-bind-address", url.removeprefix("http://"),
        "--reporting-disabled",
        "--log-level", "error",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, partial(_end, server))
    if told.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
    if not _answers(url, server):
        server.kill()
        sys.stderr.write(f"influxd did not answer at {url}\n")
        return 1
    ready = {
        "url": url,
        "org": ORG,
        "bucket": BUCKET,
        "token_file": str(_set_up(url, folder)),
        "pid": server.pid,
    }
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    return max(0, server.wait())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dir", type=Path, required=True, help="data and token; kept")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser.parse_args()


def _set_up(url: str, folder: Path) -> Path:
    """First user, org, bucket and token; nothing where that was done before."""
    place = folder / "token"
    if place.exists():
        return place
    token = secrets.token_urlsafe(32)
    place.touch(0o600)
    place.write_text(token + "\n")
    told = {
        "username": "vitalgate",
        "password": secrets.token_urlsafe(24),
        "org": ORG,
        "bucket": BUCKET,
        "token": token,
    }
    with _ask(f"{url}/api/v2/setup", json.dumps(told).encode()):
        return place


def _answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + READY_S_MAX
    while time.monotonic() < end and server.poll() is None:
        try:
            _ask(f"{url}/health").close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return True
    return False


def _ask(url: str, body: bytes | None = None) -> urllib.response.addinfourl:
    # Never through a proxy: the server is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(url, body, timeout=READY_S_MAX)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(server: subprocess.Popen[bytes], _signal: int, _frame: FrameType | None) -> None:
    server.terminate()


def _end_with_stdin(server: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1_000):
        pass
    server.terminate()


if __name__ == "__main__":
    sys.exit(main())
