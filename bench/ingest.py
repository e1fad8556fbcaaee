"""What one reading costs in the ingester: the transaction by stages, and the points, each against a bare alternative."""

import gc
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from bench import bare, stock
from bench.figures import median, percentile, rate, spread, table
from bench.load import Letter, Post, batches
from bench.stages import ENDS, ORDER, STAGES, Stopwatch
from cloud_ingest.stores.records import claims
from cloud_ingest.stores.records import ingest as transaction
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery
from gateway.runtime.clock import Clock
from gateway.wire.topics import Branch, Up

ROUNDS = 3
REPEATS = "  of it: held keys read back"
WARM_UP = 5  # transactions
US = 1e6

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """So many readings a transaction, so many of them an envelope; readings a round."""

    transaction: int
    envelope: int
    readings: int

    @property
    def name(self) -> str:
        """`100/10`: a transaction of 100 readings in envelopes of 10."""
        return f"{self.transaction}/{self.envelope}"


SHAPES = (
    Shape(1, 1, 1_500),
    Shape(10, 10, 6_000),
    Shape(100, 100, 20_000),
    Shape(100, 1, 6_000),
    Shape(1_000, 100, 30_000),
)


@dataclass(frozen=True, slots=True)
class Took:
    """One round: µs a reading by the wall and by the processor, and each transaction's ms."""

    wall: float
    cpu: float
    each_ms: Sequence[float]


@dataclass(slots=True)
class Result:
    """All rounds of one shape."""

    shape: Shape
    ours: list[Took] = field(default_factory=list[Took])
    watched: list[Took] = field(default_factory=list[Took])
    bare: list[Took] = field(default_factory=list[Took])
    stages: list[dict[str, tuple[float, float]]] = field(
        default_factory=list[dict[str, tuple[float, float]]]
    )


def run(folder: Path, keys: int, console: Console) -> None:
    """Ingest into the store of a folder, and print. Leaves new readings in it."""
    clock = stock.BenchClock()
    post = Post(1, keys, clock.now())
    records = stock.open_records(folder, clock)
    with closing(records), closing(bare.connect(folder / stock.FILES[2])) as database:
        results: list[Result] = []
        for shape in SHAPES:
            with console.status(f"transactions {shape.name}"):
                results.append(_measure(shape, post, records, database, clock))
    _tell_whole(results, console)
    _tell_stages(results, console)


def _measure(
    shape: Shape,
    post: Post,
    records: Records,
    database: sqlite3.Connection,
    clock: Clock,
) -> Result:
    result, watch = Result(shape), Stopwatch()
    warm = post.letters(WARM_UP * shape.transaction, shape.envelope)
    _ingest(records, warm, shape, clock.now())
    bare.ingest(database, [letter.payload for letter in warm])
    for _ in range(ROUNDS):
        first, second = (post.letters(shape.readings, shape.envelope) for _ in range(2))
        result.ours.append(_ingest(records, first, shape, clock.now()))
        result.bare.append(_bare(database, first, shape))
        watch.clear()
        # Inside `keys`: what a key that is held already costs, since its first content is read back.
        repeats = watch.attached(claims, {REPEATS: ("_held",)})
        ends = watch.attached(transaction.Writer, ENDS)
        with watch.attached(transaction, STAGES), ends, repeats:
            result.watched.append(_ingest(records, second, shape, clock.now()))
        result.stages.append(
            {
                stage: (spent.wall * US / shape.readings, spent.cpu * US / shape.readings)
                for stage, spent in watch.spent.items()
            }
        )
        bare.ingest(database, [letter.payload for letter in second])
    return result


def _ingest(records: Records, letters: Sequence[Letter], shape: Shape, now: datetime) -> Took:
    work = [
        [
            Delivery(Branch(stock.TENANT, letter.agent).up(Up.OBSERVATIONS), letter.payload, now)
            for letter in batch
        ]
        for batch in batches(letters, shape.transaction)
    ]
    settled = 0

    def file(batch: Sequence[Delivery]) -> None:
        nonlocal settled
        for verdict in records.ingest(batch):
            assert verdict.receipt is not None
            assert not verdict.receipt.parked
            settled += verdict.readings + len(verdict.receipt.duplicates)

    took = _timed(work, file, len(letters) * shape.envelope)
    # What was not stored or known would make the time a lie.
    assert settled == len(letters) * shape.envelope, settled
    return took


