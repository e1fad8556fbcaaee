"""Records that project into a time series, and a front that misbehaves before a real InfluxDB. No test here."""

import contextlib
import http.client
import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud_ingest.projection import Projection
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import unprojected
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery, Verdict
from cloud_ingest.stores.series import Series
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import SystemClock, iso
from gateway.wire.envelope import encode_envelope
from gateway.wire.topics import Branch, Up

DEVICE = "c0" * 10
TOPIC = Branch("demo", "box-1").up(Up.OBSERVATIONS)
HOLD_S_MAX = 20  # a front lets go by itself, should a test forget to close it


class Desk:
    """Records in a folder, and a projection from them to one series."""

    def __init__(self, folder: Path, series: Series) -> None:
        self.series = series
        self.clock = SystemClock()
        self.records = Records.open(
            folder / "records.sqlite", "demo", self.clock, default_thresholds(), sole_ingester=True
        )
        self.tail = Tail(self.records.engine, "tested", self.clock)
        self._lock = folder / "projection.lock"
        self._n = 0
        self.now = self.clock.now()

    def projection(self) -> Projection:
        return Projection(self.tail, self.series, self._lock, self.clock)

    def reading(self, systolic: int, ago: timedelta = timedelta(minutes=1)) -> Observation:
        self._n += 1
        at = self.now - ago
        parts = {
            "systolic": Part(unit="mm[Hg]", value=f"{systolic}"),
            "diastolic": Part(unit="mm[Hg]", value="80"),
        }
        content = content_hash("blood_pressure", parts)
        stamp = Stamp(Scheme.RECORD, at.replace(tzinfo=None), content, self._n)
        return Observation(
            key=observation_key(DEVICE, "blood_pressure", stamp, at.date()),
            device=DEVICE,
            kind="blood_pressure",
            parts=parts,
            time=Moment(utc=iso(at), method=TimeMethod.CORRECTED, early_s=1, late_s=1),
            content=content,
            source=Source.PUSHED,
            accepted=iso(self.now),
            driver="test",
            profile="test/one",
            transport="ble",
        )

    def measure(self, *systolics: int, ago: timedelta = timedelta(minutes=1)) -> Verdict:
        """Readings into the records, a second apart; they are receipted, whatever the series does."""
        seen = [self.reading(one, ago + timedelta(seconds=n)) for n, one in enumerate(systolics)]
        return self.file(*seen)

    def file(self, *seen: Observation) -> Verdict:
        payload = encode_envelope("box-1", "00000000000000e1", self._n - len(seen) + 1, seen)
        (verdict,) = self.records.ingest([Delivery(TOPIC, payload, self.clock.now())])
        assert verdict.receipt is not None
        assert verdict.readings == len(seen)
        return verdict

    def at_us(self, ago: timedelta = timedelta(minutes=1)) -> int:
        """Where in the series a reading of then stands (to the second)."""
        return int((self.now - ago).timestamp()) * 1_000_000

    def catch_up(self, projecting: Projection | None = None) -> Projection:
        projecting = projecting or self.projection()
        while projecting.once():
            pass
        return projecting

    def systolics(self) -> list[float]:
        """What the series holds, lowest first."""
        points = self.series.scan("blood_pressure", None, 0, 50_000)
        return sorted(float(p.fields["systolic"]) for p in points if "systolic" in p.fields)

    def refused(self) -> dict[str, str]:
        with self.records.engine.connect() as connection:
            return {row.key: row.why for row in connection.execute(select(unprojected))}


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[Callable[[Series], Desk]]:
    """Makes a desk over a series."""
    made: list[Desk] = []

    def make(series: Series) -> Desk:
        made.append(Desk(tmp_path, series))
        return made[-1]

    yield make
    for desk in made:
        desk.records.close()


