"""Real servers for tests: each in a folder of its own, on 127.0.0.1, ended by the test that started it. No test of ours here."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SERVICES = Path(__file__).resolve().parent.parent / "deploy" / "services"
END_S_MAX = 20


@dataclass
class Service:
    """A server that was started by its script in deploy/services; `ready` is what the script said of it."""

    ready: dict[str, Any]
    process: "subprocess.Popen[str]"

    def end(self) -> None:
        """Let the script end its server."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(END_S_MAX)


StartService = Callable[[str, Sequence[str]], Service]


def _start(script: str, arguments: Sequence[str]) -> Service:
    command = [sys.executable, str(SERVICES / script), "--until-stdin-closes", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    if not line:
        process.wait(END_S_MAX)
        pytest.fail(f"{script} {arguments} did not start")
    return Service(json.loads(line), process)


@pytest.fixture
def start_service() -> Iterator[StartService]:
    """Starts servers by script name; all of them end with the test."""
    started: list[Service] = []

    def start(script: str, arguments: Sequence[str]) -> Service:
        started.append(_start(script, arguments))
        return started[-1]

    yield start
    for service in started:
        if service.process.stdin and not service.process.stdin.closed:
            service.end()


@pytest.fixture(scope="session")
def influx_ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One InfluxDB for all tests that only write and read: its URL, org, bucket and token file."""
    service = _start("influx.py", ["--dir", str(tmp_path_factory.mktemp("influx"))])
    yield service.ready
    service.end()
