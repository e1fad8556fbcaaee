"""`make reconcile DIR=…`: judges kept stores over HTTP. Exits 0 only if nothing is missing, double or altered."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import httpx

from demo import processes
from demo.console import Console
from demo.findings import Finding, reconcile, summary
from demo.house import House
from demo.processes import DemoError, Processes, Say
from demo.truth import devices, read

SERVE_S = 60.0
FINDINGS_SHOWN = 50
LINK = re.compile(r"http://[^/\s]+/enter/[0-9a-f]{64}")


def judged(house: House, console: Console, say: Say = processes.say) -> tuple[list[Finding], str]:
    """What is wrong, and how much was compared."""
    truth = read(house.ward)
    readings, alerts = console.readings(), console.alerts()
    ids = device_ids(house, say)
    found = reconcile(truth.measured, ids, readings, alerts, house.wearers())
    return found, summary(truth.measured, readings, alerts)


def device_ids(house: House, say: Say = processes.say) -> dict[str, str]:
    """Serial number -> device id, as `vitalgate edge status --json` tells.

    A device that states no serial number is known by its place, and called as the ward calls it.
    """
    status = json.loads(say("edge", "status", "--settings", str(house.edge), "--json"))
    called = {device.place: device.serial for device in devices(house.ward)}
    return {
        device["serial"] or called[device["place"]]: device["device"]
        for device in status["devices"]
        if device["device"] and (device["serial"] or device["place"] in called)
    }


def tell(found: list[Finding], compared: str) -> int:
    """Print the verdict; gives the exit code."""
    print(f"\nReconciliation: {compared}")
    for finding in found[:FINDINGS_SHOWN]:
        print(f"  {finding}")
    if len(found) > FINDINGS_SHOWN:
        print(f"  … and {len(found) - FINDINGS_SHOWN} more")
    print(
        f"  {len(found)} {'thing is' if len(found) == 1 else 'things are'} wrong"
        if found
        else "  nothing missing, nothing double, nothing altered"
    )
    return 1 if found else 0


def link(house: House, say: Say = processes.say) -> str:
    """A fresh one-time link to a running console."""
    told = say("ingest", "link", "--settings", str(house.cloud))
    return next(word for word in told.split() if word.startswith("http"))


def told_link(log: Path) -> str:
    """The link that a console printed when it began. Raises DemoError where it has not begun."""
    links = LINK.findall(log.read_text())
    if not links:
        raise DemoError(f"{log}: no link yet")
    return links[-1]


def enter(running: Processes, where: Callable[[], str]) -> Console:
    """A session on the console whose link is `where()`, as soon as it answers. Raises DemoError after SERVE_S."""
    sessions: list[Console] = []

    def answers() -> bool:
        try:
            sessions.append(Console(where()))
        except (DemoError, httpx.HTTPError):
            return False
        return True

    running.until("the console", answers, SERVE_S)
    return sessions[0]


def main() -> int:
    """Serve the kept stores, judge them, stop."""
    parser = argparse.ArgumentParser(prog="make reconcile DIR=…", description=__doc__)
    parser.add_argument("folder", type=Path, help="what `make demo ARGS='--keep DIR'` left")
    house = House(parser.parse_args().folder.resolve())
    if not house.cloud.exists():
        print(f"{house.folder}: no demo was kept here (no {house.cloud.name})", file=sys.stderr)
        return 2
    try:
        with Processes(house.folder / "logs") as running:
            log = running.vitalgate("serve", "ingest", "serve", "--settings", str(house.cloud))
            console = enter(running, lambda: told_link(log))
            found, compared = judged(house, console)
            console.close()
    except (DemoError, httpx.HTTPError, OSError) as failure:
        print(f"reconcile: {failure}", file=sys.stderr)
        return 2
    except (ValueError, KeyError) as failure:
        told = f"{type(failure).__name__}: {failure}"
        print(f"reconcile: the ward's truth or an answer can't be read: {told}", file=sys.stderr)
        return 2
    return tell(found, compared)


if __name__ == "__main__":
    raise SystemExit(main())
