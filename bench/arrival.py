"""From MQTT to the receipt, end to end: a real broker, `vitalgate ingest run`, and a bare subscriber beside it. Starts and ends processes."""

import hashlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from rich.console import Console

from bench import bare, stock
from bench.figures import median, percentile, rate, spread, table
from bench.load import Letter, Post
from bench.mail import WINDOW, Mail
from demo import broker
from demo.broker import BOX, CLOUD
from demo.house import TENANT, House
from demo.processes import Processes, free_port
from gateway.wire.topics import Branch, Up

ROUNDS = 3
SIZES = {1: 2_000, 10: 8_000, 100: 30_000}  # readings an envelope: readings a round
PACED, PACE_S = 100, 0.03  # single readings, one after the other, a round
READY_S, PATIENCE_S = 60.0, 120.0
US = 1e6
OURS, BARE = "vitalgate ingest run", "bare subscriber"
TENANTS = {OURS: TENANT, BARE: bare.TENANT}


class _Told(msgspec.Struct):
    envelope: str


@dataclass(frozen=True, slots=True)
class Took:
    """One drain: seconds from the first envelope sent to the last receipt; CPU seconds of subscriber and broker."""

    wall_s: float
    cpu_s: float
    broker_s: float


@dataclass(slots=True)
class Receipts:
    """When each (tenant, envelope) was answered, by the monotonic clock; at most WINDOW are under way."""

    at: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    room: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(WINDOW))

    def hear(self, topic: str, payload: bytes) -> None:
        """A receipt came, for an envelope that both tenants may have been sent."""
        now = time.perf_counter()
        name = (topic.split("/")[2], msgspec.json.decode(payload, type=_Told).envelope)
        if name not in self.at:
            self.at[name] = now
            self.room.release()


class Scene:
    """Broker, ingester and bare subscriber as processes, and one connection for all boxes."""

    def __init__(self, folder: Path, kind: str, running: Processes) -> None:
        """Start everything on the stores in `folder`/cloud."""
        house = House(folder)
        port, passwords = free_port(), house.passwords()
        # All tenants and boxes: the load comes over one connection.
        one = broker.prepare(kind, folder / "broker", port, passwords, ("+", "+"))
        self.broker = one.name
        running.start("broker", one.command)
        running.until("the broker", lambda: listens(port), READY_S)
        house.write_cloud(port)
        log = running.vitalgate("ingest", "ingest", "run", "--settings", str(house.cloud))
        running.until("the ingester", lambda: "broker.connected" in log.read_text(), READY_S)
        words = (
            str(port),
            CLOUD,
            str(folder / "cloud.password"),
            str(folder / "cloud" / stock.FILES[2]),
        )
        log = running.start("bare", (sys.executable, "-m", "bench.bare", *words))
        running.until("the bare subscriber", lambda: "ready" in log.read_text(), READY_S)
        self._cpu = {OURS: _child("run"), BARE: _child("bench.bare"), "broker": _child("broker")}
        self._status = folder / "cloud" / "ingest.status.json"
        self.receipts = Receipts()
        filters = [f"vitalgate/v1/{tenant}/+/down/receipts" for tenant in TENANTS.values()]
        self.mail = Mail(port, BOX, folder / "box.password", self.receipts.hear, *filters)

    def drain(self, who: str, letters: Sequence[Letter]) -> Took:
        """Send everything as fast as receipts come."""
        spent, served = self._spent(who), self._spent("broker")
        begun = time.perf_counter()
        names = [self._send(who, letter) for letter in letters]
        self._await(names)
        wall = max(self.receipts.at[name] for name in names) - begun
        if who == OURS:
            until(self._projected, "the projection")
        return Took(wall, self._spent(who) - spent, self._spent("broker") - served)

    def pace(self, who: str, letters: Sequence[Letter]) -> list[float]:
        """Send one at a time; ms from sending to the receipt."""
        sent: dict[tuple[str, str], float] = {}
        for letter in letters:
            now = time.perf_counter()
            sent[self._send(who, letter)] = now
            time.sleep(PACE_S)
        self._await(list(sent))
        return [(self.receipts.at[name] - at) * 1_000 for name, at in sent.items()]

    def _send(self, who: str, letter: Letter) -> tuple[str, str]:
        if not self.receipts.room.acquire(timeout=PATIENCE_S):
            raise TimeoutError(f"{who}: no receipt for {PATIENCE_S} s")
        tenant = TENANTS[who]
        self.mail.send(Branch(tenant, letter.agent).up(Up.OBSERVATIONS), letter.payload)
        return tenant, hashlib.sha256(letter.payload).hexdigest()

    def _await(self, names: Sequence[tuple[str, str]]) -> None:
        until(lambda: all(name in self.receipts.at for name in names), "all receipts")

    def _spent(self, who: str) -> float:
        spent = self._cpu[who].cpu_times()
        return spent.user + spent.system

    def _projected(self) -> bool:
        told = json.loads(self._status.read_text())
        age_s = time.time() - self._status.stat().st_mtime
        return told["series_behind"] == 0 and age_s < 1.0


