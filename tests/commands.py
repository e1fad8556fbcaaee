"""The product's commands by their own code, without a process of their own: for what a test asks again and again, or only wants done."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from demo.processes import DemoError
from gateway.cli import build
from gateway.runtime.errors import ConfigError


@cache
def _part(name: str) -> typer.Typer:
    return build([name])


def say(*words: str) -> str:
    """As `demo.processes.say`: gives what the command prints. Raises DemoError."""
    told = CliRunner().invoke(_part(words[0]), words)
    if told.exception and not isinstance(told.exception, SystemExit | ConfigError):
        raise told.exception
    if told.exit_code != 0:
        raise DemoError(f"vitalgate {' '.join(words)}: {told.stderr or told.exception}")
    return told.stdout


def standing(settings: Path) -> dict[str, Any]:
    """How a box stands, as `vitalgate edge status --json` says. Raises DemoError while it has no outbox."""
    return dict(json.loads(say("edge", "status", "--settings", str(settings), "--json")))
