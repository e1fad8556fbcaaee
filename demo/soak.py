"""`make soak`: the demo's processes under `kill -9` at random moments, then a reconciliation. Imports nothing of the product.

First half: agent, broker and ingester die. Second half: the broker alone, so that the other two live long enough for their
memory to tell something. Exits 0 only if every loss lies in the named window, nothing else is wrong, and memory is flat.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx

from demo import broker, processes
from demo.findings import Finding
from demo.house import AGENT, TENANT, ZONE, House
from demo.judge import device_ids, enter, judged, link
from demo.people import bind_everybody
from demo.processes import DemoError, Processes, free_port, vitalgate
from demo.toll import growth, losses
from demo.truth import devices, radio, read

READY_S, ENROL_S, QUIET_S, SETTLE_S = 60.0, 120.0, 300.0, 120.0
SPARE_S = 60  # that the devices measure beyond the time of killing: enrolling takes some of it
MINUTES_MIN = 2
CUFFS, METERS = 4, 2
EVERY_S = 2.0
METER_RECORDS = 400  # of the 500 that a meter's memory holds: it must not run over
LINE_SPEED = 20  # so that a full memory is read between two deaths
# How long each needs to be at work again before the next death: an agent must find, connect and read.
PAUSE_S = {"edge": (2.5, 6.0), "broker": (0.5, 2.5), "ingest": (1.5, 3.5)}
STEADY_PAUSE_S = (10.0, 20.0)  # between two deaths of the broker in the second half
SAMPLE_S = 10.0
WARM_UP_S_MAX = 60.0
LOOK_S = 0.2
KIB_IN_MIB = 1024
WATCHED = ("edge", "ingest")


def options() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help=f"at least {MINUTES_MIN}")
    parser.add_argument("--seed", type=int, help="of the deaths and the devices; else a new one")
    parser.add_argument("--broker", choices=("auto", "mosquitto", "iotcore"), default="auto")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave stores and logs here")
    told = parser.parse_args()
    if not told.minutes >= MINUTES_MIN:
        parser.error(f"--minutes {told.minutes}: at least {MINUTES_MIN}, or memory tells nothing")
    told.seed = random.randrange(2**16) if told.seed is None else told.seed  # noqa: S311 no secret
    return told


def main() -> int:
    """Soak; gives the exit code."""
    asked = options()
    folder = (
        asked.keep.resolve() if asked.keep else Path(tempfile.mkdtemp(prefix="vitalgate-soak-"))
    )
    if (folder / "ward").exists():
        print(f"{folder} holds an earlier run: name another folder, or remove it", file=sys.stderr)
        return 2
    try:
        with Processes(folder / "logs") as running:
            return Soak(House(folder), running, asked).run()
    except (DemoError, FileNotFoundError, httpx.HTTPError) as failure:
        print(f"soak: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nended by hand: nothing was reconciled")
        return 130
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


class Soak:
    """One run: what was started how, who died when, and how much memory the survivors had."""

    def __init__(self, house: House, running: Processes, asked: argparse.Namespace) -> None:
        """Nothing is started yet."""
        self.house, self.running, self.asked = house, running, asked
        self.dice = random.Random(asked.seed)  # noqa: S311 no secret
        self.commands: dict[str, Sequence[str]] = {}
        self.deaths: dict[str, list[float]] = {name: [] for name in PAUSE_S}
        self.memory: dict[str, list[float]] = {name: [] for name in WATCHED}

    def run(self) -> int:
        """From nothing to a verdict."""
        half_s = self.asked.minutes * 60 / 2
        self.start_everything()
        self.kill_all(time.monotonic() + half_s)
        self.kill_broker(time.monotonic() + half_s)
        running = self.running
        running.until("quiet devices", lambda: read(self.house.ward).quiet, QUIET_S)
        return self.verdict()

    def start_everything(self) -> None:
        """Broker, devices, agent, people, ingester."""
        house, port, seconds = self.house, free_port(), self.asked.minutes * 60 + SPARE_S
        place, branch = house.folder / "broker", (TENANT, AGENT)
        one = broker.prepare(self.asked.broker, place, port, house.passwords(), branch)
        self._start("broker", one.command)
        every_s = max(EVERY_S, seconds / METER_RECORDS)
        told = {
            "dir": house.ward, "scenario": "kill", "zone": ZONE, "seed": self.asked.seed, "cuffs": CUFFS,
            "meters": METERS, "line-speed": LINE_SPEED, "every": f"{every_s:.2f}", "seconds": f"{seconds:.0f}",
        }  # fmt: skip
        self._start(
            "ward", (vitalgate(), "ward", *(f"--{key}={what}" for key, what in told.items()))
        )
        self.running.until("virtual devices", (house.ward / "ready.json").exists, READY_S)
        house.write_edge(port, radio(house.ward), devices(house.ward))
        self._start("edge", (vitalgate(), "edge", "run", "--settings", str(house.edge)))
        serials = {device.serial for device in devices(house.ward)}
        self.running.until("every serial number", lambda: serials <= self._known(), ENROL_S)
        house.write_cloud(port)
        people = len(list(bind_everybody(house)))
        self._start("ingest", (vitalgate(), "ingest", "run", "--settings", str(house.cloud)))
        enter(self.running, lambda: link(house)).close()
        print(
            f"soak      {self.asked.minutes:g} minutes, seed {self.asked.seed}, {one.name}, {people} devices, "
            f"each measures every {every_s:.1f} s",
            flush=True,
        )

    def kill_all(self, until: float) -> None:
        """Agent, broker and ingester, in random order at random moments."""
        while time.monotonic() < until:
            name = self.dice.choice(tuple(PAUSE_S))
            time.sleep(self.dice.uniform(*PAUSE_S[name]))
            self._kill(name)

    def kill_broker(self, until: float) -> None:
        """The broker now and then; memory of the others is sampled after a warm-up."""
        now = time.monotonic()
        sample_at = now + min(WARM_UP_S_MAX, (until - now) / 3)
        kill_at = now + self.dice.uniform(*STEADY_PAUSE_S)
        while (now := time.monotonic()) < until:
            self.running.check()
            if now >= sample_at:
                sample_at += SAMPLE_S
                for name in WATCHED:
                    self.memory[name].append(_resident_mib(self.running.process(name).pid))
            if now >= kill_at:
                kill_at = now + self.dice.uniform(*STEADY_PAUSE_S)
                self._kill("broker")
            time.sleep(LOOK_S)

    def verdict(self) -> int:
        """Reconcile, print, and give the exit code."""
        found, compared = self._settled()
        confirmed = read(self.house.ward).confirmed
        lost = losses(found, confirmed, self.deaths["edge"])
        wrong = [finding for finding in found if finding.what != "missing"]
        grown = {name: growth(samples) for name, samples in self.memory.items()}
        print("kills     " + ", ".join(f"{name} {len(at)}" for name, at in self.deaths.items()))
        print(f"readings  {compared}\nfound     {_counted(found)}")
        for loss in lost:
            print(f"  {'excused' if loss.excused else 'LOST'}: {loss}")
        for finding in wrong:
            print(f"  WRONG: {finding}")
        for name, one in grown.items():
            print(f"memory    {name:<7} {one}  ({len(self.memory[name])} samples)")
        good = not wrong and all(loss.excused for loss in lost)
        good = good and all(one.flat for one in grown.values())
        print("verdict   " + ("good" if good else "NOT GOOD"))
        return 0 if good else 1

    def _settled(self) -> tuple[list[Finding], str]:
        """What is wrong once the box is empty and only what a cuff forgot is missing; SETTLE_S later, whatever is wrong then."""
        end = time.monotonic() + SETTLE_S
        console = enter(self.running, lambda: link(self.house))
        try:
            while True:
                found, compared = judged(self.house, console)
                confirmed = read(self.house.ward).confirmed
                waits = any(
                    one.what == "no point" or (one.what == "missing" and one.who not in confirmed)
                    for one in found
                )
                if (not waits and self._pending() == 0) or time.monotonic() > end:
                    return judged(self.house, console) if waits else (found, compared)
                time.sleep(1.0)
        finally:
            console.close()

    def _start(self, name: str, command: Sequence[str]) -> None:
        self.commands[name] = command
        self.running.start(name, command)

    def _kill(self, name: str) -> None:
        self.running.check()
        # The moment before, so that what was confirmed after it cannot count as lost by this death.
        self.deaths[name].append(time.time())
        self.running.kill(name)
        self.running.start(name, self.commands[name])

    def _known(self) -> set[str]:
        try:
            return set(device_ids(self.house))
        except (DemoError, json.JSONDecodeError):
            return set()  # the agent has not opened its outbox yet

    def _pending(self) -> int:
        told = processes.say("edge", "status", "--settings", str(self.house.edge), "--json")
        return int(json.loads(told)["pending"])


def _counted(found: Sequence[Finding]) -> str:
    counts = Counter(finding.what for finding in found)
    told = {what: counts.pop(what, 0) for what in ("missing", "double", "altered")} | counts
    return ", ".join(f"{what} {count}" for what, count in told.items())


def _resident_mib(process: int) -> float:
    told = subprocess.run(
        ("ps", "-o", "rss=", "-p", str(process)), capture_output=True, text=True, check=True
    )
    return int(told.stdout) / KIB_IN_MIB


if __name__ == "__main__":
    raise SystemExit(main())