def run(folder: Path, keys: int, kind: str, console: Console) -> None:
    """Drain and pace both subscribers, and print."""
    post = Post(2, keys, datetime.now(UTC))
    drains: dict[tuple[str, int], list[Took]] = {}
    paced: dict[str, list[float]] = {OURS: [], BARE: []}
    with Processes(folder / "logs") as running:
        scene = Scene(folder, kind, running)
        with scene.mail:
            for _ in range(ROUNDS):
                for who in (OURS, BARE):
                    paced[who] += scene.pace(who, post.letters(PACED, 1))
                for size, readings in SIZES.items():
                    letters = post.letters(readings, size)
                    for who in (OURS, BARE):
                        with console.status(f"{who}, {size} readings an envelope"):
                            took = scene.drain(who, letters)
                        drains.setdefault((who, size), []).append(took)
    _tell(scene.broker, drains, paced, console)


def _tell(
    name: str,
    drains: dict[tuple[str, int], list[Took]],
    paced: dict[str, list[float]],
    console: Console,
) -> None:
    told = table(
        f"MQTT → receipt through {name}, QoS 1: drain with at most {WINDOW} envelopes unanswered",
        "readings an envelope",
        "subscriber",
        "readings/s",
        "its CPU µs",
        "broker's CPU µs",
        "ours : bare, wall",
        "CPU",
        note=f"a reading; medians of {ROUNDS} rounds that alternate. The ingester's CPU includes its projection, console and "
        "status; the sender runs on the same cores",
    )
    for size, readings in SIZES.items():
        pairs = list(zip(drains[OURS, size], drains[BARE, size], strict=True))
        for who in (OURS, BARE):
            rounds = drains[who, size]
            ratios = (
                spread([ours.wall_s / other.wall_s for ours, other in pairs]),
                spread([ours.cpu_s / other.cpu_s for ours, other in pairs]),
            )
            told.add_row(
                f"{size}",
                who,
                rate(readings / median(took.wall_s for took in rounds)),
                f"{median(took.cpu_s for took in rounds) * US / readings:.0f}",
                f"{median(took.broker_s for took in rounds) * US / readings:.1f}",
                *(ratios if who == OURS else ("", "")),
            )
    console.print(told)
    pace = table(
        f"One reading at a time, every {PACE_S * 1000:.0f} ms: envelope sent → receipt heard",
        "subscriber", "n", "p50 ms", "p99 ms", "longest ms",
    )  # fmt: skip
    for who, times in paced.items():
        cells = (percentile(times, 0.5), percentile(times, 0.99), max(times))
        pace.add_row(who, f"{len(times)}", *(f"{cell:.1f}" for cell in cells))
    console.print(pace)


def _child(word: str) -> psutil.Process:
    for child in psutil.Process().children():
        if any(word == part or f"/{word}/" in part for part in child.cmdline()):
            return child
    raise LookupError(f"no child process with {word!r}")


def listens(port: int) -> bool:
    """Whether something accepts connections on that port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(seen: Callable[[], bool], what: str) -> None:
    """Look until it is so. Raises TimeoutError after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(0.05)
