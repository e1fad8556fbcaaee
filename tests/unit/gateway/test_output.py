"""Standard output that takes nothing more, or that nobody hears any longer: each command does its work, and says so in one line."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

VITALGATE = (sys.executable, "-c", "from gateway.cli import main; main()")
PATIENCE_S = 60
FULL = "vitalgate: standard output: No space left on device. What follows on it may be missing\n"

COMMANDS = [
    (),
    ("--help",),
    ("wire", "schema"),
    ("profile", "list"),
    ("driver", "list"),
    ("edge", "--help"),
    ("driver", "check", "gatt.heart_rate", "--check", "sightings_won"),
]


def ran(
    words: Sequence[str], stdout: int, *, unbuffered: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (*VITALGATE, *words),
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin", "PYTHONUNBUFFERED": unbuffered},
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_under_standard_output_is_one_line_and_a_failure(words: Sequence[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = ran(words, full.fileno())

    assert (told.returncode or 0, told.stderr) == (2 if words == () else 74, FULL)


def test_also_where_nothing_is_buffered() -> None:
    with Path("/dev/full").open("w") as full:
        told = ran(("profile", "list"), full.fileno(), unbuffered="1")

    assert (told.returncode, told.stderr) == (74, FULL)


def test_a_command_that_fails_by_itself_keeps_its_own_status(tmp_path: Path) -> None:
    settings = tmp_path / "box.toml"
    with Path("/dev/full").open("w") as full:
        told = ran(("edge", "status", "--settings", str(settings)), full.fileno())

    assert told.returncode == 78
    assert "box.toml" in told.stderr


@pytest.mark.parametrize("words", COMMANDS[1:], ids=" ".join)
def test_a_pipe_that_was_closed_is_no_word(words: Sequence[str]) -> None:
    with subprocess.Popen("/bin/true", stdin=subprocess.PIPE) as gone:
        assert gone.stdin is not None
        gone.wait(PATIENCE_S)
        told = ran(words, gone.stdin.fileno())

    assert (told.returncode, told.stderr) == (1, "")


def test_without_a_standard_output_at_all_a_command_does_its_work() -> None:
    closed = ("sh", "-c", 'exec "$@" >&-', "sh", *VITALGATE, "profile", "list")
    told = subprocess.run(closed, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)

    assert (told.returncode, told.stderr) == (0, b"")
