"""`vitalgate record`: patients, their devices, and readings that belong to nobody yet. Arguments in, tables and sentences out.

Works while the ingester runs. What needs a database is imported by the command that needs it.
"""

import getpass
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.model.observation import UTC_YEARS
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import StoreError

if TYPE_CHECKING:
    from cloud_ingest.stores.records.store import Records

WRONG_EXIT = 2  # an argument that can't be
STORE_EXIT = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
ALWAYS, NOW = "always", "now"
US = 1_000_000

record_app = typer.Typer(no_args_is_help=True, help="Patients, their devices, and their readings.")
patient_app = typer.Typer(no_args_is_help=True, help="Patients and the devices that they wear.")
reading_app = typer.Typer(no_args_is_help=True, help="Readings that belong to nobody yet.")
record_app.add_typer(patient_app, name="patient")
record_app.add_typer(reading_app, name="reading")

SettingsFile = Annotated[
    Path,
    typer.Option("--settings", help="The ingester's settings file (TOML).", show_default=False),
]
PatientId = Annotated[str, typer.Argument(help="Patient id, as `record patient list` shows it.")]
DeviceId = Annotated[str, typer.Argument(help="Device id, as `edge status` shows it.")]
Slot = Annotated[
    str | None, typer.Option("--slot", help="One user of a device that tells its users apart.")
]


@patient_app.command("add")
def add_command(
    settings: SettingsFile,
    name: Annotated[str, typer.Option("--name", help="As people call them.")],
    born: Annotated[str | None, typer.Option("--born", help="YYYY-MM-DD.")] = None,
    condition: Annotated[str, typer.Option("--condition", help="What is followed.")] = "",
) -> None:
    """Add a patient; prints the new id."""
    with opened(settings) as records:
        patient = records.add_patient(name, born, condition)
    _say(patient.id)


@patient_app.command("bind")
def bind_command(
    settings: SettingsFile,
    patient: PatientId,
    device: DeviceId,
    slot: Slot = None,
    since: Annotated[
        str, typer.Option("--from", help="ISO time (without a zone: local), `now` or `always`.")
    ] = NOW,
    until: Annotated[
        str | None, typer.Option("--to", help="ISO time; without it, until further notice.")
    ] = None,
) -> None:
    """From then on a device's readings are this patient's. Those that came before stay in the inbox."""
    with opened(settings) as records:
        start = None if since == ALWAYS else moment(since, "--from")
        end = None if until is None else moment(until, "--to")
        made = records.bind(patient, device, slot=slot, since=start, until=end)
        named = _named_by_a_box(records, device)
    _say(
        f"{device} is {patient}'s from {shown(made.binding.from_us, ALWAYS)}"
        f" to {shown(made.binding.to_us, 'further notice')}"
    )
    if made.waiting:
        _say(
            f"{made.waiting} readings of it came before and wait: see `vitalgate record reading unassigned`"
        )
    elif not named:
        _say("no box has named it yet: compare the id with `vitalgate edge status`")


def _named_by_a_box(records: "Records", device: str) -> bool:
    from cloud_ingest.stores.records.views import RecordsViews  # noqa: PLC0415 see the module's first lines

    boxes = RecordsViews(records.engine, records.thresholds).boxes()
    return any(one.device == device for box in boxes if box.status for one in box.status.devices)


@patient_app.command("unbind")
def unbind_command(
    settings: SettingsFile,
    patient: PatientId,
    device: DeviceId,
    slot: Slot = None,
    at: Annotated[str, typer.Option("--at", help="ISO time, or `now`.")] = NOW,
) -> None:
    """From then on a device's readings are not this patient's any more."""
    with opened(settings) as records:
        ended = records.unbind(patient, device, slot=slot, at=moment(at, "--at"))
    for binding in ended:
        _say(f"{device} was {patient}'s to {shown(binding.to_us, '')}")
    if at != NOW and moment(at, "--at") < moment(NOW, "--at"):
        _say(f"what it measured since then and has been filed already stays {patient}'s")


@patient_app.command("list")
def list_command(settings: SettingsFile) -> None:
    """Patients, and the devices that are or were theirs."""
    with opened(settings) as records:
        patients, bindings = records.patients(), records.bindings()
    rows: list[tuple[str, ...]] = []
    for patient in patients:
        theirs = [binding for binding in bindings if binding.patient == patient.id]
        devices = [b.device if b.slot is None else f"{b.device} user {b.slot}" for b in theirs]
        rows.append(
            (
                patient.id,
                patient.name,
                patient.born or "",
                patient.condition,
                "\n".join(devices),
                "\n".join(shown(binding.from_us, ALWAYS) for binding in theirs),
                "\n".join(shown(binding.to_us, "") for binding in theirs),
            )
        )
    heads = ("patient", "name", "born", "condition", "device", "from", "to")
    _table(heads, rows, "There are no patients yet.")


