"""`vitalgate record void`: takes the readings of a faulty firmware out, once a person has seen which. Arguments in, sentences out.

What needs a database is imported by the command that needs it.
"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_ingest.record_cli import SettingsFile, moment, opened, record_app, shown, this_user
from cloud_ingest.rules.judge import micros

if TYPE_CHECKING:
    from cloud_ingest.stores.records.criteria import Criteria, VoidReport

STATED_TOLD = 20  # what other devices stated, in one report
PEOPLE_TOLD = 50

Text = str | None


@record_app.command("void")
def void_command(
    settings: SettingsFile,
    *,
    since: Annotated[str, typer.Option("--from", help="ISO time of measurement, inclusive.")],
    until: Annotated[str, typer.Option("--to", help="ISO time, exclusive, or `now`.")],
    reason: Annotated[str, typer.Option("--reason", help="Shown wherever the readings are.")],
    maker: Annotated[Text, typer.Option("--maker", help="As the device states it.")] = None,
    model: Annotated[Text, typer.Option("--model", help="As the device states it.")] = None,
    firmware: Annotated[Text, typer.Option("--firmware", help="As the device states it.")] = None,
    profile: Annotated[Text, typer.Option("--profile", help="Profile id, `brand/model`.")] = None,
    device: Annotated[Text, typer.Option("--device", help="Device id.")] = None,
    who: Annotated[Text, typer.Option("--by", help="Who decides it; default: this user.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Void readings: kept and shown with the reason, but judged, charted and counted no more. There is no way back.

    All that is given must hold. Readings that come later are not voided: run it again, which does no harm.
    """
    from cloud_ingest.stores.records.criteria import Criteria  # noqa: PLC0415 see the module's first lines

    with opened(settings) as records:
        criteria = Criteria(
            maker=maker,
            model=model,
            firmware=firmware,
            profile=profile,
            device=device,
            from_us=_micros(since, "--from"),
            to_us=_micros(until, "--to"),
        )
        by = who or this_user()
        would = records.would_void(criteria, by, reason)
        _tell(would, criteria, "would be voided")
        if dry_run or not would.readings:
            return
        if not yes:
            _ask(would)
        done, _ = records.void(criteria, by, reason)
    _say(
        f"voiding {done.voiding}: {done.readings} readings voided by {by}, {len(done.ended)} alerts ended"
    )


def _ask(would: "VoidReport") -> None:
    if not sys.stdin.isatty():
        raise ValueError("nothing was done: nobody is there to be asked, so give --yes")
    typer.confirm(f"Void these {would.readings} readings? They can't be brought back", abort=True)


def _tell(report: "VoidReport", criteria: "Criteria", what: str) -> None:
    span = f"{shown(criteria.from_us, '')} to {shown(criteria.to_us, '')}"
    _say(f"{report.readings} readings {what}, measured {span}")
    if report.patients:
        people = ", ".join(report.patients[:PEOPLE_TOLD])
        _say(f"of {len(report.patients)} patients: {people}")
    if report.devices:
        _say(f"and of {report.devices} devices that belong to nobody")
    if report.ended:
        _say(
            f"{len(report.ended)} alerts end, which stand on them alone: {', '.join(report.ended)}"
        )
    if report.changed:
        _say(
            f"{len(report.changed)} alerts rest on other readings, or are raised by what these hid"
        )
    if report.others:
        _say("not touched, in the same time, by what their devices state (maker, model, firmware):")
    for (maker, model, firmware), count in list(report.others.items())[:STATED_TOLD]:
        told = ", ".join(text or "not stated" for text in (maker, model, firmware))
        _say(f"  {count} readings: {told}")
    if report.damaged:
        _say(f"{report.damaged} envelopes of the journal are damaged, and were not looked at")


def _micros(text: str, option: str) -> int:
    return micros(moment(text, option))


def _say(line: str) -> None:
    typer.echo(line)
