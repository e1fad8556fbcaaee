"""What the InfluxDB client makes of servers that hang, lie, refuse or are something else. Each server here is a real socket."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget
from cloud_ingest.stores.series import Point
from gateway.runtime.errors import StoreError

TOKEN = "a-token-that-must-not-be-seen"  # noqa: S105 of a server that lives as long as the test


def a_point(n: int) -> Point:
    return Point(
        "glucose", "p1", "m1", 1_773_000_000_000_000 + n, {"value": float(n), "key": f"k{n}"}
    )


class Server(ThreadingHTTPServer):
    """Answers a ping as InfluxDB does, and everything else as the test says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.version: str | None = "v2.7.12"
        self.answer: Callable[[bytes], tuple[int, bytes]] = lambda _: (204, b"")
        self.kind = "text/csv"
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.send_response(204)
        if self.server.version is not None:
            self.send_header("X-Influxdb-Version", self.server.version)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)
        status, answer = self.server.answer(body)
        self.send_response(status)
        self.send_header("Content-Type", self.server.kind if status == 200 else "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def series_at(url: str) -> InfluxSeries:
    return InfluxSeries(InfluxTarget(url, "org", "bucket", TOKEN, request_s=0.5))


@pytest.fixture
def series(server: Server) -> Iterator[InfluxSeries]:
    made = series_at(server.url)
    yield made
    made.close()


def told(code: str, message: str) -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


def fault_of(series: InfluxSeries) -> StoreError:
    with pytest.raises(StoreError) as caught:
        series.write([a_point(1)])
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(caught.value.__cause__)
    return caught.value


def test_a_server_that_accepts_and_never_answers_is_given_up_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as half_open:
        series = series_at(f"http://127.0.0.1:{half_open.getsockname()[1]}")
        assert fault_of(series).retry
        series.close()


def test_nobody_there_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    series = series_at(f"http://127.0.0.1:{port}")
    fault = fault_of(series)
    assert fault.retry
    assert f"127.0.0.1:{port} is away" in str(fault)
    series.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 302, 418])
def test_an_answer_that_is_not_about_the_data_is_worth_another_try(
    server: Server, series: InfluxSeries, status: int
) -> None:
    server.answer = lambda _: (status, told("unavailable", "later"))
    fault = fault_of(series)
    assert fault.retry
    assert f"{status} later" in str(fault)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "series.token_file"), (403, "series.token_file"), (404, "series.bucket")],
)
def test_what_an_operator_must_mend_names_the_setting_and_drops_nothing(
    server: Server, series: InfluxSeries, status: int, words: str
) -> None:
    server.answer = lambda _: (status, told("unauthorized", TOKEN[:0]))
    fault = fault_of(series)
    assert fault.retry
    assert words in str(fault)


def test_a_proxys_own_400_is_not_the_stores_word(server: Server, series: InfluxSeries) -> None:
    server.answer = lambda _: (400, b"<html>Bad Request</html>")
    assert fault_of(series).retry


def test_a_page_of_some_other_server_does_not_count_as_stored(
    server: Server, series: InfluxSeries
) -> None:
    server.version = None
    server.answer = lambda _: (200, b"<html>Welcome</html>")
    assert "is no InfluxDB" in str(fault_of(series))
    assert server.bodies == []


def test_one_refused_line_among_many_is_found_by_halving(
    server: Server, series: InfluxSeries
) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        if b'"k37"' in body:
            return 400, told("invalid", "unable to parse 'k37'")
        return 204, b""

    server.answer = answer
    points = [a_point(n) for n in range(100)]
    (refused,) = series.write(points)
    assert (refused.point, refused.why) == (points[37], "unable to parse 'k37'")
    stored = {line for body in server.bodies if b'"k37"' not in body for line in body.split(b"\n")}
    assert len(stored) == 99
    assert len(server.bodies) < 20


def test_a_request_that_is_too_large_is_halved_until_it_fits(
    server: Server, series: InfluxSeries
) -> None:
    server.answer = lambda body: (413, b"") if body.count(b"\n") >= 10 else (204, b"")
    assert series.write([a_point(n) for n in range(100)]) == []
    assert sum(body.count(b"\n") + 1 for body in server.bodies if body.count(b"\n") < 10) == 100


