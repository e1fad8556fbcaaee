"""`vitalgate edge pair` before it touches a radio: what it refuses, and in which words."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.links.pairing import PairingError, Why
from edge.pair_talk import _ask, in_words
from edge.pairing import NotProvedError
from gateway.runtime.errors import ConfigError, LinkError

ADDRESS = "AA:BB:CC:DD:EE:FF"


def settings(folder: Path, radio: str = "bluez", more: str = "") -> str:
    path = folder / "edge.toml"
    path.write_text(
        f'agent = "box-1"\ntenant = "demo"\ndata_dir = "{folder}"\n[radio]\nname = "{radio}"\n'
        + ('address = "127.0.0.1:1"\n' if radio == "hci-tcp" else "")
        + more
    )
    return str(path)


def refusal(*arguments: str) -> str:
    outcome = CliRunner().invoke(app, ["pair", *arguments], env={"COLUMNS": "400"})
    assert isinstance(outcome.exception, ConfigError), outcome.output
    return str(outcome.exception)


@pytest.mark.parametrize("text", ["", "AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:GG", "/dev/ttyUSB0"])
def test_what_is_no_address_is_refused(tmp_path: Path, text: str) -> None:
    arguments = ["pair", text, "--settings", settings(tmp_path)]
    outcome = CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})

    assert outcome.exit_code == 2
    assert "write one like AA:BB:CC:DD:EE:FF" in outcome.output


def test_a_radio_that_is_not_bluez_is_refused(tmp_path: Path) -> None:
    told = refusal(ADDRESS, "--settings", settings(tmp_path, "hci-tcp"))

    assert "radio.name: hci-tcp is no BlueZ to pair with" in told


def test_a_device_that_is_not_enrolled_needs_a_profile(tmp_path: Path) -> None:
    told = refusal(ADDRESS, "--settings", settings(tmp_path))

    assert f"no device is enrolled at {ADDRESS}. Write --profile" in told


@pytest.mark.parametrize("profile", ["nobody/nothing", "lifescan/onetouch-ultra2"])
def test_a_profile_that_cannot_be_connected_to_is_refused(tmp_path: Path, profile: str) -> None:
    told = refusal(ADDRESS, "--settings", settings(tmp_path), "--profile", profile)

    assert f"--profile: '{profile}' is no profile to connect to" in told
    assert "aandd/ua-651ble" in told


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_words_that_name_the_device_and_say_what_to_do(why: Why) -> None:
    words = in_words(PairingError(why, "[org.bluez.Error.X]"), ADDRESS)

    assert ADDRESS in words
    assert "org.bluez" not in words
    assert "{" not in words


def test_a_failed_proof_says_how_to_begin_anew_and_what_is_no_pairings_fault_is_told_as_it_is() -> (
    None
):
    assert f"edge pair {ADDRESS} --again" in in_words(NotProvedError("it left"), ADDRESS)
    assert in_words(LinkError("scan: no adapter"), ADDRESS) == "scan: no adapter"


@pytest.mark.parametrize(
    ("typed", "prompt", "number"),
    [
        (b"012345\n", False, 12_345),
        (b"none\n", False, None),
        (b"", False, None),
        (b"12345678\n", False, None),
        (b"12a\n 654321 \n", True, 654_321),
        (b"\x04", True, None),
    ],
)
async def test_a_passkey_is_read_from_a_terminal_until_it_is_one_and_from_a_pipe_once(
    monkeypatch: pytest.MonkeyPatch, typed: bytes, number: int | None, *, prompt: bool
) -> None:
    near, far = os.openpty() if prompt else reversed(os.pipe())
    os.write(near, typed)
    if not prompt:
        os.close(near)
    with os.fdopen(far) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert await _ask(prompt=prompt) == number
    if prompt:
        os.close(near)


async def test_nobody_at_a_terminal_gives_no_passkey(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = os.pipe()
    with os.fdopen(near) as stdin, os.fdopen(far, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        assert await _ask(prompt=True) is None


async def test_a_question_that_is_taken_back_leaves_no_thread_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near, far = os.pipe()
    with os.fdopen(near) as stdin, os.fdopen(far, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        before = set(threading.enumerate())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_ask(prompt=False), 0.05)
        assert set(threading.enumerate()) <= before
