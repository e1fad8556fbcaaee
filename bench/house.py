"""The processes of the screen benchmark: broker, virtual cuffs, agent, ingester, and people for devices and for a probe box."""

import time
from datetime import UTC, datetime
from pathlib import Path

from bench.arrival import READY_S, listens
from bench.load import device_name, reading
from cloud_ingest.app import open_records
from cloud_ingest.settings import load
from demo import broker
from demo.house import House
from demo.judge import device_ids
from demo.processes import DemoError, Processes, free_port
from demo.truth import devices, radio
from gateway.model.observation import Observation
from gateway.runtime.clock import SystemClock

CUFFS = 4
EVERY_S = 4
ENROL_S = 120.0
PROBE = "bench-probe"  # the box whose readings cross a limit


class Site:
    """Everything on the air, and everybody bound: `wearers` tells the patient of each device."""

    def __init__(self, folder: Path, kind: str, probes: int, running: Processes) -> None:
        """Start it all. Raises DemoError."""
        self.house, self.running = House(folder), running
        folder.mkdir(parents=True, mode=0o700)
        self.port, passwords = free_port(), self.house.passwords()
        one = broker.prepare(kind, folder / "broker", self.port, passwords, ("+", "+"))
        self.broker = one.name
        running.start("broker", one.command)
        running.until("the broker", lambda: listens(self.port), READY_S)
        options = ("--scenario", "kill", "--cuffs", f"{CUFFS}", "--meters", "0")
        running.vitalgate(
            "ward", "ward", "--dir", str(self.house.ward), *options, "--every", f"{EVERY_S}"
        )
        running.until("virtual cuffs", (self.house.ward / "ready.json").exists, READY_S)
        self.house.write_edge(self.port, radio(self.house.ward), devices(self.house.ward))
        running.vitalgate("edge", "edge", "run", "--settings", str(self.house.edge))
        running.until("every serial number", lambda: len(self.ids()) == CUFFS, ENROL_S)
        self.house.write_cloud(self.port)
        self.wearers = self._bind(probes)
        log = running.vitalgate("ingest", "ingest", "run", "--settings", str(self.house.cloud))
        running.until("the console", lambda: "/enter/" in log.read_text(), READY_S)
        self.link = next(word for word in log.read_text().split() if "/enter/" in word)

    def ids(self) -> dict[str, str]:
        """Serial number -> device, of the cuffs that the agent has met."""
        try:
            return device_ids(self.house)
        except (DemoError, ValueError):
            return {}  # the agent has not opened its outbox yet

    def probe(self, number: int) -> Observation:
        """A glucose value of 45 mg/dL, measured now by the next meter of the probe box."""
        return reading(number * 200, _meter(number), datetime.now(UTC).replace(microsecond=0))

    def _bind(self, probes: int) -> dict[str, str]:
        names = [*self.ids().values(), *(device_name(_meter(n)) for n in range(probes))]
        wearers: dict[str, str] = {}
        settings = load(self.house.cloud)
        with open_records(settings, SystemClock(), sole_ingester=False) as records:
            for number, device in enumerate(names):
                patient = records.add_patient(f"Bench Number{number}", "1950-01-01").id
                records.bind(patient, device, since=None)
                wearers[device] = patient
        return wearers


def _meter(number: int) -> int:
    return 2 * number + 1


def wait(seconds: float, running: Processes) -> None:
    """Let things happen; raises DemoError where a process ended meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.check()
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
