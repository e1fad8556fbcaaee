"""From MQTT to InfluxDB: `vitalgate ingest run` and Telegraf on the same readings, in turns. Starts and ends processes.

The ingester is also measured to its receipts alone: meanwhile the lock that lets one projection run at a time is held here.
"""

import fcntl
import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console

from bench import influx, telegraf
from bench.arrival import PATIENCE_S, READY_S, US, Receipts, listens, until
from bench.figures import median, rate, spread, table
from bench.load import Letter, Post
from bench.mail import Mail
from cloud_ingest.app import Stores, stores
from cloud_ingest.settings import load
from demo import broker
from demo.broker import BOX, CLOUD
from demo.house import TENANT, House
from demo.processes import Processes, free_port
from gateway.runtime.clock import SystemClock
from gateway.wire.topics import Branch, Up

ROUNDS = 3
SIZE, READINGS = 100, 30_000  # readings a message, a round
LOOKED_FOR = 18_000  # readings/s a core to the receipt, with a million keys stored
REPEATED_MAX = 0.1  # of the readings of a round: these make no new point
HELD, OURS = "vitalgate, to the receipt", "vitalgate, to the point"
PEER = f"{telegraf.VERSION}, to the point"
BROKER, INFLUX = "broker", "influx"
EMBEDDED = '[series]\nkind = "embedded"\n'


@dataclass(frozen=True, slots=True)
class Took:
    """One drain: seconds by the clock; CPU seconds of who took the messages, of the broker, of InfluxDB."""

    wall_s: float
    cpu_s: float
    broker_s: float
    influx_s: float


class Scene:
    """InfluxDB, broker, ingester and, where it is built, Telegraf."""

    def __init__(self, folder: Path, kind: str, running: Processes, closing: ExitStack) -> None:
        """Start everything on the stores in `folder`/cloud; both writers begin with an empty InfluxDB."""
        self.influx = influx.start(folder / INFLUX, running)
        closing.callback(self.influx.http.close)
        house, port = House(folder), free_port()
        one = broker.prepare(kind, folder / BROKER, port, house.passwords(), ("+", "+"))
        self.broker = one.name
        running.start(BROKER, one.command)
        running.until("the broker", lambda: listens(port), READY_S)
        self._held = closing.enter_context(self._start_ours(house, port, running))
        self.has_peer = self._start_peer(house, port, running)
        names = {OURS: "ingest", BROKER: BROKER} | ({PEER: "telegraf"} if self.has_peer else {})
        self._cpu = {who: psutil.Process(running.process(name).pid) for who, name in names.items()}
        self._cpu[INFLUX] = self.influx.process
        self._receipts = Receipts()
        heard = f"vitalgate/v1/{TENANT}/+/down/receipts"
        self._mail = Mail(port, BOX, folder / "box.password", self._receipts.hear, heard)
        closing.enter_context(self._mail)
        self._lock = folder / "cloud" / "projection.lock"
        until(self._projected, "the replay after the start")

    def to_receipts(self, letters: Sequence[Letter]) -> Took:
        """The ingester while nothing is projected; what waits is projected afterwards, outside of the time."""
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            took = self._drain(OURS, lambda: self._answer(letters))
        until(self._projected, "the projection")
        return took

    def to_points(self, letters: Sequence[Letter]) -> Took:
        """The ingester until InfluxDB has what it stored."""
        before = self.influx.stored()

        def both() -> None:
            self._answer(letters)
            until(self._projected, "the projection")

        took = self._drain(OURS, both)
        written, sent = self.influx.stored() - before, sum(one.readings for one in letters)
        assert written >= sent * (1 - REPEATED_MAX), (written, sent)
        return took

    def by_peer(self, letters: Sequence[Letter]) -> Took:
        """Telegraf until InfluxDB has written every reading."""
        arrays = [(letter.agent, telegraf.array(letter)) for letter in letters]
        wanted = self.influx.stored() + sum(letter.readings for letter in letters)

        def both() -> None:
            for agent, payload in arrays:
                self._mail.send(Branch(telegraf.TENANT, agent).up(Up.OBSERVATIONS), payload)
            until(lambda: self.influx.stored() >= wanted, PEER)

        return self._drain(PEER, both)

    @contextmanager
    def _start_ours(self, house: House, port: int, running: Processes) -> Generator[Stores]:
        house.write_cloud(port)
        text = house.cloud.read_text()
        assert EMBEDDED in text
        house.cloud.write_text(text.replace(EMBEDDED, self.influx.settings()))
        settings = load(house.cloud)
        with stores(settings, str(house.cloud), SystemClock(), sole_ingester=False) as held:
            # The stored year does not go into the empty InfluxDB first: Telegraf has no such past either.
            held.tail.mark()
            held.tail.done(held.tail.last(), repointed=(), unwritten=(), written=())
            log = running.vitalgate("ingest", "ingest", "run", "--settings", str(house.cloud))
            running.until("the ingester", lambda: "broker.connected" in log.read_text(), READY_S)
            yield held

    def _start_peer(self, house: House, port: int, running: Processes) -> bool:
        binary = telegraf.binary()
        if binary is None:
            return False
        path, password = house.folder / "telegraf.conf", house.passwords().cloud
        telegraf.settings(path, port, CLOUD, password, self.influx.target)
        # Its own words when it has subscribed; nothing of a message is told at this level.
        log = running.start("telegraf", (str(binary), "--config", str(path)))
        running.until("Telegraf", lambda: "Connected [tcp" in log.read_text(), READY_S)
        return True

    def _drain(self, who: str, do: Callable[[], None]) -> Took:
        names = (who, BROKER, INFLUX)
        before = [self._spent(name) for name in names]
        begun = time.perf_counter()
        do()
        wall = time.perf_counter() - begun
        spent = [self._spent(name) - was for name, was in zip(names, before, strict=True)]
        return Took(wall, *spent)

    def _answer(self, letters: Sequence[Letter]) -> None:
        names: list[tuple[str, str]] = []
        for letter in letters:
            if not self._receipts.room.acquire(timeout=PATIENCE_S):
                raise TimeoutError(f"no receipt for {PATIENCE_S} s")
            self._mail.send(Branch(TENANT, letter.agent).up(Up.OBSERVATIONS), letter.payload)
            names.append((TENANT, hashlib.sha256(letter.payload).hexdigest()))
        until(lambda: all(name in self._receipts.at for name in names), "all receipts")

    def _projected(self) -> bool:
        return self._held.tail.behind().readings == 0

    def _spent(self, who: str) -> float:
        spent = self._cpu[who].cpu_times()
        return spent.user + spent.system


