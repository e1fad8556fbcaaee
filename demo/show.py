"""What the demo shows while it runs: a live table on a terminal, a line when something changes elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console as Terminal
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.truth import Truth

SEVERITY = {"high": "bold red", "medium": "yellow", "low": "blue", "info": "dim"}
STATES = {"live": "pages", "late": "late finding"}
REFRESHES_S = 4


class Screen:
    """The demo's face; on a pipe it prints a line instead of a table."""

    def __init__(self, terminal: Terminal) -> None:
        """Draw on this terminal."""
        self.terminal = terminal
        self._live = Live(console=terminal, refresh_per_second=REFRESHES_S, transient=False)
        self._told = ""

    def start(self) -> None:
        """Begin to draw."""
        if self.terminal.is_terminal:
            self._live.start()

    def stop(self) -> None:
        """Leave the last picture standing."""
        if self.terminal.is_terminal:
            self._live.stop()

    def update(
        self, truth: Truth, names: Mapping[str, str], readings: Sequence[Any], alerts: Sequence[Any]
    ) -> None:
        """Show the state of things. `names`: device id -> serial number."""
        stored = Counter(names.get(reading["device"], "?") for reading in readings)
        if self.terminal.is_terminal:
            self._live.update(Group(_devices(truth, stored), _alerts(alerts)))
            return
        line = f"measured {len(truth.measured)}, stored {len(readings)}, alerts {len(alerts)}"
        if line != self._told:
            self.terminal.print(line)
            self._told = line


def _devices(truth: Truth, stored: Counter[str]) -> Table:
    table = Table(title="devices", title_justify="left", expand=False)
    for heading in ("serial number", "profile", "link", "measured", "stored"):
        table.add_column(heading, justify="right" if heading in {"measured", "stored"} else "left")
    measured = Counter(one.serial for one in truth.measured)
    for device in truth.devices:
        count, there = measured[device.serial], stored[device.serial]
        style = "green" if count == there else "yellow"
        table.add_row(
            device.serial, device.profile, device.link, str(count), Text(str(there), style=style)
        )
    return table


def _alerts(alerts: Sequence[Any]) -> Table:
    table = Table(title="alerts", title_justify="left", expand=False)
    for heading in ("severity", "condition", "value", "how", "patient"):
        table.add_column(heading)
    for alert in alerts:
        severity = str(alert["severity"])
        table.add_row(
            Text(severity, style=SEVERITY.get(severity, "")),
            str(alert["condition"]),
            str(alert["shown"]),
            STATES.get(str(alert["how"]), str(alert["how"])),
            str(alert["patient"]),
        )
    return table
