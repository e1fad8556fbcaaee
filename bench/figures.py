"""Numbers for a table: medians, percentiles, and what ran where. Measures nothing itself."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

THOUSAND = 1_000
PACKAGES = ("vitalgate", "msgspec", "SQLAlchemy", "paho-mqtt", "influxdb-client", "playwright")


def percentile(values: Iterable[float], part: float) -> float:
    """The smallest value that `part` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered) + 0.5) - 1))]


def median(values: Iterable[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    """`median (lowest to highest)`."""
    told = (median(values), min(values), max(values))
    return "{} ({} to {})".format(*(form.format(value) for value in told))


def rate(per_second: float) -> str:
    """`36.2 k` or `880`."""
    return f"{per_second / THOUSAND:.1f} k" if per_second >= THOUSAND else f"{per_second:.0f}"


def table(title: str, *columns: str, note: str = "") -> Table:
    """A table whose first column is words and the rest numbers; `note` stands below it."""
    made = Table(title=title, title_justify="left", title_style="bold", caption=note or None)
    made.caption_justify = "left"
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place else "left")
    return made


def tell_machine(console: Console) -> None:
    """Cores, processor, memory, versions, and how busy the machine is already."""
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {os.cpu_count()} cores, {_processor()}, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB · {platform.system()} {platform.release()}"
    )
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    console.print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"
    )
    busy = os.getloadavg()[0]
    console.print(
        f"load before the start: {busy:.1f}"
        + (" · the machine is shared: trust the ratios, not the rates" if busy > 0.5 else "")  # noqa: PLR2004 half a core
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
