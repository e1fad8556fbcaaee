"""`make demo`: broker, virtual devices, agent and ingester as processes; a live table; and at the end a reconciliation."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console as Terminal

from demo import broker
from demo.console import Console
from demo.house import AGENT, TENANT, ZONE, House
from demo.judge import LINK, device_ids, enter, judged, link, tell, told_link
from demo.people import bind_everybody
from demo.processes import DemoError, Processes, free_port
from demo.radio import AUTO, BLUEZ, HCI_TCP, choose
from demo.show import Screen
from demo.truth import Truth, devices, read

READY_S = 60.0
ENROL_S = 120.0
SETTLE_S = 90.0
LOOK_EVERY_S = 1.0
# What it prints and what it logs go to one file, where a line may begin before the other's has ended.


def options() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=int,
        default=0,
        help="end by itself after so many seconds of measuring, and reconcile",
    )
    parser.add_argument("--broker", choices=("auto", "mosquitto", "iotcore"), default="auto")
    parser.add_argument(
        "--radio", choices=(AUTO, BLUEZ, HCI_TCP), default=AUTO, help="how the agent reaches it"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="leave the stores here, for make reconcile DIR=…"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the virtual devices")
    return parser.parse_args()


def main() -> int:
    """Run the demo; gives the exit code."""
    asked = options()
    terminal = Terminal(highlight=False)
    folder = (
        asked.keep.resolve() if asked.keep else Path(tempfile.mkdtemp(prefix="vitalgate-demo-"))
    )
    if (folder / "ward").exists():
        print(f"{folder} holds an earlier demo: name another folder, or remove it", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Processes(folder / "logs") as running:
            return Demo(House(folder), running, terminal, asked).run()
    except (DemoError, FileNotFoundError, httpx.HTTPError) as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        terminal.print("\nended by hand: nothing was reconciled")
        return 130
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


class Demo:
    """One run: what is started, in which order, and what is looked at."""

    def __init__(
        self, house: House, running: Processes, terminal: Terminal, asked: argparse.Namespace
    ) -> None:
        """Nothing is started yet."""
        self.house, self.running, self.terminal, self.asked = house, running, terminal, asked

    def run(self) -> int:
        """From nothing to a verdict."""
        self.start_broker()
        self.start_ward()
        self.start_edge()
        self.enrol_patients()
        console = self.start_cloud()
        screen = Screen(self.terminal)
        screen.start()
        try:
            self.watch(console, screen)
        finally:
            screen.stop()
        code = tell(*judged(self.house, console))
        console.close()
        if self.asked.keep:
            self.terminal.print(
                f"  kept in {self.house.folder}: make reconcile DIR={self.house.folder}"
            )
        return code

    def start_broker(self) -> None:
        """A broker on a free port."""
        self.port = free_port()
        one = broker.prepare(
            self.asked.broker,
            self.house.folder / "broker",
            self.port,
            self.house.passwords(),
            (TENANT, AGENT),
        )
        self.running.start("broker", one.command)
        self.terminal.print(f"broker    {one.name} on 127.0.0.1:{self.port}")

    def start_ward(self) -> None:
        """Virtual devices on a virtual radio and virtual ports."""
        command = ["ward", "--dir", str(self.house.ward), "--scenario", "demo", "--zone", ZONE]
        self.way = choose(self.asked.radio, self.house.ward)
        command += ["--seed", str(self.asked.seed), *self.way.orders]
        if self.asked.seconds:
            command += ["--seconds", str(self.asked.seconds)]
        self.running.vitalgate("ward", *command)
        self.running.until("virtual devices", (self.house.ward / "ready.json").exists, READY_S)
        there = devices(self.house.ward)
        ble = sum(1 for device in there if device.link != "serial")
        self.terminal.print(
            f"ward      {ble} devices over Bluetooth, {len(there) - ble} on serial lines\n"
            f"radio     {self.way.words}"
        )

    def start_edge(self) -> None:
        """The agent, with the ward's devices enrolled."""
        ward = self.house.ward
        self.house.write_edge(self.port, self.way.address(ward), devices(ward))
        run = ("edge", "run", "--settings", str(self.house.edge))
        self.running.vitalgate("edge", *run, more=self.way.environment(ward))
        self.terminal.print(f"agent     {AGENT}: reading each device once, to learn who it is")
        expected = {device.serial for device in devices(self.house.ward)}
        self.running.until(
            "every device's serial number", lambda: expected <= _ids(self.house).keys(), ENROL_S
        )

    def enrol_patients(self) -> None:
        """One invented person for each device."""
        self.house.write_cloud(self.port)
        for name, serial in bind_everybody(self.house):
            self.terminal.print(f"patient   {name} wears {serial}")

    def start_cloud(self) -> Console:
        """The ingester, which serves the console."""
        log = self.running.vitalgate("ingest", "ingest", "run", "--settings", str(self.house.cloud))
        self.running.until("the console", lambda: LINK.search(log.read_text()), READY_S)
        first = told_link(log)
        # A link that the terminal's width cuts in two can't be followed.
        self.terminal.print(
            f"console   {first}   (opens once; `vitalgate ingest link` makes another)",
            soft_wrap=True,
        )
        return enter(self.running, lambda: link(self.house))

    def watch(self, console: Console, screen: Screen) -> None:
        """Show what happens until it is time to end: for ever without --seconds."""
        names = {device: serial for serial, device in device_ids(self.house).items()}
        settled_by = 0.0
        while True:
            self.running.check()
            truth, readings = read(self.house.ward), console.readings()
            screen.update(truth, names, readings, console.alerts())
            if truth.quiet:
                settled_by = settled_by or time.monotonic() + SETTLE_S
                if self.settled(truth, readings) or time.monotonic() > settled_by:
                    return
            time.sleep(LOOK_EVERY_S)

    def settled(self, truth: Truth, readings: list[dict[str, object]]) -> bool:
        """Whether everything measured has arrived everywhere, or can't any more."""
        arrived = sum(1 for reading in readings if reading["series"] is not None)
        return arrived >= len(truth.measured)


def _ids(house: House) -> dict[str, str]:
    try:
        return device_ids(house)
    except (DemoError, json.JSONDecodeError):
        return {}  # the agent has not opened its outbox yet


if __name__ == "__main__":
    raise SystemExit(main())