def test_a_server_too_slow_for_large_requests_gets_smaller_ones_and_in_time_larger_again(
    server: Server, series: InfluxSeries
) -> None:
    server.answer = lambda body: (504, b"") if body.count(b"\n") >= 100 else (204, b"")
    points = [a_point(n) for n in range(1_000)]
    for _ in range(8):
        with contextlib.suppress(StoreError):
            assert series.write(points) == []
            break
    else:
        pytest.fail("it never got through")
    server.answer = lambda _: (204, b"")
    for _ in range(40):
        assert series.write(points) == []
    assert server.bodies[-1].count(b"\n") + 1 == len(points)


def test_a_server_that_fails_in_the_middle_reports_nothing_as_refused(
    server: Server, series: InfluxSeries
) -> None:
    answers = iter([(400, told("invalid", "no")), (503, b"")])
    server.answer = lambda _: next(answers)
    with pytest.raises(StoreError) as caught:
        series.write([a_point(n) for n in range(10)])
    assert caught.value.retry


def test_a_request_all_of_whose_points_are_too_old_is_not_halved(
    server: Server, series: InfluxSeries
) -> None:
    words = "partial write: dropped {} points outside retention policy of duration 1h0m0s"
    server.answer = lambda body: (
        422,
        told("unprocessable entity", words.format(body.count(b"\n") + 1)),
    )
    points = [a_point(n) for n in range(100)]
    assert [at.point for at in series.write(points)] == points
    assert len(server.bodies) == 1


def test_some_too_old_among_others_are_found_one_by_one(
    server: Server, series: InfluxSeries
) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        old = sum(b'"k3' in line for line in body.split(b"\n"))
        words = f"partial write: dropped {old} points outside retention policy of duration 1h0m0s"
        return (422, told("unprocessable entity", words)) if old else (204, b"")

    server.answer = answer
    refused = series.write([a_point(n) for n in range(100)])
    assert [at.point.fields["key"] for at in refused] == ["k3", *(f"k{n}" for n in range(30, 40))]


@pytest.mark.parametrize(
    "answer", [b"\x00\xff garbage", b"#datatype,string\n#group,x\n#default,\n,a\n,1\n"]
)
def test_an_answer_that_is_no_table_is_a_store_error(
    server: Server, series: InfluxSeries, answer: bytes
) -> None:
    server.answer = lambda _: (200, answer)
    with pytest.raises(StoreError) as caught:
        series.read("glucose", "p1", 0, 10)
    assert caught.value.retry


def test_a_page_instead_of_a_table_is_no_empty_chart(server: Server, series: InfluxSeries) -> None:
    server.kind = "text/html"
    server.answer = lambda _: (200, b"<html>Welcome</html>")
    with pytest.raises(StoreError, match="stands in between"):
        series.read("glucose", "p1", 0, 10)


def drip(listening: socket.socket, over: threading.Event) -> None:
    """A table whose rows never end, a byte at a time."""
    client, _ = listening.accept()
    with client, contextlib.suppress(OSError):
        client.recv(10_000)
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\n#datatype,string\r\n")
        while not over.wait(0.1):
            client.sendall(b",x\r\n")


def test_a_table_that_comes_a_byte_at_a_time_is_given_up_in_time() -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=drip, args=(listening, over))
        server.start()
        series = series_at(f"http://127.0.0.1:{listening.getsockname()[1]}")
        began = time.monotonic()
        try:
            with pytest.raises(StoreError, match=r"no whole answer within 0\.5 s") as caught:
                series.read("glucose", "p1", 0, 10)
            assert caught.value.retry
            assert time.monotonic() - began < 3
        finally:
            over.set()
            server.join()
            series.close()


def test_a_query_holds_only_what_was_asked_for(server: Server, series: InfluxSeries) -> None:
    server.answer = lambda _: (200, b"\r\n")
    assert series.read('x") |> drop(', "${evil}\n", 0, 10) == []
    query = json.loads(server.bodies[-1])["query"]
    assert "drop(" not in query
    assert "${" not in query


def test_the_target_does_not_show_its_token() -> None:
    assert TOKEN not in repr(InfluxTarget("http://h", "o", "b", TOKEN))