def run(folder: Path, keys: int, kind: str, console: Console) -> None:
    """Drain each in turns, and print."""
    if not influx.built():
        console.print(f"MQTT → InfluxDB: {influx.NOT_BUILT}\n")
        return
    post = Post(3, keys, datetime.now(UTC))
    took: dict[str, list[Took]] = {}
    sent: set[str] = set()
    with Processes(folder / "logs") as running, ExitStack() as closing:
        scene = Scene(folder, kind, running, closing)
        # One round more, the first, so that InfluxDB has met every device: it is not counted.
        for number in range(ROUNDS + 1):
            alone, both = (post.letters(READINGS, SIZE) for _ in range(2))
            with console.status(f"MQTT → InfluxDB, round {number} of {ROUNDS}"):
                now = {HELD: scene.to_receipts(alone), OURS: scene.to_points(both)}
                if scene.has_peer:
                    now[PEER] = scene.by_peer(both)
            sent |= {seen.key for one in both for seen in telegraf.observations(one)}
            for who, one in now.items() if number else ():
                took.setdefault(who, []).append(one)
        there = scene.influx.count(telegraf.PREFIX)
    _tell(scene.broker, keys, took, console)
    if PEER in took:
        console.print(
            f"{telegraf.VERSION} was sent {len(sent):,} readings; {there:,} points hold them\n"
        )


def _tell(name: str, keys: int, took: Mapping[str, Sequence[Took]], console: Console) -> None:
    told = table(
        f"MQTT → InfluxDB 2.7 through {name}, QoS 1, {SIZE} readings a message, {keys:,} keys stored",
        *("", "readings/s", "its CPU µs", "readings/s a core", "broker's CPU µs", "InfluxDB's CPU µs"),
        "CPU: vitalgate to the point : this",
        note=f"a reading; medians of {ROUNDS} rounds that alternate, on the same readings. Looked for: {rate(LOOKED_FOR)}/s a core "
        "to the receipt with 1,000,000 keys stored (projection held back; console and status run). Telegraf is sent plain JSON "
        "arrays of key, device, kind, time and numbers, uncompressed: it judges nothing, knows no duplicate, keeps no record",
    )  # fmt: skip
    for who, rounds in took.items():
        ratios = [ours.cpu_s / one.cpu_s for ours, one in zip(took[OURS], rounds, strict=True)]
        cpu_s = median(one.cpu_s for one in rounds)
        told.add_row(
            who,
            rate(READINGS / median(one.wall_s for one in rounds)),
            f"{cpu_s * US / READINGS:.1f}",
            rate(READINGS / cpu_s),
            f"{median(one.broker_s for one in rounds) * US / READINGS:.1f}",
            f"{median(one.influx_s for one in rounds) * US / READINGS:.1f}",
            "" if who == OURS else spread(ratios),
        )
    if PEER not in took:
        told.add_row(PEER, telegraf.NOT_BUILT)
    console.print(told)