def _bare(database: sqlite3.Connection, letters: Sequence[Letter], shape: Shape) -> Took:
    work = [[one.payload for one in batch] for batch in batches(letters, shape.transaction)]
    return _timed(work, lambda batch: bare.ingest(database, batch), len(letters) * shape.envelope)


def _timed(work: Sequence[T], do: Callable[[T], object], readings: int) -> Took:
    each_ms: list[float] = []
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for one in work:
        begun = time.perf_counter()
        do(one)
        each_ms.append((time.perf_counter() - begun) * 1_000)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Took(wall * US / readings, cpu * US / readings, each_ms)


def _tell_whole(results: Sequence[Result], console: Console) -> None:
    told = table(
        "Envelopes → records, one thread (Records.ingest), and the same into one bare table",
        "readings a transaction / an envelope",
        "readings/s",
        "wall µs",
        "CPU µs",
        "ms p50 / p99",
        "bare wall µs",
        "bare CPU µs",
        "ours : bare, wall",
        "CPU",
        note=f"a reading; medians of {ROUNDS} rounds that alternate, ratios with lowest and highest round. Bare: decode, "
        "INSERT OR IGNORE, commit (WAL, FULL): no rules, ledger, journal, receipts",
    )
    for one in results:
        each = [ms for took in one.ours for ms in took.each_ms]
        pairs = list(zip(one.ours, one.bare, strict=True))
        told.add_row(
            one.shape.name,
            rate(US / median(took.wall for took in one.ours)),
            f"{median(took.wall for took in one.ours):.1f}",
            f"{median(took.cpu for took in one.ours):.1f}",
            f"{percentile(each, 0.5):.2f} / {percentile(each, 0.99):.2f}",
            f"{median(took.wall for took in one.bare):.1f}",
            f"{median(took.cpu for took in one.bare):.1f}",
            spread([ours.wall / bare.wall for ours, bare in pairs]),
            spread([ours.cpu / bare.cpu for ours, bare in pairs]),
        )
    console.print(told)


def _tell_stages(results: Sequence[Result], console: Console) -> None:
    told = table(
        "Where the transaction's time goes: wall (CPU) µs a reading",
        "stage",
        *(one.shape.name for one in results),
        note="a stopwatch around the stages' own functions, in further rounds on other readings; `the rest` is the whole "
        "less the stages. The last row shows what the stopwatch itself costs, as far as the machine is quiet",
    )
    for stage in ORDER:
        told.add_row(stage, *(_cell(one, stage) for one in results))
        if stage == "keys":
            told.add_row(REPEATS, *(_cell(one, REPEATS) for one in results), style="dim")
    told.add_row("the rest", *(_rest(one) for one in results))
    told.add_section()
    told.add_row("the whole, with the stopwatch", *(_whole(one.watched) for one in results))
    told.add_row("the whole, without", *(_whole(one.ours) for one in results))
    told.add_row(
        "ratio of the two, CPU",
        *(
            f"{median(w.cpu for w in one.watched) / median(o.cpu for o in one.ours):.2f}"
            for one in results
        ),
    )
    console.print(told)


def _cell(one: Result, stage: str) -> str:
    walls, cpus = zip(*(split[stage] for split in one.stages), strict=True)
    return f"{median(walls):.1f} ({median(cpus):.1f})"


def _rest(one: Result) -> str:
    rests = [
        took.wall - sum(wall for stage, (wall, _) in split.items() if stage != REPEATS)
        for took, split in zip(one.watched, one.stages, strict=True)
    ]
    cpus = [
        took.cpu - sum(cpu for stage, (_, cpu) in split.items() if stage != REPEATS)
        for took, split in zip(one.watched, one.stages, strict=True)
    ]
    return f"{median(rests):.1f} ({median(cpus):.1f})"


def _whole(rounds: Sequence[Took]) -> str:
    return f"{median(took.wall for took in rounds):.1f} ({median(took.cpu for took in rounds):.1f})"
