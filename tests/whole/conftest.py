"""The product's processes, started, killed and started again, as an operator and a power cut would."""

import os
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo import broker, people, processes
from demo.console import Console
from demo.findings import Finding
from demo.house import AGENT, TENANT, ZONE, House
from demo.judge import device_ids, judged, link
from demo.processes import DemoError, Processes, free_port
from demo.truth import Truth, devices, radio, read
from tests.commands import say, standing
from tests.whole.wheel import Built, built

LOOK_S = 0.2


class Whole:
    """One box, one cloud, one ward; every process by its name."""

    def __init__(self, folder: Path, running: Processes) -> None:
        self.house = House(folder)
        self.running = running
        self.port = free_port()
        self.commands: dict[str, tuple[str, ...]] = {}
        self._console: Console | None = None

    def start(self, name: str, log: Path | None = None) -> None:
        self.running.start(name, self.commands[name], log)

    def end(self, name: str) -> None:
        self.running.end(name)

    def kill(self, name: str) -> float:
        """`kill -9`; gives the moment (POSIX seconds) just before it."""
        at = time.time()
        self.running.kill(name)
        return at

    def kill_all(self) -> None:
        for name, _ in reversed(self.running._running):
            self.running.kill(name)

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self.running.process(name)

    def start_broker(self, kind: str = "iotcore") -> None:
        folder = self.house.folder / "broker"
        one = broker.prepare(kind, folder, self.port, self.house.passwords(), (TENANT, AGENT))
        self.commands["broker"] = tuple(one.command)
        self.start("broker")

    def start_ward(self, *options: str) -> None:
        ward = self.house.ward
        self.commands["ward"] = (
            processes.vitalgate(),
            "ward",
            "--dir",
            str(ward),
            "--zone",
            ZONE,
            *options,
        )
        self.start("ward")
        self.running.until("virtual devices", (ward / "ready.json").exists, 60)

    def start_edge(self) -> None:
        self.house.write_edge(self.port, radio(self.house.ward), devices(self.house.ward))
        command = (processes.vitalgate(), "edge", "run", "--settings", str(self.house.edge))
        self.commands["edge"] = command
        self.start("edge")
        expected = {device.serial for device in devices(self.house.ward)}
        self.until("every serial number", lambda: expected <= set(self.ids()), 120)

    def bind_everybody(self) -> None:
        """One patient for each device that the agent has met."""
        self.house.write_cloud(self.port)
        assert list(people.bind_everybody(self.house, say))

    def start_cloud(self) -> None:
        command = (processes.vitalgate(), "ingest", "run", "--settings", str(self.house.cloud))
        self.commands["cloud"] = command
        self.start("cloud")
        self.until("the console", self.console_answers, 60)

    def console_answers(self) -> bool:
        try:
            self.console()
        except (DemoError, httpx.HTTPError):
            return False
        return True

    def console(self) -> Console:
        """A session; made anew after the ingester was killed."""
        if self._console is None:
            self._console = Console(link(self.house, say))
        try:
            self._console.alerts()
        except httpx.HTTPError:
            self.leave()
            raise
        return self._console

    def leave(self) -> None:
        if self._console is not None:
            self._console.close()
            self._console = None

    def ids(self) -> dict[str, str]:
        try:
            return device_ids(self.house, say)
        except DemoError:
            return {}

    def status(self) -> dict[str, Any]:
        return standing(self.house.edge)

    def spoken_status(self) -> str:
        return processes.say("edge", "status", "--settings", str(self.house.edge))

    def held(self) -> Counter[str]:
        """Measurements in the outbox by device. Fewer than readings: a scale tells one twice, the second time with impedance."""
        with closing(sqlite3.connect(self.house.folder / "edge" / "outbox.sqlite")) as database:
            return Counter(
                dict(
                    database.execute("select device, count(distinct key) from rows group by device")
                )
            )

    def lose_one_pending_row(self) -> None:
        """What a failing disk does, behind the agent's back."""
        with sqlite3.connect(self.house.folder / "edge" / "outbox.sqlite") as database:
            gone = database.execute(
                "delete from rows where id = (select max(id) from rows where state = 0)"
            ).rowcount
        database.close()
        assert gone == 1

    def truth(self) -> Truth:
        return read(self.house.ward)

    def readings(self) -> list[dict[str, Any]]:
        return self.console().readings()

    def judge(self) -> list[Finding]:
        return judged(self.house, self.console(), say)[0]

    def arrived(self, within_s: float = 120) -> None:
        """Wait until the ward has measured all, and all of it is in the series."""
        self.until("the ward to fall quiet", lambda: self.truth().quiet, 90)
        self.until("the box to be empty", lambda: self.status()["pending"] == 0, within_s)
        self.until(
            "everything to be shown",
            lambda: (
                sum(1 for one in self.readings() if one["series"]) >= len(self.truth().measured)
            ),
            within_s,
        )

    def until(self, what: str, seen: Callable[[], object], within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not seen():
            if time.monotonic() > deadline:
                pytest.fail(f"{what}: not within {within_s} s\n{self.logs()}")
            time.sleep(LOOK_S)

    def logs(self) -> str:
        ends = []
        for log in sorted(self.running.logs.glob("*.log")):
            tail = log.read_text(errors="replace").splitlines()[-8:]
            ends.append(f"--- {log.name}\n" + "\n".join(tail))
        return "\n".join(ends)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    os.environ.pop("VITALGATE_SETTINGS", None)
    with Processes(tmp_path / "logs") as running:
        one = Whole(tmp_path, running)
        yield one
        one.leave()
        # All is asked and answered. How each process ends when it is told to is for the tests of that, not for each to wait for.
        one.kill_all()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Our wheel and an environment with it: made by the first worker that asks, for all of them."""
    own = tmp_path_factory.getbasetemp()
    return built((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "wheel")
