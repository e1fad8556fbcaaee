"""The whole ingester as the processes that an operator starts: its first line, its end, its sentences."""

import http.cookiejar
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.wire.topics import Branch, Up

PATIENCE_S = 20
CONFIG_EXIT = 78


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


class Ingester:
    """Settings in a folder, and the commands over them."""

    def __init__(self, folder: Path, broker) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.settings = folder / "ingest.toml"
        password = folder / "password"
        password.touch(0o600)
        password.write_text(broker.password)
        self.broker = broker
        self.write(port=0)
        self._started: list[subprocess.Popen[str]] = []

    def write(self, *, port: int, more: str = "") -> None:
        self.settings.write_text(
            f'tenant = "demo"\ndata_dir = "{self.data}"\n'
            f'[mqtt]\nport = {self.broker.port}\nusername = "ingester"\npassword_file = "password"\n'
            f"[console]\nport = {port}\n{more}"
        )

    def start(self, command: str) -> tuple[subprocess.Popen[str], str]:
        """The process, once it has printed its link; and the link."""
        process = self._popen(command)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("console: http://127.0.0.1:"), line
        return process, line.removeprefix("console: ").strip()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command that ends by itself."""
        return subprocess.run(
            self._words(*command), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def _popen(self, command: str) -> subprocess.Popen[str]:
        log = (self.folder / "log").open("a")
        with log:
            process = subprocess.Popen(
                self._words(command), stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._started.append(process)
        return process

    def _words(self, command: str, *more: str) -> list[str]:
        base = [sys.executable, "-c", "from gateway.cli import main; main()", "ingest", command]
        return [*base, "--settings", str(self.settings), *more]


class Browser:
    """Enters by a one-time link and asks the JSON interface."""

    def __init__(self, link: str) -> None:
        self.root = re.match(r"http://[^/]+", link)[0]
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
        )
        self._opener.open(link, timeout=PATIENCE_S).close()

    def get(self, path: str) -> dict[str, Any]:
        with self._opener.open(self.root + path, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def readings(self) -> list[dict[str, Any]]:
        return self.get("/api/readings?limit=500")["readings"]


@pytest.fixture
def ingester(tmp_path: Path, pip_broker) -> Iterator[Ingester]:
    made = Ingester(tmp_path, pip_broker)
    yield made
    made.close()


@pytest.fixture
def say(pip_broker) -> Iterator[Callable[[bytes], None]]:
    client = Client(CallbackAPIVersion.VERSION2, client_id="box-1")
    client.username_pw_set("box", "boxes")
    client.connect("127.0.0.1", pip_broker.port)
    client.loop_start()
    topic = Branch("demo", "box-1").up(Up.OBSERVATIONS)
    yield lambda payload: client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE_S)
    client.disconnect()
    client.loop_stop()


def connected(ingester: Ingester) -> bool:
    told = json.loads(ingester.run("status", "--json").stdout)["running"]
    return bool(told and told["connected"])


def end(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


def test_a_reading_goes_from_the_topic_to_the_interface_and_sigterm_ends_it(
    ingester: Ingester, say, make
) -> None:
    process, link = ingester.start("run")
    browser = Browser(link)
    wait_until(lambda: connected(ingester))
    seen = make.bp(192, 124)
    say(make.payload(1, seen))
    wait_until(lambda: browser.readings() and browser.readings()[0]["series"])
    (reading,) = browser.readings()
    assert reading["key"] == seen.key
    assert reading["series"]["fields"]["systolic"] == 192.0
    assert reading["journal"]["intact"]
    assert browser.get("/api/health")["ok"]
    told = ingester.run("status").stdout
    assert f"process {process.pid}" in told
    assert "connected" in told
    assert end(process) == 0
    assert "not running" in ingester.run("status").stdout


def test_a_second_ingester_on_the_same_folder_is_refused(ingester: Ingester) -> None:
    ingester.start("run")
    second = ingester.run("run")
    assert second.returncode == CONFIG_EXIT
    assert second.stderr.count("\n") == 1
    assert "ingests into it already" in second.stderr


def test_a_port_in_use_is_one_sentence(ingester: Ingester) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ingester.write(port=other.getsockname()[1])
        refused = ingester.run("run")
    assert refused.returncode == CONFIG_EXIT
    assert refused.stderr.count("\n") == 1
    assert "console.port" in refused.stderr


def test_settings_that_cannot_be_are_one_sentence(ingester: Ingester) -> None:
    ingester.write(port=0, more="colour = 1\n")
    refused = ingester.run("run")
    assert refused.returncode == CONFIG_EXIT
    assert refused.stderr.count("\n") == 1
    assert "console.colour" in refused.stderr


def test_a_link_lets_one_more_browser_into_the_running_console(ingester: Ingester) -> None:
    _, link = ingester.start("run")
    wait_until((ingester.data / "ingest.status.json").exists)
    second = ingester.run("link").stdout.removeprefix("console: ").strip()
    assert second != link
    assert Browser(second).readings() == []


def test_a_link_without_a_port_to_name_is_one_sentence(ingester: Ingester) -> None:
    refused = ingester.run("link")
    assert refused.returncode == CONFIG_EXIT
    assert "console.port" in refused.stderr


def test_looking_at_what_is_kept_changes_nothing_and_a_rebuild_mends_it(
    ingester: Ingester, say, make
) -> None:
    process, link = ingester.start("run")
    wait_until(lambda: connected(ingester))
    for n in range(1, 6):
        say(make.payload(n, make.bp(120 + n, 80, ago=n)))
    browser = Browser(link)
    wait_until(lambda: [bool(one["series"]) for one in browser.readings()] == [True] * 5)
    before = browser.readings()
    assert end(process) == 0
    series = sqlite3.connect(ingester.data / "series.sqlite")
    series.execute("delete from points where fields like '%123.0%'")
    series.commit()
    series.close()
    process, link = ingester.start("serve")
    after = Browser(link).readings()
    assert [one["key"] for one in after if not one["series"]] == [make.bp(123, 80, ago=3).key]
    assert end(process) == 0
    rebuilt = ingester.run("rebuild")
    assert rebuilt.returncode == 0
    assert rebuilt.stdout.splitlines()[-2:] == ["100 %  journal row 5 of 5", "done"]
    process, link = ingester.start("serve")
    assert Browser(link).readings() == before


def test_killed_at_any_moment_it_goes_on_where_it_was(ingester: Ingester, say, make) -> None:
    process, _ = ingester.start("run")
    wait_until(lambda: connected(ingester))
    sent = [make.bp(100 + n, 80, ago=n) for n in range(60)]
    for n, seen in enumerate(sent):
        say(make.payload(n + 1, seen))
        if n in {20, 40}:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process, link = ingester.start("run")
    browser = Browser(link)
    wait_until(lambda: sum(bool(one["series"]) for one in browser.readings()) == 60)
    readings = browser.readings()
    assert sorted(one["key"] for one in readings) == sorted(seen.key for seen in sent)
    assert {one["journal"]["outcome"] for one in readings} == {"stored"}


def test_a_broker_that_is_away_is_told_and_nothing_else_waits_for_it(ingester: Ingester) -> None:
    ingester.broker.end()
    _, link = ingester.start("run")
    assert Browser(link).readings() == []
    wait_until(lambda: f"127.0.0.1:{ingester.broker.port}: " in ingester.run("status").stdout)
    ingester.broker.start()
    wait_until(lambda: connected(ingester))


def test_a_damaged_row_is_made_anew_while_the_ingester_runs_and_the_log_says_whose(
    ingester: Ingester, say, make
) -> None:
    process, link = ingester.start("run")
    browser = Browser(link)
    wait_until(lambda: connected(ingester))
    say(make.payload(1, make.glucose("100", 9)))
    wait_until(browser.readings)
    with sqlite3.connect(ingester.data / "records.sqlite") as connection:
        connection.execute("UPDATE rule_state SET state = x'33'")
    connection.close()
    say(make.payload(2, make.glucose("41", 1)))
    log = ingester.folder / "log"
    wait_until(lambda: "state.mended" in log.read_text())
    assert f"device:{make.meter}" in log.read_text()
    wait_until(lambda: [one for one in browser.readings() if one["flags"] and one["series"]])
    assert "NOT JUDGED" not in ingester.run("status").stdout
    assert end(process) == 0
