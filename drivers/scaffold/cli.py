"""`vitalgate driver new`: its options, and what to do next. Writes files; talks to no device."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from device_profiles.loader import load_profiles
from drivers.scaffold.names import names
from drivers.scaffold.writing import Shape, files, write
from gateway.runtime.plugins import DISTRIBUTION, DRIVERS, found


def new(
    driver: Annotated[str, typer.Argument(metavar="ID", help="of the driver, as in acme.glu")],
    shape: Annotated[
        Shape,
        typer.Option(
            help="push: it only notifies; flow: it is asked; broadcast: it only advertises"
        ),
    ],
    maker: Annotated[str, typer.Option(help="as on the label; from the id without it")] = "",
    model: Annotated[str, typer.Option(help="the same")] = "",
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="a folder that is not there yet; ./<name> without it"),
    ] = None,
) -> None:
    """Make a package for a new device: an invented protocol that works, with all that the checks ask for."""
    named = names(driver, maker, model, {*found(DRIVERS), *load_profiles()})
    made = files(shape, named, version(DISTRIBUTION))
    home = folder or Path(named.distribution)
    write(made, home)
    for place in made:
        print(home / place)
    profile = f"src/{named.package}/profiles/models/{named.profile}.toml"
    print(
        f"\nNext:\n  cd {os.fspath(home)}\n  pip install -e '.[test]'\n  pytest\n  vitalgate driver check {named.driver}\n"
        f"  vitalgate profile lint {profile}\n"
        f"All green: now replace the invented protocol, beginning with the table in README.md."
    )
