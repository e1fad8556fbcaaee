"""`vitalgate edge`: run the agent, pair a device, look at how it stands. Options and printing; no logic of its own."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.interview_cli import interview
from edge.nearby_cli import nearby
from edge.outbox.status import read_status
from edge.pair_cli import pair
from edge.read_cli import read
from edge.running import OUTBOX_FILE
from edge.running import read as read_note
from edge.settings import load
from edge.status import DeviceLine, Standing, StatusDocument, document
from gateway.runtime import log
from gateway.runtime.clock import SystemClock, from_iso
from gateway.runtime.errors import StoreError

TEMPFAIL_EXIT = 75  # EX_TEMPFAIL of sysexits.h: a later try may succeed

app = typer.Typer(no_args_is_help=True, help="The agent on an edge box: run it, see how it stands.")
SettingsFile = Annotated[
    Path, typer.Option("--settings", help="the box's settings file (TOML)", dir_okay=False)
]

app.command()(pair)
app.command()(nearby)
app.command()(read)
app.command()(interview)


@app.command()
def run(
    settings: SettingsFile,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="logs as JSON lines")] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="a folder for a capture of each visit", file_okay=False),
    ] = None,
) -> None:
    """Read the enrolled devices and carry their readings to the cloud, until SIGTERM."""
    from edge.agent import run_until_told  # noqa: PLC0415 `status` needs no radio and no MQTT

    log.configure(json=json_logs)
    told = load(settings)
    try:
        asyncio.run(run_until_told(told, settings, SystemClock(), record))
    except StoreError as fault:
        print(f"vitalgate: {fault}", file=sys.stderr)
        raise typer.Exit(TEMPFAIL_EXIT) from None


@app.command()
def status(
    settings: SettingsFile,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say how the box stands: devices, outbox, receipts, broker; and in a sentence what is wrong, if something is."""
    told = load(settings)
    now = SystemClock().now()
    try:
        outbox = read_status(told.data_dir / OUTBOX_FILE)
    except StoreError as fault:
        print(f"vitalgate: {fault}", file=sys.stderr)
        raise typer.Exit(TEMPFAIL_EXIT) from None
    found = document(Standing(told, outbox, read_note(told.data_dir), now))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show(found, now, Console())


def _show(found: StatusDocument, now: datetime, console: Console) -> None:
    console.print(f"[bold]{found['agent']}[/] of {found['tenant']}: {_state(found)}")
    if found["devices"]:
        console.print(_devices(found["devices"], now))
    console.print(_figures(found, now))
    for sentence in found["words"]:
        console.print("[bold red]![/]", escape(sentence), highlight=False, soft_wrap=True)
    if not found["words"]:
        console.print("[green]All is well.[/]")


def _state(found: StatusDocument) -> str:
    if not found["running"]:
        return "[red]not running[/]"
    return "[green]broker connected[/]" if found["connected"] else "[red]broker away[/]"


def _devices(devices: Sequence[DeviceLine], now: datetime) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for title in ("Device", "Serial number", "Profile", "Place"):
        table.add_column(title, overflow="fold")
    table.add_column("Readings", justify="right")
    for title in ("Last heard", "Last reading", "Battery", "State"):
        table.add_column(title)
    for line in devices:
        table.add_row(
            line["device"] or "[dim]not visited yet[/]",
            escape(line["serial"] or "-"),
            line["profile"],
            escape(line["place"]),
            str(line["readings"]),
            _ago(line["last_heard"], now),
            _ago(line["last_reading"], now),
            "-" if line["battery"] is None else f"{line['battery']} %",
            "[red]trouble[/]" if line["trouble"] else "[green]well[/]",
        )
    return table


def _figures(found: StatusDocument, now: datetime) -> str:
    window, turn = found["window_ms"], found["turn_ms"]
    figures = [
        f"Outbox: {found['pending']} wait for a receipt"
        + (f", the oldest from {_ago(found['oldest_pending'], now)}" if found["pending"] else ""),
        f"numbered so far: {found['issued']} (epoch {found['epoch']})",
        f"last receipt: {_ago(found['last_receipt'], now)}",
        f"arrival to disk: p50 {window['p50']} ms, p99 {window['p99']} ms, most {window['max']} ms of {window['count']:g}",
        f"a turn of the loop comes late by: p99 {turn['p99']} ms, most {turn['max']} ms",
    ]
    return "\n".join(figures)


def _ago(moment: str | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = max(0, int((now - from_iso(moment)).total_seconds()))
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {name} ago"
    return f"{seconds} s ago"
