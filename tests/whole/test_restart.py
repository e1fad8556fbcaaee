"""Restarts and failures in odd states: a box and a cloud that stand in for nobody, lose nothing, and say what is wrong."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from demo import processes
from demo.processes import private

ENDS_S = 60
CONFIG_EXIT, TEMPFAIL_EXIT = 78, 75
STEADY = ("--scenario", "kill", "--cuffs", "2", "--meters", "1", "--every", "2")


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


def everything(whole, *options: str) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*options)
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_second_agent_or_ingester_is_refused_and_the_first_goes_on(whole) -> None:
    everything(whole, *STEADY, "--seconds", "20")
    refused(whole.commands["edge"], TEMPFAIL_EXIT, "outbox.sqlite", "another agent")
    refused(whole.commands["cloud"], CONFIG_EXIT, "records.sqlite", str(whole.process("cloud").pid))
    whole.arrived()

    assert whole.process("edge").poll() is whole.process("cloud").poll() is None
    assert whole.judge() == []


@pytest.mark.slow
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
        with changed(whole.house.cloud, f'"{store}"', told):
            refused(cloud, CONFIG_EXIT, "data_dir", word)
    with changed(whole.house.cloud, "[mqtt]", '[mqtt]\nca_file = "nope.pem"'):
        refused(cloud, CONFIG_EXIT, "mqtt.ca_file", "nope.pem")
    port = int(re.findall(r"port = (\d+)", whole.house.cloud.read_text())[-1])
    with socket.create_server(("127.0.0.1", port)):
        refused(cloud, CONFIG_EXIT, "console.port", str(port))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_broker_that_refuses_or_never_answers_costs_nothing_and_is_named(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*STEADY, "--seconds", "20")
    good = whole.house.passwords().box
    password = whole.house.folder / "box.password"
    private(password, "wrong")
    whole.start_edge()
    whole.until("readings on the box", lambda: whole.status()["pending"] > 3, 60)
    refusing = whole.status(), whole.spoken_status()
    whole.end("edge")
    private(password, good)
    whole.bind_everybody()
    whole.end("broker")
    with silent_listener(whole.port):
        whole.start("edge")
        whole.start_cloud()
        whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
        whole.until("all on the box", lambda: everything_on_the_box(whole), 60)
        silent = whole.status(), whole.spoken_status()
    whole.start("broker")
    whole.arrived()

    for status, told in (refusing, silent):
        assert status["connected"] is False
        assert "broker" in told
    assert whole.process("edge").poll() is whole.process("cloud").poll() is None
    assert whole.judge() == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["edge", "cloud", "broker"])
def test_a_process_that_stands_still_for_a_while_goes_on_where_it_was(whole, name: str) -> None:
    everything(whole, *STEADY, "--seconds", "40")
    whole.until("some readings", lambda: len(whole.readings()) > 4, 60)
    whole.leave()
    pid = whole.process(name).pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(20)
    os.kill(pid, signal.SIGCONT)
    whole.until("the console", whole.console_answers, 60)
    whole.arrived()

    assert whole.process(name).poll() is None
    assert whole.judge() == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sigterm_in_the_middle_of_visits_loses_nothing(whole) -> None:
    everything(whole, *STEADY, "--seconds", "40")
    for pause_s in (0.3, 0.9, 1.7, 2.6, 3.1, 0.6):
        whole.end("edge")
        whole.start("edge")
        time.sleep(3 + pause_s)
    whole.arrived()

    assert "Traceback" not in whole.logs()
    assert whole.judge() == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_ward_that_ends_and_comes_back_is_read_again(whole) -> None:
    whole.start_broker("iotcore")
    radio_port = str(processes.free_port())
    whole.start_ward(*STEADY, "--seconds", "8", "--radio-port", radio_port)
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    whole.arrived()
    before = {one["key"] for one in whole.readings()}
    whole.kill("ward")
    first = whole.house.ward / "truth.jsonl"
    earlier = first.read_text().splitlines()
    time.sleep(5)
    first.unlink()
    whole.start("ward")
    whole.until("the ward to be back", lambda: whole.truth().quiet, 60)
    told = len([line for line in earlier if '"measured"' in line]) + len(whole.truth().measured)
    whole.until("both lives' readings", lambda: len(whole.readings()) >= told, 90)

    assert before < {one["key"] for one in whole.readings()}
    assert len(whole.readings()) == told
    assert whole.process("edge").poll() is None


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_damaged_outbox_is_moved_aside_and_only_what_was_in_the_damage_is_missing(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*STEADY, "--seconds", "30")
    whole.start_edge()
    whole.bind_everybody()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until("all on the box", lambda: everything_on_the_box(whole), 60)
    whole.end("edge")
    outbox = whole.house.folder / "edge" / "outbox.sqlite"
    page = page_of_bodies(outbox)
    with outbox.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    whole.start("edge")
    whole.start_cloud()
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 90)
    found = whole.judge()

    aside = list(outbox.parent.glob("outbox.sqlite.damaged-*"))
    assert aside
    assert {one.what for one in found} <= {"missing"}
    assert len(found) <= 16, "more than one page's rows"
    assert "damaged" in whole.spoken_status()
    on_meters = {one.id for one in whole.truth().measured if one.kind == "glucose"}
    whole.until(
        "the meters to be read again",
        lambda: on_meters.isdisjoint(one.who for one in whole.judge()),
        60,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_log_on_a_full_disk_stops_no_box(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*STEADY, "--seconds", "15")
    whole.start_edge()
    whole.bind_everybody()
    whole.end("edge")
    whole.start("edge", log=Path("/dev/full"))
    box = whole.process("edge")
    whole.start_cloud()
    whole.arrived()
    box.send_signal(signal.SIGTERM)

    assert box.wait(20) == 0
    assert whole.judge() == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cloud_whose_disk_takes_nothing_receipts_nothing_and_goes_on_later(whole) -> None:
    everything(whole, *STEADY, "--seconds", "30")
    whole.until("some readings", lambda: len(whole.readings()) > 4, 60)
    before = len(whole.readings())
    pid = whole.process("cloud").pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    whole.until("readings to wait on the box", lambda: whole.status()["pending"] > 3, 60)
    assert whole.process("cloud").poll() is None, whole.logs()
    shown = len(whole.readings())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    whole.arrived()

    assert shown >= before
    assert whole.process("cloud").poll() is None
    assert whole.judge() == []


def everything_on_the_box(whole) -> bool:
    """Whether the box has numbered all that was measured."""
    return bool(whole.status()["issued"] >= len(whole.truth().measured))


def page_of_bodies(outbox: Path) -> int:
    """A page (from 0) in the middle of the table that holds the readings."""
    with contextlib.closing(sqlite3.connect(outbox)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        body = db.execute(
            "select substr(body, 1, 120) from rows order by id limit 1 offset (select count(*) / 2 from rows)"
        ).fetchone()[0]
        assert db.execute("pragma page_size").fetchone() == (4096,)
    at = outbox.read_bytes().find(bytes(body))
    assert at > 4096
    return at // 4096


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


@contextlib.contextmanager
def silent_listener(port: int):
    """What takes connections and never says a word."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.2)
        end = threading.Event()

        def listen() -> None:
            while not end.is_set():
                with contextlib.suppress(TimeoutError):
                    held.append(server.accept()[0])

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            for one in held:
                one.close()