@reading_app.command("unassigned")
def unassigned_command(settings: SettingsFile) -> None:
    """Readings that no binding gives to a patient, newest first."""
    with opened(settings) as records:
        waiting = records.unassigned()
    rows = [
        (
            reading.key,
            reading.device,
            reading.kind,
            reading.shown,
            shown(reading.measured_us, "") if reading.time_known else "time unknown",
            reading.why,
        )
        for reading in waiting
    ]
    heads = ("reading", "device", "kind", "value", "measured", "why")
    _table(heads, rows, "No reading waits.")


@reading_app.command("assign")
def assign_command(
    settings: SettingsFile,
    key: Annotated[str, typer.Argument(help="As `record reading unassigned` shows it.")],
    patient: PatientId,
) -> None:
    """Give a reading to a patient: its time stays, and the patient's rules judge it."""
    with opened(settings) as records:
        news = records.assign(key, patient, this_user())
    alerts = sum(len(each.ids) for each in news if each.topic == "alert")
    _say(f"{key} is {patient}'s now" + (f"; {alerts} alerts stand on it" if alerts else ""))


@contextmanager
def opened(settings: Path) -> Generator["Records"]:
    """The records, while one command runs; what is wrong with its arguments or the store, as one sentence."""
    from cloud_ingest.rules.thresholds import default_thresholds  # noqa: PLC0415 see the module's first lines
    from cloud_ingest.settings import load  # noqa: PLC0415 the same
    from cloud_ingest.stores.records.store import Records  # noqa: PLC0415 the same

    told = load(settings)
    try:
        records = Records.open(
            told.records_path,
            told.tenant,
            SystemClock(),
            default_thresholds(),
            sole_ingester=False,
        )
        try:
            yield records
        finally:
            records.close()
    except UnicodeEncodeError as error:  # bytes of the command line that are no UTF-8
        _end(f"{error.object!r} is no text", WRONG_EXIT)
    except ValueError as error:
        _end(f"{error}", WRONG_EXIT)
    except StoreError as error:
        _end(f"{error}", STORE_EXIT)


def _end(why: str, code: int) -> None:
    typer.echo(f"vitalgate: {why}", err=True)
    raise typer.Exit(code) from None


def this_user() -> str:
    """Who runs the command: a number where this machine has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def moment(text: str, option: str) -> datetime:
    """A time that a person wrote. Raises ValueError, naming the option."""
    if text == NOW:
        return SystemClock().now()
    try:
        written = datetime.fromisoformat(text)
        # Without a zone it is what this machine's clock on the wall shows.
        told = written.astimezone(UTC)
        other = written.replace(fold=1).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{option} {text!r} is no time: write 2026-03-14T07:05, with +08:00 where another zone is meant"
        ) from None
    if written.tzinfo is None and other != told:
        here = told.astimezone().replace(tzinfo=None)
        how = "stood twice on" if here == written else "never stood on"
        raise ValueError(
            f"{option} {text!r} {how} this machine's wall, whose clock was changed then. Give a zone with it:"
            f" {told:%Y-%m-%dT%H:%M:%SZ} or {other:%Y-%m-%dT%H:%M:%SZ}"
        )
    if told.year not in UTC_YEARS:
        first, last = UTC_YEARS[0], UTC_YEARS[-1]
        raise ValueError(f"{option} {text!r}: year {told.year}; readings are of {first} to {last}")
    return told


def shown(at_us: int | None, without: str) -> str:
    """A moment on this machine's wall; `without` where there is none."""
    if at_us is None:
        return without
    at = datetime.fromtimestamp(at_us // US, UTC)
    # At the calendar's end some walls are beyond it. What stands there already is still to be told.
    here = at.astimezone() if at.year in UTC_YEARS else at
    return here.strftime("%Y-%m-%d %H:%M:%S %z")


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]], empty: str) -> None:
    from rich.console import Console  # noqa: PLC0415 see the module's first lines
    from rich.markup import escape  # noqa: PLC0415 the same
    from rich.table import Table  # noqa: PLC0415 the same

    if not rows:
        _say(empty)
        return
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=head in {"patient", "reading", "device"})
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    # A pipe has no width: nothing is cut there that a person would copy.
    wide = max(200, sum(max(len(row[at]) for row in rows) + 2 for at in range(len(heads))))
    Console(width=None if sys.stdout.isatty() else wide, highlight=False).print(table)


def _say(line: str) -> None:
    typer.echo(line)
