"""A real InfluxDB behind a front that cuts, delays, lies and refuses: named, nothing parked, nothing passed by, nothing doubled."""

import json
import os
import signal
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_ingest.projection import rebuild
from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget
from cloud_ingest.stores.series import Series
from gateway.runtime.errors import StoreError

pytestmark = pytest.mark.services

REQUEST_S = 0.5
PATIENCE_S = 45
IN_TIME_S = (
    8.0  # less than the limit of a request where none is set, and than any front here holds one up
)
DAY_S = 24 * 3600
VALUES = [100.0 + n for n in range(20)]


@pytest.fixture
def bucket(buckets) -> tuple[str, str]:
    """A bucket's name and id."""
    name = uuid.uuid4().hex
    return name, buckets.make(name)


@pytest.fixture
def series(buckets, front, bucket: tuple[str, str]) -> Iterator[InfluxSeries]:
    """The bucket, through the front."""
    made = InfluxSeries(InfluxTarget(front.url, buckets.org, bucket[0], buckets.token))
    yield made
    made.close()


@pytest.fixture
def hurried(buckets, front, bucket: tuple[str, str]) -> Iterator[InfluxSeries]:
    """The same, which soon gives up."""
    target = InfluxTarget(front.url, buckets.org, bucket[0], buckets.token, request_s=REQUEST_S)
    made = InfluxSeries(target)
    yield made
    made.close()


@pytest.fixture
def desk(series: Series, make_desk: Callable[[Series], object]):
    """Records that project into it."""
    return make_desk(series)


def measure(desk) -> None:
    desk.measure(*(int(value) for value in VALUES))


def fault_of(desk) -> str:
    """A pass fails in time, worth another try, with nothing noted; receipts went on."""
    began = time.monotonic()
    projecting = desk.projection()
    with pytest.raises(StoreError) as caught:
        projecting.once()
    assert time.monotonic() - began < IN_TIME_S
    assert caught.value.retry
    assert desk.tail.mark() == 0
    assert desk.refused() == {}
    assert projecting.state().readings == len(VALUES)
    return str(caught.value)


def mended(desk, front) -> None:
    """Once the front passes on, each reading is there once."""
    front.on_write = _pass_on
    desk.catch_up()
    assert desk.systolics() == VALUES
    assert desk.refused() == {}


def _pass_on(passage, body: bytes) -> None:
    passage.pass_on(body)


def _stored_then_cut(passage, body: bytes) -> None:
    passage.ask(body)
    passage.cut()


def _stored_then_cut_in_the_answer(passage, body: bytes) -> None:
    passage.ask(body)
    passage.wfile.write(b"HTTP/1.1 20")
    passage.cut()


def _cut_by_a_reset(passage, _: bytes) -> None:
    passage.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    passage.connection.close()
    passage.close_connection = True  # else its handler holds it open, and nothing is sent


def _cut_in_the_upload(passage, body: bytes) -> None:
    """The server sees part of the body: the last digits of a time are missing."""
    host, port = passage.server.behind.split(":")
    with socket.create_connection((host, int(port)), 5) as real:
        head = (
            f"POST {passage.path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: {passage.headers['Authorization']}\r\n\r\n"
        )
        real.sendall(head.encode() + body[:-4])
        real.shutdown(socket.SHUT_WR)
        while real.recv(1_000):
            pass
    passage.cut()


def _hangs(passage, _: bytes) -> None:
    passage.hang()


