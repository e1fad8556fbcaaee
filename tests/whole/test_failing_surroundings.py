"""Brokers that refuse or are silent, disks that are full: nothing is lost, and what is wrong is named."""

import contextlib
import resource
import signal
import socket
import threading
from pathlib import Path

import pytest

from demo.processes import private
from tests.whole.steady import STEADY, everything, everything_on_the_box


@pytest.mark.slow(30)
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


@pytest.mark.slow(25)
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


@pytest.mark.slow(40)
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
