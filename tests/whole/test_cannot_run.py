"""What can't run, or is not let: it says why in a sentence, and what runs beside it goes on."""

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from demo.processes import private
from tests.whole.steady import STEADY, everything

ENDS_S = 60
CONFIG_EXIT, TEMPFAIL_EXIT = 78, 75


def ended(command: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and words of a command that must end by itself."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_S,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


def refused(command: tuple[str, ...], code: int, *words: str) -> None:
    """It ends with this code and one sentence that holds these words."""
    given, told = ended(command)
    assert given == code, told
    assert "Traceback" not in told
    assert [word for word in words if word not in told] == [], told


@pytest.mark.slow(30)
@pytest.mark.timeout(300)
def test_a_second_agent_or_ingester_is_refused_and_the_first_goes_on(whole) -> None:
    everything(whole, *STEADY, "--seconds", "20")
    refused(whole.commands["edge"], TEMPFAIL_EXIT, "outbox.sqlite", "another agent")
    refused(whole.commands["cloud"], CONFIG_EXIT, "records.sqlite", str(whole.process("cloud").pid))
    whole.arrived()

    assert whole.process("edge").poll() is whole.process("cloud").poll() is None
    assert whole.judge() == []


@pytest.mark.slow(20)
@pytest.mark.timeout(300)
def test_what_cannot_start_says_why_in_a_sentence(whole, tmp_path: Path) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*STEADY, "--seconds", "6")
    whole.start_edge()
    whole.bind_everybody()
    whole.end("edge")
    whole.start_cloud()
    whole.end("cloud")
    edge, cloud = whole.commands["edge"], whole.commands["cloud"]
    box, store = whole.house.folder / "edge", whole.house.folder / "cloud"

    with moved(box / "tenant.key") as key:
        private(key, "")
        refused(edge, CONFIG_EXIT, "tenant.key", "hex")
        key.write_text("0" * 64)
        key.chmod(0o644)
        refused(edge, CONFIG_EXIT, "tenant.key", "0644")
    with moved(box / "drivers.json") as notes:
        notes.mkdir()
        refused(edge, TEMPFAIL_EXIT, "drivers.json")
        notes.rmdir()
    with moved(box / "outbox.sqlite") as outbox:
        outbox.mkdir()
        refused(edge, TEMPFAIL_EXIT, "outbox.sqlite")
        outbox.rmdir()
    with changed(whole.house.edge, '"box-1"', '"box-7"'):
        refused(edge, CONFIG_EXIT, "box-1", "box-7")
    with changed(whole.house.edge, "127.0.0.1:", "127.0.0.1:9"):
        refused(edge, CONFIG_EXIT, "radio", "HOST:PORT")
    for spoilt in ("records.sqlite", "series.sqlite"):
        with moved(store / spoilt) as file:
            file.write_bytes(b"no database " * 500)
            refused(cloud, TEMPFAIL_EXIT, "not a database")
    with changed(whole.house.cloud, 'tenant = "demo"', 'tenant = "other"'):
        refused(cloud, CONFIG_EXIT, "demo", "other")
    tmp_path.chmod(0o755)
    for told, word in (
        ('""', "no path"),
        (f'"{tmp_path}"', "other files"),
        ('"a\\u0000"', "no path"),
    ):
        with changed(whole.house.cloud, f'"{store.name}"', told):
            refused(cloud, CONFIG_EXIT, "data_dir", word)
    with changed(whole.house.cloud, "[mqtt]", '[mqtt]\nca_file = "nope.pem"'):
        refused(cloud, CONFIG_EXIT, "mqtt.ca_file", "nope.pem")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with changed(whole.house.cloud, "port = 0", f"port = {port}"):
            refused(cloud, CONFIG_EXIT, "console.port", str(port))


@contextlib.contextmanager
def moved(path: Path):
    """Elsewhere for a while; what stands in its place is removed."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    try:
        yield path
    finally:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        aside.rename(path)


@contextlib.contextmanager
def changed(file: Path, old: str, new: str):
    """A file with one spot changed, for a while."""
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new, 1))
    try:
        yield
    finally:
        file.write_text(before)
