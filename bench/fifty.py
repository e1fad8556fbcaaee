"""One agent and many devices: how soon all are read, and what that costs the box. Starts processes; no cloud takes part."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench.figures import rate, table
from demo.house import House
from demo.processes import Processes, free_port, say
from demo.truth import devices, radio

# A home, and a ward: cuffs, glucose meters over Bluetooth, scales, glucose meters on lines.
HOUSEHOLDS: Sequence[Mapping[str, int]] = (
    {"cuffs": 6, "ble-meters": 1, "scales": 1, "meters": 2},
    {"cuffs": 32, "ble-meters": 6, "scales": 2, "meters": 10},
)
EVERY_S = 5  # between two measurements of one device
SECONDS = 60
READY_S = 120.0
LOOK_S = 1.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Took:
    """`all_read_s`: from the agent's start until each device had a reading on disk; the rest over SECONDS."""

    devices: int
    all_read_s: float | None
    readings: int
    cpu_s: float
    ram: float
    status: Mapping[str, Any]


def run(folder: Path, console: Console) -> None:
    """Each household in turn, and print."""
    took: list[Took] = []
    for number, household in enumerate(HOUSEHOLDS):
        with console.status(f"{sum(household.values())} devices"):
            took.append(_live(folder / f"{number}", household))
    _tell(took, console)


def _live(folder: Path, household: Mapping[str, int]) -> Took:
    folder.mkdir(parents=True, mode=0o700)
    house = House(folder)
    house.passwords()
    with Processes(folder / "logs") as running:
        options = [f"--{what}={count}" for what, count in household.items()]
        running.vitalgate(
            *("ward", "ward", "--dir", str(house.ward), "--scenario", "kill", *options),
            *("--every", f"{EVERY_S}"),
        )
        running.until("virtual devices", (house.ward / "ready.json").exists, READY_S)
        # Nobody listens there: what is measured is the box alone, with a full outbox to keep.
        house.write_edge(free_port(), radio(house.ward), devices(house.ward))
        running.vitalgate("edge", "edge", "run", "--settings", str(house.edge))
        agent = psutil.Process(running.process("edge").pid)
        begun, all_read_s = time.monotonic(), None
        while (spent_s := time.monotonic() - begun) < SECONDS:
            time.sleep(LOOK_S)
            running.check()
            if all_read_s is None and _all_read(house):
                all_read_s = spent_s
        cpu, ram = agent.cpu_times(), agent.memory_info().rss
        status = _status(house)
    return Took(
        sum(household.values()), all_read_s, status["issued"], cpu.user + cpu.system, ram, status
    )


def _all_read(house: House) -> bool:
    told = _status(house)
    return bool(told) and all(line["readings"] for line in told["devices"])


def _status(house: House) -> dict[str, Any]:
    return dict(json.loads(say("edge", "status", "--settings", str(house.edge), "--json")))


def _tell(took: Sequence[Took], console: Console) -> None:
    few, many = took[0], took[-1]
    told = table(
        f"One agent, every device measuring each {EVERY_S} s, for {SECONDS} s",
        *("", *(f"{one.devices} devices" for one in took), "ratio"),
        note="HCI over TCP; the broker is away. A turn: how late the loop came back to who asked. Window: arrival to fsync",
    )

    def row(name: str, form: str, few_has: float | None, many_has: float | None) -> None:
        shown = [form.format(one) if one is not None else "not all" for one in (few_has, many_has)]
        ratio = f"{many_has / few_has:.1f}" if few_has and many_has else ""
        told.add_row(name, *shown, ratio)

    row("all read after, s", "{:.0f}", few.all_read_s, many.all_read_s)
    told.add_row("readings on disk", rate(few.readings), rate(many.readings), "")
    row("CPU, % of a core", "{:.0f}", *(one.cpu_s / SECONDS * 100 for one in took))
    row("CPU a reading, ms", "{:.1f}", *(one.cpu_s * 1000 / one.readings for one in took))
    row("memory, MiB", "{:.0f}", *(one.ram / MIB for one in took))
    for name, key in (("turn", "turn_ms"), ("window", "window_ms")):
        for part in ("p99", "max"):
            row(f"{name} {part}, ms", "{:.1f}", *(one.status[key][part] for one in took))
    console.print(told)
