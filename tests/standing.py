"""How a box stands, for tests that look again and again: `vitalgate edge status --json` by its own code, without a process for each look."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from edge.cli import app


def standing(settings: Path) -> dict[str, Any] | None:
    """What the command prints; None where it refuses (there is no outbox yet)."""
    told = CliRunner().invoke(app, ["status", "--settings", str(settings), "--json"])
    if told.exception and not isinstance(told.exception, SystemExit):
        raise told.exception
    return json.loads(told.stdout) if told.exit_code == 0 else None
