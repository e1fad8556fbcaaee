"""`make bench`: `python -m bench [ingest|screen|box|kit|all]`. Prints tables; sets no bar and fails only where the product does."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from bench import arrival, fifty, ingest, kit, peer, points, screen, stock
from bench.figures import tell_machine

KEYS = 1_000_000
READINGS = 60
WIDTH = 150


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("ingest", "screen", "box", "kit", "all"), default="all"
    )
    parser.add_argument("--keys", type=int, default=KEYS, help="readings that are stored already")
    parser.add_argument(
        "--readings", type=int, default=READINGS, help="that are followed to the screen"
    )
    parser.add_argument("--broker", choices=("auto", "mosquitto", "iotcore"), default="auto")
    asked = parser.parse_args()
    # An end from outside must take the processes and the copies with it.
    signal.signal(signal.SIGTERM, _end)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    tell_machine(console)
    stock.cache().mkdir(parents=True, exist_ok=True)
    # Beside the stock, so that it lies on a disk: many a /tmp is memory, where fsync costs nothing.
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=stock.cache()))
    try:
        if asked.what in {"ingest", "all"}:
            _ingest(folder, asked.keys, asked.broker, console)
        if asked.what in {"screen", "all"}:
            screen.run(folder / "screen", asked.readings, asked.broker, console)
        if asked.what in {"box", "all"}:
            fifty.run(folder / "box", console)
        if asked.what in {"kit", "all"}:
            kit.run(console)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ingest(folder: Path, keys: int, kind: str, console: Console) -> None:
    made = stock.ready(keys, console)
    # A copy each: boxes count from 1 in each part, and a number that comes with a second key takes another way.
    for name in ("filing", "arrival", "peer"):
        stock.copy(made, folder / name / "cloud")
    ingest.run(folder / "filing" / "cloud", keys, console)
    points.run(folder / "filing" / "cloud", console)
    arrival.run(folder / "arrival", keys, kind, console)
    peer.run(folder / "peer", keys, kind, console)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
