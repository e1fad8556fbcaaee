"""`vitalgate`: one command whose sub-commands come from whatever is installed (`gateway.commands`)."""

import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import typer

from gateway.runtime.errors import ConfigError
from gateway.runtime.output import kept_going
from gateway.runtime.plugins import COMMANDS, found

PACKAGES = ("gateway", "drivers", "device_profiles", "edge", "cloud_ingest")
CONFIG_EXIT = 78  # EX_CONFIG of sysexits.h: systemd does not restart on it
WIRE = "wire"  # the one part that is the kernel's own, and always there

wire = typer.Typer(no_args_is_help=True, help="The published documents of the wire (docs/wire).")


def main() -> None:
    """Entry point of the `vitalgate` command. Output that nobody takes ends no command: its exit status tells of it."""
    with kept_going():
        _run()


def _run() -> None:
    try:
        refuse_strangers()
        build(sys.argv[1:])()
    except ConfigError as error:
        _refuse(error)
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] in PACKAGES:
            raise  # a bug of ours, and no extra that is missing
        _refuse(_not_installed(sys.argv[1] if sys.argv[1:] else "", missing))


def _refuse(error: ConfigError) -> NoReturn:
    print(f"vitalgate: {error}", file=sys.stderr)
    raise SystemExit(CONFIG_EXIT) from None


def build(asked: Sequence[str] = ()) -> typer.Typer:
    """The umbrella command. A part whose extra isn't installed is left out; `vitalgate` says how to get it.

    Where the first word of `asked` names a part, that one alone is loaded: a box need not wait for the simulators' imports,
    and a broken part takes no other down.
    """
    app = typer.Typer(
        name="vitalgate",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
        help="Reads medical devices, carries every reading to the people who must act on it.",
    )
    app.add_typer(wire, name=WIRE)
    if asked[:1] == [WIRE]:
        return app
    parts = found(COMMANDS)
    wanted = asked[:1] if asked and asked[0] in parts else sorted(parts)
    for name in wanted:
        try:
            app.add_typer(parts[name].load(), name=name)
        except ModuleNotFoundError as missing:
            # Whatever else is asked of it: what is missing is the answer, not how to ask.
            anything = {"allow_extra_args": True, "ignore_unknown_options": True}
            told = f"(needs {missing.name}: install the extra that brings it)"
            app.command(name, help=told, context_settings=anything)(_absent(name, missing))
    return app


@wire.command()
def schema() -> None:
    """The JSON Schema of every message: docs/wire/schema.json."""
    from gateway.wire.schema import wire_schema  # noqa: PLC0415 the other parts need no wire

    _print_json(wire_schema())


@wire.command()
def asyncapi() -> None:
    """The AsyncAPI 3.0 document of every topic: docs/wire/asyncapi.json."""
    from gateway.wire.asyncapi import asyncapi as document  # noqa: PLC0415 the same

    _print_json(document())


def _print_json(document: Mapping[str, object]) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def refuse_strangers() -> None:
    """Refuse to run where one of our five packages is shadowed by another of the same short name.

    Raises ConfigError that names both places.
    """
    home = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        place = Path(spec.origin).resolve().parent.parent
        if place != home:
            raise ConfigError(
                where=str(place),
                key=package,
                why=f"another package of this name hides the one in {home}",
                instead="a PYTHONPATH or working folder without it",
            )


def _absent(name: str, missing: ModuleNotFoundError) -> Callable[[], None]:
    def tell() -> None:
        raise _not_installed(name, missing)

    return tell


def _not_installed(name: str, missing: ModuleNotFoundError) -> ConfigError:
    return ConfigError(
        where=f"vitalgate {name}",
        key=str(missing.name),
        why="it is not installed here",
        instead="pip install 'vitalgate[edge]', 'vitalgate[cloud]' or 'vitalgate[sim]'",
    )