class Buckets:
    """What a test may do to the InfluxDB that all tests share, by its own interface: in buckets of its own."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.url: str = ready["url"]
        self.org: str = ready["org"]
        self.token = Path(ready["token_file"]).read_text().strip()
        self._org_id = self.ask("GET", f"/api/v2/orgs?org={self.org}")["orgs"][0]["id"]

    def make(self, name: str, keep_s: int = 0) -> str:
        """A bucket; its id."""
        told = {"orgID": self._org_id, "name": name, "retentionRules": _rules(keep_s)}
        return self.ask("POST", "/api/v2/buckets", told)["id"]

    def keep(self, bucket: str, keep_s: int) -> None:
        self.ask("PATCH", f"/api/v2/buckets/{bucket}", {"retentionRules": _rules(keep_s)})

    def delete(self, bucket: str) -> None:
        self.ask("DELETE", f"/api/v2/buckets/{bucket}")

    def new_token(self, bucket: str) -> tuple[str, str]:
        """A token for one bucket: its id, and itself."""
        may = [
            {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": self._org_id}}
            for action in ("read", "write")
        ]
        made = self.ask(
            "POST", "/api/v2/authorizations", {"orgID": self._org_id, "permissions": may}
        )
        return made["id"], made["token"]

    def revoke(self, token: str) -> None:
        self.ask("DELETE", f"/api/v2/authorizations/{token}")

    def ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {self.token}"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 ours, on loopback
        with urllib.request.urlopen(request, timeout=HOLD_S_MAX) as answer:  # noqa: S310 the same
            return json.loads(answer.read() or b"{}")


def _rules(keep_s: int) -> Sequence[object]:
    return [{"type": "expire", "everySeconds": keep_s}] if keep_s else []


@pytest.fixture
def buckets(influx_ready: dict[str, Any]) -> Buckets:
    """The shared InfluxDB's buckets and tokens."""
    return Buckets(influx_ready)


class Front(ThreadingHTTPServer):
    """Stands before a real server and passes everything on, but what `on_write` says of a write."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passage)
        self.behind = behind.removeprefix("http://")
        self.on_write: Callable[[_Passage, bytes], None] = _Passage.pass_on
        self.writes = 0
        self.closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that has gone is what these tests are about."""


class _Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def do_GET(self) -> None:
        self.pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/api/v2/write"):
            self.server.writes += 1
            self.server.on_write(self, body)
        else:
            self.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        status, headers, answer = self.ask(body)
        self.answer(status, answer, **headers)

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the real server says."""
        with contextlib.closing(http.client.HTTPConnection(self.server.behind, timeout=10)) as real:
            kept = ("Authorization", "Content-Type")
            told = {name: self.headers[name] for name in kept if name in self.headers}
            real.request(self.command, self.path, body or None, told)
            found = real.getresponse()
            shown = ("Content-Type", "X-Influxdb-Version")
            return (
                found.status,
                {name: found.headers[name] for name in shown if name in found.headers},
                found.read(),
            )

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self) -> None:
        """No more of this connection."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def hang(self) -> None:
        self.server.closed.wait(HOLD_S_MAX)
        self.cut()

    def drip(self, body: bytes) -> None:
        """An answer a byte at a time, never slow enough for a limit on each read."""
        for byte in body:
            if self.server.closed.wait(0.1):
                break
            self.wfile.write(bytes((byte,)))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def make_front() -> Iterator[Callable[[str], Front]]:
    """Puts a front before the server at a URL."""
    made: list[tuple[Front, threading.Thread]] = []

    def make(behind: str) -> Front:
        front = Front(behind)
        thread = threading.Thread(target=front.serve_forever, args=(0.01,))
        made.append((front, thread))
        thread.start()
        return front

    yield make
    for front, thread in made:
        front.closed.set()
        front.shutdown()
        thread.join()
        front.server_close()


@pytest.fixture
def front(buckets: Buckets, make_front: Callable[[str], Front]) -> Front:
    """A front before the shared InfluxDB."""
    return make_front(buckets.url)