def _stored_and_drips(passage, body: bytes) -> None:
    passage.ask(body)
    passage.drip(b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: v2.7.12\r\n" + b"X: y\r\n" * 500)


def _garbage(passage, _: bytes) -> None:
    passage.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")
    passage.cut()


def _says(
    status: int, body: bytes = b"", kind: str = "application/json", **headers: str
) -> Callable[..., None]:
    def says(passage, _: bytes) -> None:
        passage.answer(status, body, **{"Content-Type": kind, **headers})

    return says


FAULTS = {
    "stored, then cut": (_stored_then_cut, "away"),
    "stored, then cut in the answer": (_stored_then_cut_in_the_answer, "away"),
    "reset": (_cut_by_a_reset, "away"),
    "cut in the upload": (_cut_in_the_upload, "away"),
    "hangs": (_hangs, "away"),
    "stored, and drips": (_stored_and_drips, "within 0.5 s"),
    "garbage": (_garbage, "away"),
    "429": (_says(429, b'{"code":"too many requests","message":"slow down"}'), "429 slow down"),
    "500": (_says(500, b'{"code":"internal error","message":"disk"}'), "500 disk"),
    "503": (_says(503), "503"),
    "garbage JSON": (_says(500, b'{"code": ['), "500"),
    "no text": (_says(500, b"\xff\xfe"), "away"),
    "400 of a front": (_says(400, b"<html>Bad</html>", "text/html"), "400"),
    "welcome page": (_says(200, b"<html>Hello</html>", "text/html"), "stands in between"),
    "redirect": (_says(307, Location="http://127.0.0.1:9/api/v2/write"), "307"),
    "redirect to a login page": (_says(302, Location="/login"), "302"),
    "401": (_says(401, b'{"code":"unauthorized","message":"x"}'), "series.token_file"),
    "404": (_says(404, b'{"code":"not found","message":"x"}'), "series.bucket"),
}


ENDLESS = {
    "hangs",
    "stored, and drips",
}  # all others answer: with no limit that a slow machine may reach


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_named_parks_nothing_and_once_it_is_over_each_point_is_there_once(
    desk, series: Series, hurried: Series, front, what: str
) -> None:
    front.on_write, words = FAULTS[what]
    desk.series = hurried if what in ENDLESS else series
    measure(desk)
    assert words in fault_of(desk)
    assert front.writes == 1
    desk.series = series
    mended(desk, front)


def test_a_front_with_a_size_limit_gets_smaller_requests(desk, front) -> None:
    def limited(passage, body: bytes) -> None:
        if len(body) > 1_000:
            passage.answer(413, b"<html>Too large</html>")
        else:
            passage.pass_on(body)

    front.on_write = limited
    measure(desk)
    desk.catch_up()
    assert desk.systolics() == VALUES
    assert desk.refused() == {}


def test_a_refusal_is_not_asked_again(desk, front) -> None:
    refusing = json.dumps({"code": "invalid", "message": "unable to parse"}).encode()
    front.on_write = _says(400, refusing)
    desk.measure(100)
    projecting = desk.catch_up()
    assert list(desk.refused().values()) == ["unable to parse"]
    once = front.writes
    assert not projecting.once()
    assert front.writes == once == 1


def test_a_bucket_that_is_deleted_is_trouble_parks_nothing_and_a_new_one_gets_everything(
    desk, buckets, bucket: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.projection.REPLAY_ROWS", 1)
    monkeypatch.setattr("cloud_ingest.projection.REPLAY_S", 0)
    for value in VALUES:
        desk.measure(int(value))
    projecting = desk.projection()
    projecting.start()
    try:
        wait_until(lambda: projecting.state().readings == 0)
        buckets.delete(bucket[1])
        desk.measure(200)
        projecting.wake()
        wait_until(lambda: f"no bucket {bucket[0]!r}" in projecting.state().trouble)
        wait_until(lambda: projecting.state().readings == len(VALUES) + 1)
        assert desk.refused() == {}
        buckets.make(bucket[0])
        wait_until(lambda: not (projecting.state().readings or projecting.state().trouble))
    finally:
        projecting.stop()
    assert desk.systolics() == [*VALUES, 200.0]
    assert desk.refused() == {}


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_token_that_is_revoked_is_trouble_and_parks_nothing(
    make_desk, buckets, bucket: tuple[str, str]
) -> None:
    identity, token = buckets.new_token(bucket[1])
    series = InfluxSeries(InfluxTarget(buckets.url, buckets.org, bucket[0], token))
    desk = make_desk(series)
    measure(desk)
    buckets.revoke(identity)
    trouble = fault_of(desk)
    assert "series.token_file" in trouble
    assert token not in trouble
    series.close()
    desk.series = InfluxSeries(InfluxTarget(buckets.url, buckets.org, bucket[0], buckets.token))
    desk.catch_up()
    assert desk.systolics() == VALUES
    desk.series.close()


def test_readings_beyond_retention_are_parked_in_few_requests_and_go_in_once_it_is_mended(
    make_desk, buckets, front
) -> None:
    name = uuid.uuid4().hex
    bucket = buckets.make(name, DAY_S)
    series = InfluxSeries(InfluxTarget(front.url, buckets.org, name, buckets.token))
    desk = make_desk(series)
    for day in range(2, 12):
        desk.measure(*range(100), ago=timedelta(days=day))
    measure(desk)
    desk.catch_up()
    assert desk.systolics() == VALUES
    assert len(desk.refused()) == 1_000
    assert all("outside retention policy" in why for why in desk.refused().values())
    assert front.writes < 30
    buckets.keep(bucket, 60 * DAY_S)
    rebuild(desk.projection(), desk.tail, lambda: None, lambda *_: None)
    assert len(desk.systolics()) == 1_000 + len(VALUES)
    assert desk.refused() == {}
    series.close()


def test_a_stuck_server_delays_no_receipt_and_its_trouble_shows(
    desk, hurried: Series, front
) -> None:
    front.on_write = _hangs
    desk.series = hurried
    projecting = desk.projection()
    projecting.start()
    try:
        began = time.monotonic()
        measure(desk)
        projecting.wake()
        end = began + IN_TIME_S
        while "away" not in projecting.state().trouble:
            assert time.monotonic() < end
            before = time.monotonic()
            desk.records.act_on_due(desk.clock.now())
            assert time.monotonic() - before < 1
            time.sleep(0.02)
        assert projecting.state().lag_s > 0
        front.on_write = _pass_on
        wait_until(lambda: not (projecting.state().readings or projecting.state().trouble))
    finally:
        projecting.stop()
    assert desk.systolics() == VALUES


def test_a_server_killed_in_mid_batch_has_each_point_once_when_it_is_back(
    make_desk, make_front, start_service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.stores.pace.LINES_MAX", 100)
    folder = ["--dir", str(tmp_path / "influx")]
    service = start_service("influx.py", folder)
    ready = service.ready
    front = make_front(ready["url"])
    token = Path(ready["token_file"]).read_text().strip()
    series = InfluxSeries(InfluxTarget(front.url, ready["org"], ready["bucket"], token))
    desk = make_desk(series)
    desk.measure(*range(100, 350))

    def killed_by_the_second(passage, body: bytes) -> None:
        passage.ask(body)
        if front.writes == 2:
            os.kill(ready["pid"], signal.SIGKILL)
            passage.cut()
        else:
            passage.answer(204)

    front.on_write = killed_by_the_second
    projecting = desk.projection()
    with pytest.raises(StoreError):
        projecting.once()
    assert front.writes == 2
    assert desk.tail.mark() == 0
    service.process.wait(PATIENCE_S)
    front.on_write = _pass_on
    start_service("influx.py", [*folder, "--port", ready["url"].rpartition(":")[2]])
    desk.catch_up(projecting)
    assert desk.systolics() == [float(n) for n in range(100, 350)]
    assert desk.refused() == {}
    series.close()
