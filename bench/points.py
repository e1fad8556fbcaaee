"""What a point costs: journal to the embedded series by the real projection, and a line of bytes against the client's Point."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from influxdb_client.client.write.point import Point as ClientPoint
from influxdb_client.domain.write_precision import WritePrecision
from rich.console import Console

from bench import stock
from bench.figures import median, rate, spread, table
from bench.stages import Stopwatch
from cloud_ingest import projection as projecting
from cloud_ingest.projection import Projection
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.line import encode, refusal
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.series import Point, RefusedPoint

ROUNDS = 3
LINES = 5_000
US = 1e6
READ, RENDER, WRITE, NOTE = "read the journal", "render", "write the series", "move the mark"


class _Timed:
    """The tail and the series of one projection, timed; keeps the largest batch of points that was written."""

    def __init__(self, tail: Tail, series: EmbeddedSeries, watch: Stopwatch) -> None:
        self.points: Sequence[Point] = ()
        self.written = 0
        self._write = series.write
        tail.take = watch.timed(READ, tail.take)
        tail.done = watch.timed(NOTE, tail.done)
        series.write = watch.timed(WRITE, self._keep)

    def _keep(self, points: Sequence[Point]) -> Sequence[RefusedPoint]:
        self.points, self.written = max(self.points, points, key=len), self.written + len(points)
        return self._write(points)


def run(folder: Path, console: Console) -> None:
    """Project what the ingest benchmark left in a folder's records, and print."""
    clock, watch = stock.BenchClock(), Stopwatch({})
    records, series = stock.open_records(folder, clock), EmbeddedSeries(folder / stock.FILES[1])
    with closing(records), closing(series):
        tail = Tail(records.engine, "embedded", clock)
        waiting = tail.behind().readings
        projection = Projection(tail, series, folder / "projection.lock", clock)
        timed = _Timed(tail, series, watch)
        wall, cpu = time.perf_counter(), time.process_time()
        with watch.attached(projecting, {RENDER: ("_render",)}):
            while projection.once():
                pass
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    _tell_projection(timed.written, wall, cpu, watch, console)
    assert timed.written >= waiting * 0.9, (timed.written, waiting)  # some were duplicates
    _tell_lines(timed.points[:LINES], console)


def _tell_projection(
    points: int, wall: float, cpu: float, watch: Stopwatch, console: Console
) -> None:
    told = table(
        f"Journal → embedded series, {points:,} points in batches of about 5,000, one run",
        "stage",
        "wall µs",
        "CPU µs",
        note="a point, with a replay of the last rows as after each start",
    )
    for stage in (READ, RENDER, WRITE, NOTE):
        spent = watch.spent[stage]
        told.add_row(stage, f"{spent.wall * US / points:.1f}", f"{spent.cpu * US / points:.1f}")
    told.add_section()
    told.add_row(
        f"the whole: {rate(points / wall)}/s",
        f"{wall * US / points:.1f}",
        f"{cpu * US / points:.1f}",
    )
    console.print(told)


def _tell_lines(points: Sequence[Point], console: Console) -> None:
    ways: dict[str, Callable[[Point], object]] = {
        "line.encode: bytes": encode,
        "line.refusal, then line.encode (what a write does)": lambda p: (refusal(p), encode(p)),
        "influxdb-client Point, to_line_protocol": _by_client,
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, do in ways.items():
            begun = time.process_time()
            for point in points:
                do(point)
            took[way].append((time.process_time() - begun) * US / len(points))
    *_, client = took.values()
    told = table(
        f"One point → one line, {len(points):,} points of two kinds",
        "way",
        "CPU µs",
        "client's Point : this",
        note=f"medians of {ROUNDS} alternating rounds; ratios with lowest and highest round",
    )
    for way, times in took.items():
        ratios = [theirs / ours for theirs, ours in zip(client, times, strict=True)]
        told.add_row(way, f"{median(times):.2f}", spread(ratios))
    console.print(told)


def _by_client(point: Point) -> str:
    made = ClientPoint(point.kind).tag("device", point.device).tag("subject", point.subject)
    for name, value in point.fields.items():
        made.field(name, value)
    return made.time(point.time_us, WritePrecision.US).to_line_protocol()
