"""From a cuff's last byte to the value in a real browser, and from a crossed limit to the row of the worklist. Starts processes.

All times are this machine's wall clock: the ward's `confirmed`, the agent's `accepted` (set before the fsync), what passes the broker, and the page.
"""

import random
import re
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from bench.figures import percentile, table
from bench.house import CUFFS, EVERY_S, PROBE, Site, wait
from bench.load import LIVE_EPOCH
from bench.mail import Mail
from demo.broker import BOX, CLOUD
from demo.house import TENANT
from demo.processes import Processes
from demo.truth import read
from gateway.model.observation import Observation
from gateway.wire.envelope import decode_envelope, encode_envelope
from gateway.wire.topics import Branch, Up

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLE_S = 5.0
PROBES = 50
PROBE_GAP_S = (0.5, 1.0)
READING_STEPS = (
    "cuff's record confirmed",
    "arrived at the box",
    "passes the broker",
    "receipt passes the broker",
    "event `reading` at the page",
    "event `series` at the page",
    "value on the person's card",
)
ALERT_STEPS = (
    "envelope sent",
    "receipt passes the broker",
    "event `alert` at the page",
    "row in the worklist",
)
_VALUE = re.compile(r"(\d+) / (\d+)")


@dataclass(slots=True)
class Heard:
    """What passed the broker: observations by key with their envelope, receipts by envelope; POSIX seconds."""

    seen: dict[str, tuple[Observation, str, float]] = field(
        default_factory=dict[str, tuple[Observation, str, float]]
    )
    receipts: dict[str, float] = field(default_factory=dict[str, float])

    def hear(self, topic: str, payload: bytes) -> None:
        """An envelope or a receipt."""
        now = time.time()
        if topic.endswith("/up/observations"):
            told = decode_envelope(payload)
            for seen in told.observations:
                if isinstance(seen, Observation):
                    self.seen.setdefault(seen.key, (seen, told.sha256, now))
        else:
            self.receipts.setdefault(msgspec.json.decode(payload)["envelope"], now)


def run(folder: Path, readings: int, kind: str, console: Console) -> None:
    """Follow so many readings, then PROBES alerts, and print."""
    heard = Heard()
    with Processes(folder / "logs") as running, sync_playwright() as playwright:
        with console.status("starting broker, cuffs, agent, ingester, browser"):
            site = Site(folder / "site", kind, PROBES, running)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            page.goto(site.link)
            page.wait_for_selector(".person")
            page.evaluate((Path(__file__).parent / "watch.js").read_text())
        with (
            _listen(site, CLOUD, heard, "up/observations"),
            _listen(site, BOX, heard, "down/receipts") as mail,
        ):
            with console.status(f"following about {readings} readings"):
                begun = time.time()
                wait(readings * EVERY_S / CUFFS + 2 * SETTLE_S, running)
                until = time.time() - SETTLE_S
            running.end("ward")
            with console.status(f"sending {PROBES} readings that cross a limit"):
                sent = _probe(site, mail, page)
        told = page.evaluate("window.benchSeen")
        version = browser.version
        browser.close()
        alerts = _alert_keys(site)
    _tell(
        f"Chromium {version}, {site.broker}", _readings(site, heard, told, (begun, until)), console
    )
    _tell_alerts(_alerts(heard, told, sent, alerts), console)


def _listen(site: Site, user: str, heard: Heard, leaf: str) -> Mail:
    """What that user may read of every box."""
    name = {BOX: "box", CLOUD: "cloud"}[user]
    password = site.house.folder / f"{name}.password"
    return Mail(site.port, user, password, heard.hear, f"vitalgate/v1/{TENANT}/+/{leaf}")


def _probe(site: Site, mail: Mail, page: Page) -> dict[str, float]:
    """Send the probes one by one at uneven times; key -> when it was sent."""
    sent: dict[str, float] = {}
    topic, dice = Branch(TENANT, PROBE).up(Up.OBSERVATIONS), random.Random(1)
    for number in range(PROBES):
        seen = site.probe(number)
        payload = encode_envelope(PROBE, LIVE_EPOCH, number + 1, [seen])
        sent[seen.key] = time.time()
        mail.send(topic, payload)
        page.wait_for_timeout(dice.uniform(*PROBE_GAP_S) * 1_000)
    page.wait_for_timeout(SETTLE_S * 1_000)
    return sent


