"""`vitalgate ingest` and `vitalgate record`: arguments in, sentences and exit codes out. Builds nothing but clocks.

What needs a database or a web server is imported by the command that needs it: `vitalgate edge` loads this file too.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cloud_ingest import void_cli  # its command joins `record_app`
from cloud_ingest.record_cli import record_app
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, StoreError

__all__ = ["ingest_app", "record_app", "void_cli"]

STORE_EXIT = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
WAIT_S = 0.2
REFUSED_TOLD = 20  # in `status`; the API names them all

ingest_app = typer.Typer(
    no_args_is_help=True,
    help="The cloud side: takes readings from the broker, judges them, keeps them, shows them.",
)

SettingsFile = Annotated[
    Path,
    typer.Option("--settings", help="The ingester's settings file (TOML).", show_default=False),
]


@ingest_app.command("run")
def run_command(settings: SettingsFile) -> None:
    """Take readings from the broker and serve the console, until a signal (SIGTERM, Ctrl-C)."""
    import asyncio  # noqa: PLC0415 see the module's first lines

    from cloud_ingest.app import run  # noqa: PLC0415 the same
    from cloud_ingest.settings import load  # noqa: PLC0415 the same

    _log_here()
    with _sentences():
        asyncio.run(run(load(settings), str(settings), SystemClock(), _say))


@ingest_app.command("serve")
def serve_command(settings: SettingsFile) -> None:
    """Serve the console over what is kept, without a broker. Changes nothing by itself."""
    import asyncio  # noqa: PLC0415 see the module's first lines

    from cloud_ingest.app import show  # noqa: PLC0415 the same
    from cloud_ingest.settings import load  # noqa: PLC0415 the same

    _log_here()
    with _sentences():
        asyncio.run(show(load(settings), str(settings), SystemClock(), _say))


@ingest_app.command("link")
def link_command(settings: SettingsFile) -> None:
    """Print a link that lets one browser into the running console, once."""
    from cloud_ingest.app import open_records, running  # noqa: PLC0415 see the module's first lines
    from cloud_ingest.console.access import new_link  # noqa: PLC0415 the same
    from cloud_ingest.settings import load  # noqa: PLC0415 the same

    with _sentences():
        told = load(settings)
        alive = running(told)
        if not alive and told.console.port == 0:
            raise ConfigError(
                str(settings),
                "console.port",
                "it is 0, and no ingester runs here whose port could be asked for",
                "the port of the console, or start `vitalgate ingest run` first",
            )
        with open_records(told, SystemClock(), sole_ingester=False) as records:
            host = alive.console_host if alive else told.console.host
            port = alive.console_port if alive else told.console.port
            _say(f"console: {new_link(records, SystemClock(), host, port)}")


@ingest_app.command("rebuild")
def rebuild_command(settings: SettingsFile) -> None:
    """Empty the time series and write it anew from the journal, to the same points.

    May be stopped and run again; an ingester that runs meanwhile takes its part in it.
    """
    import time  # noqa: PLC0415 see the module's first lines

    from cloud_ingest.app import stores  # noqa: PLC0415 the same
    from cloud_ingest.projection import rebuild  # noqa: PLC0415 the same
    from cloud_ingest.settings import load  # noqa: PLC0415 the same

    clock = SystemClock()
    with (
        _sentences(),
        stores(load(settings), str(settings), clock, sole_ingester=False) as held,
    ):
        _say(f"rebuilding {held.series.name} from the journal")
        rebuild(held.projection(clock), held.tail, lambda: time.sleep(WAIT_S), _tell_progress)
        behind = held.tail.unwritten()
        _say(f"done; the series refuses {behind} readings" if behind else "done")


@ingest_app.command("status")
def status_command(
    settings: SettingsFile,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """What runs here, how far the time series lags, what it refused in whose words, and how much is kept."""
    import msgspec  # noqa: PLC0415 see the module's first lines

    from cloud_ingest.app import open_records, running  # noqa: PLC0415 the same
    from cloud_ingest.settings import load  # noqa: PLC0415 the same
    from cloud_ingest.stores.records.projection import refusals  # noqa: PLC0415 the same
    from cloud_ingest.stores.records.setaside import UNJUDGED  # noqa: PLC0415 the same

    with _sentences():
        told = load(settings)
        alive = running(told)
        with open_records(told, SystemClock(), sole_ingester=False) as records:
            counts = records.counts()
            refused = refusals(records.engine, REFUSED_TOLD)
    if as_json:
        document = {"running": alive, "counts": counts, "refused": refused}
        _say(msgspec.json.encode(document).decode())
        return
    if alive is None:
        _say("ingester: not running")
    else:
        _say(
            f"ingester: process {alive.pid}, as of {alive.at}, console on port {alive.console_port}"
        )
        _say(f"broker:   {alive.broker}, {alive.trouble or 'connected'}; {alive.waiting} waiting")
        _say(
            f"series:   {alive.series}, {alive.series_trouble or 'well'}; {alive.series_behind} readings and "
            f"{alive.series_lag_s:.1f} s behind; {alive.series_refused} refused"
        )
    for name, count in sorted(counts.items()):
        _say(f"{name + ':':<16}{count}")
    if waiting := counts[UNJUDGED]:
        _say(
            f"NOT JUDGED: {waiting} readings. They are stored; what the rules remember of their subjects can't be read, and is"
            " made anew while the ingester runs. Look at them in the console: no rule has."
        )
    for one in refused:
        _say(f"not in the series: {one.key}: {one.why}")
    if refused:
        _say("once the cause is mended, `vitalgate ingest rebuild` writes them")


@contextmanager
def _sentences() -> Generator[None]:
    try:
        yield
    except StoreError as error:
        print(f"vitalgate: {error}", file=sys.stderr)
        raise typer.Exit(STORE_EXIT) from None


def _log_here() -> None:
    from gateway.runtime import log  # noqa: PLC0415

    log.configure(json=not sys.stderr.isatty())


def _tell_progress(done: int, last: int) -> None:
    share = 100 if last == 0 else done * 100 // last
    _say(f"{share:3d} %  journal row {done} of {last}")


def _say(line: str) -> None:
    print(line, flush=True)
