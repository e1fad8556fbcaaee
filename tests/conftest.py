"""Real servers for tests: each in a folder of its own, on 127.0.0.1, ended by the test that started it. No test of ours here.

And how Hypothesis looks for examples: the same ones at each run, so that what is red is red for everybody; `make search` looks for new ones.
"""

import json
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from demo.processes import free_port

SERVICES = Path(__file__).resolve().parent.parent / "deploy" / "services"
END_S_MAX = 20
SLOW_S = 20  # what a test takes that says it is slow, and not how slow

# How long an example takes says more of the machine than of the product.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", settings.get_profile("search"), derandomize=True)
settings.load_profile("fixed")


@pytest.hookimpl(trylast=True)  # what is not asked for is left out before
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, else in the order given: no worker shall begin one when the others are nearly done.

    pytest-xdist hands a worker the next file while it has one or two tests left, so what is next waits for a long test's end.
    Behind the first file of each worker come files of a single short test: else one that takes minutes would wait for another.
    """
    took, tests = Counter[Path](), Counter(item.path for item in items)
    for item in items:
        took[item.path] += sum((mark.args or (SLOW_S,))[0] for mark in item.iter_markers("slow"))
    items.sort(key=lambda item: -took[item.path])
    workers = getattr(config, "workerinput", {}).get("workercount", 0)
    first = list(dict.fromkeys(item.path for item in items))[:workers]
    single = [path for path, count in tests.items() if count == 1 and not took[path]][:workers]
    place = {path: turn for turn, path in enumerate([*first, *single])}
    items.sort(key=lambda item: place.get(item.path, len(place)))


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
    if "--port" not in arguments:
        command += ["--port", str(free_port())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    if not line:
        process.wait(END_S_MAX)
        pytest.fail(f"{script} {arguments} did not start")
    return Service(json.loads(line), process)


PIP_BROKER = """
id = 0
[router]
id = 0
max_connections = 50
max_outgoing_packet_count = 500
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "v4-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v4.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1000000
    max_inflight_count = 200
    [v4.1.connections.auth]
    box = "boxes"
    ingester = "{password}"
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port5}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1000000
    max_inflight_count = 200
    [v5.1.connections.auth]
    box = "boxes"
    ingester = "{password}"
"""


class PipBroker:
    """iotcore in a process of its own; it forgets everything when it ends."""

    def __init__(self, folder: Path) -> None:
        self.port, self.port5 = free_port(), free_port()
        self.password = secrets.token_hex(8)
        self._config = folder / "iotcore.toml"
        self._config.write_text(
            PIP_BROKER.format(port=self.port, port5=self.port5, password=self.password)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "iotcore", "--log-level", "ERROR", "--config"]
        self._process = subprocess.Popen(
            [*command, str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + END_S_MAX
        while not (self._listens(self.port) and self._listens(self.port5)):
            assert time.monotonic() < end, "iotcore did not start"
            time.sleep(0.02)

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(END_S_MAX)
            self._process = None

    @staticmethod
    def _listens(port: int) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            return False
        return True


@pytest.fixture
def pip_broker(tmp_path: Path) -> Iterator[PipBroker]:
    """A broker of the test's own, with the users `box` (password `boxes`) and `ingester`."""
    made = PipBroker(tmp_path)
    made.start()
    yield made
    made.end()


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