def _readings(
    site: Site, heard: Heard, told: dict[str, Any], span: tuple[float, float]
) -> list[Sequence[float | None]]:
    """The moments of READING_STEPS of each reading that was confirmed within the span."""
    truth, ids = read(site.house.ward), site.ids()
    measured = {one.id: one for one in truth.measured}
    by_value = {
        (seen.device, *_digits(seen)): (seen, envelope, at)
        for seen, envelope, at in heard.seen.values()
    }
    moments: list[Sequence[float | None]] = []
    for name, confirmed in truth.confirmed.items():
        if not span[0] <= confirmed.timestamp() <= span[1]:
            continue
        one = measured[name]
        device = ids[one.serial]
        shown = tuple(one.parts[part][0] for part in ("systolic", "diastolic", "pulse_rate"))
        passed = by_value.get((device, *shown))
        if passed is None:
            moments.append((confirmed.timestamp(), *[None] * (len(READING_STEPS) - 1)))
            continue
        seen, envelope, at = passed
        came = _event(told, "reading", at, seen.key)
        moments.append(
            (
                confirmed.timestamp(),
                datetime.fromisoformat(seen.accepted).timestamp(),
                at,
                heard.receipts.get(envelope),
                came,
                _event(told, "series", came) if came else None,
                _card(told, site.wearers[device], shown, at),
            )
        )
    return moments


def _alerts(
    heard: Heard, told: dict[str, Any], sent: dict[str, float], alerts: dict[str, str]
) -> list[Sequence[float | None]]:
    rows = {row["alert"]: row["at"] / 1_000 for row in told["rows"]}
    moments: list[Sequence[float | None]] = []
    for key, at in sent.items():
        alert, passed = alerts.get(key, ""), heard.seen.get(key)
        receipt = heard.receipts.get(passed[1]) if passed else None
        moments.append((at, receipt, _event(told, "alert", at, alert), rows.get(alert)))
    return moments


def _alert_keys(site: Site) -> dict[str, str]:
    """Key of the reading -> alert, from the records."""
    with sqlite3.connect(site.house.folder / "cloud" / "records.sqlite") as database:
        return dict(database.execute("SELECT key, id FROM alerts").fetchall())


def _digits(seen: Observation) -> tuple[str, ...]:
    parts = (seen.parts.get(name) for name in ("systolic", "diastolic", "pulse_rate"))
    return tuple(part.value or "" if part else "" for part in parts)


def _event(told: dict[str, Any], topic: str, since: float, about: str = "") -> float | None:
    """The first event of a topic at or after a moment; with `about`, the first that names it."""
    for event in told["events"]:
        if event["topic"] != topic:
            continue
        if about in event["ids"] if about else event["at"] / 1_000 >= since:
            return event["at"] / 1_000
    return None


def _card(told: dict[str, Any], patient: str, shown: tuple[str, ...], since: float) -> float | None:
    for card in told["cards"]:
        value = _VALUE.search(card["value"])
        if (
            card["who"] == patient
            and value
            and value.groups() == shown[:2]
            and card["at"] / 1_000 >= since - 1
        ):
            return card["at"] / 1_000
    return None


def _tell(where: str, moments: Sequence[Sequence[float | None]], console: Console) -> None:
    _steps(
        f"A cuff's last byte → its value on the screen, {where}",
        READING_STEPS,
        moments,
        console,
        note=f"{CUFFS} virtual cuffs on the virtual radio, each measures every {EVERY_S} s",
    )


def _tell_alerts(moments: Sequence[Sequence[float | None]], console: Console) -> None:
    _steps(
        "A reading that crosses a limit → its row in the worklist (other boxes silent)",
        ALERT_STEPS,
        moments,
        console,
        note="single envelopes straight to the broker, 0.5 to 1 s apart; the receipt and the event go their ways side by side",
    )


def _steps(
    title: str,
    steps: Sequence[str],
    moments: Sequence[Sequence[float | None]],
    console: Console,
    *,
    note: str,
) -> None:
    whole = [one for one in moments if one[-1] is not None]
    answered = sum(one[-1] is None and None not in one[:-1] for one in moments)
    told = table(
        f"{title}: n = {len(whole)}",
        "until",
        "since the step before, p50 ms",
        "p99 ms",
        "since the start, p50 ms",
        "p99 ms",
        "longest ms",
        note=f"{note}. Not in it: {answered} that reached the page and were never drawn (the next one came first), "
        f"{len(moments) - len(whole) - answered} that did not get so far",
    )
    for place in range(1, len(steps)):
        step = _gaps(whole, place - 1, place)
        total = _gaps(whole, 0, place)
        cells = (*_pair(step), *_pair(total), max(total, default=0.0))
        told.add_row(steps[place], *(f"{cell:.0f}" for cell in cells))
    console.print(told)


def _gaps(moments: Iterable[Sequence[float | None]], start: int, end: int) -> list[float]:
    pairs = ((one[start], one[end]) for one in moments)
    return [(b - a) * 1_000 for a, b in pairs if a is not None and b is not None]


def _pair(times: Sequence[float]) -> tuple[float, float]:
    return (percentile(times, 0.5), percentile(times, 0.99)) if times else (0.0, 0.0)
