"""Logs are events with fields, on standard error, as JSON or as text for a terminal. Patient data has no place here."""

import atexit
import logging
import os
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

# Fields that would carry a measurement or a person into a log: a bug that adds one is caught here, visibly.
FORBIDDEN = frozenset(
    {
        "value",
        "parts",
        "patient_name",
        "name",
        "reading",
        "observation",
        "token",
        "password",
        "key_hex",
    }
)

# What a device sent stands in the words of what went wrong with it, for the person at the status or the console. In a log
# it would be a measurement for whoever reads logs.
WORDS = ("why", "error", "exception")
_octets = re.compile(r"\b(?=[a-f]*[0-9])(?:[0-9a-f]{2}){3,}\b")


def configure(*, json: bool, level: str = "INFO") -> None:
    """Set up logging for this process."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.format_exc_info,
            withhold_octets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Outlet())),
    )
    atexit.register(_let_go)


def _let_go() -> None:
    """What a full disk took no more must not make an orderly end look like a failed one (Python's exit status 120)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Outlet:
    """A stream that loses a line rather than the process: a full disk under a log must not stop what carries readings."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def redact(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace fields that must never be logged; the field's name stays, so that the mistake shows."""
    for field in FORBIDDEN & event.keys():
        event[field] = "<withheld>"
    return event


def withhold_octets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Of octets in hex, three or more, only how many they were."""
    for field in WORDS:
        if isinstance(told := event.get(field), str | BaseException):
            event[field] = _octets.sub(lambda found: f"<{len(found[0]) // 2} octets>", str(told))
    return event


def get(area: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry `area`. It follows `configure` also where it was made before: modules make theirs at import."""
    return structlog.get_logger(area=area)
