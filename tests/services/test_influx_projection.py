"""The projection into a real InfluxDB 2.7: stopped, killed, hung, emptied, refusing. The records never wait for it."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud_ingest.projection import Projection, rebuild
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget
from cloud_ingest.stores.line import encode as right
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import unprojected
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery
from cloud_ingest.stores.series import Point
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import SystemClock, iso
from gateway.wire.envelope import encode_envelope
from gateway.wire.topics import Branch, Up

pytestmark = pytest.mark.services

PATIENCE_S = 40
DEVICE = "c0" * 10
TOPIC = Branch("demo", "box-1").up(Up.OBSERVATIONS)


def a_reading(n: int, systolic: int, ago: timedelta) -> Observation:
    at = datetime.now(UTC) - ago
    parts = {
        "systolic": Part(unit="mm[Hg]", value=f"{systolic}"),
        "diastolic": Part(unit="mm[Hg]", value="80"),
    }
    content = content_hash("blood_pressure", parts)
    stamp = Stamp(Scheme.RECORD, at.replace(tzinfo=None), content, n)
    return Observation(
        key=observation_key(DEVICE, "blood_pressure", stamp, at.date()),
        device=DEVICE,
        kind="blood_pressure",
        parts=parts,
        time=Moment(utc=iso(at), method=TimeMethod.CORRECTED, early_s=1, late_s=1),
        content=content,
        source=Source.PUSHED,
        accepted=iso(at),
        driver="test",
        profile="test/one",
        transport="ble",
    )


class Scene:
    """Records, a projection with its thread, and an InfluxDB that can be taken away."""

    def __init__(self, folder: Path, start_service) -> None:
        self._folder = folder
        self._start_service = start_service
        self.clock = SystemClock()
        self.service = start_service("influx.py", ["--dir", str(folder / "influx")])
        self.ready: dict[str, Any] = self.service.ready
        self.token = Path(self.ready["token_file"]).read_text().strip()
        self.series = self.series_in(self.ready["bucket"])
        self.records = Records.open(
            folder / "records.sqlite", "demo", self.clock, default_thresholds(), sole_ingester=True
        )
        self.tail = Tail(self.records.engine, "influx", self.clock)
        self.projection = self.to(self.series)
        self._n = 0

    def series_in(self, bucket: str) -> InfluxSeries:
        ready = self.ready
        return InfluxSeries(
            InfluxTarget(ready["url"], ready["org"], bucket, self.token, request_s=2)
        )

    def to(self, series: InfluxSeries) -> Projection:
        return Projection(self.tail, series, self._folder / "projection.lock", self.clock)

    def measure(self, systolic: int = 120, ago: timedelta = timedelta(minutes=1)) -> None:
        """One reading into the records; it must be receipted, whatever InfluxDB does."""
        self._n += 1
        seen = a_reading(self._n, systolic, ago)
        payload = encode_envelope("box-1", "00000000000000e1", self._n, [seen])
        (verdict,) = self.records.ingest([Delivery(TOPIC, payload, self.clock.now())])
        assert verdict.readings == 1
        assert verdict.receipt is not None
        self.projection.wake()

    def points(self, series: InfluxSeries | None = None) -> list[Point]:
        return list((series or self.series).scan("blood_pressure", None, 0, 10_000))

    def refused(self) -> list[str]:
        with self.records.engine.connect() as connection:
            return [row.why for row in connection.execute(select(unprojected))]

    def take_away(self, how: signal.Signals) -> None:
        os.kill(self.ready["pid"], how)
        self.service.process.wait(PATIENCE_S)

    def bring_back(self) -> None:
        port = self.ready["url"].rpartition(":")[2]
        arguments = ["--dir", str(self._folder / "influx"), "--port", port]
        self.service = self._start_service("influx.py", arguments)

    def new_bucket(self, name: str, seconds: int) -> None:
        org = self.ask(f"/api/v2/orgs?org={self.ready['org']}")["orgs"][0]["id"]
        rules = [{"type": "expire", "everySeconds": seconds}]
        self.ask("/api/v2/buckets", {"orgID": org, "name": name, "retentionRules": rules})

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 ours, on loopback
            self.ready["url"] + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 the same
            return json.load(answer)

    def close(self) -> None:
        self.projection.stop()
        self.records.close()
        self.series.close()


@pytest.fixture
def scene(tmp_path: Path, start_service) -> Iterator[Scene]:
    made = Scene(tmp_path, start_service)
    yield made
    made.close()


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_readings_go_on_while_it_is_away_and_all_are_there_when_it_returns(
    scene: Scene, how: signal.Signals
) -> None:
    scene.projection.start()
    for n in range(20):
        scene.measure(100 + n)
    wait_until(lambda: scene.projection.state().readings == 0)
    scene.take_away(how)
    for n in range(20, 40):
        scene.measure(100 + n)
    wait_until(lambda: scene.projection.state().trouble)
    state = scene.projection.state()
    assert state.readings == 20
    assert state.lag_s > 0
    scene.bring_back()
    wait_until(lambda: scene.projection.state().readings == 0)
    wait_until(lambda: not scene.projection.state().trouble)
    assert sorted(p.fields["systolic"] for p in scene.points()) == [100.0 + n for n in range(40)]


def test_a_server_that_hangs_holds_nothing_up(scene: Scene) -> None:
    scene.projection.start()
    scene.measure(100)
    wait_until(lambda: scene.projection.state().readings == 0)
    os.kill(scene.ready["pid"], signal.SIGSTOP)
    try:
        began = time.monotonic()
        scene.measure(101)
        assert time.monotonic() - began < 1
        wait_until(lambda: "away" in scene.projection.state().trouble)
        scene.measure(102)
    finally:
        os.kill(scene.ready["pid"], signal.SIGCONT)
    wait_until(lambda: scene.projection.state().readings == 0)
    assert sorted(p.fields["systolic"] for p in scene.points()) == [100.0, 101.0, 102.0]


def test_an_emptied_bucket_is_rebuilt_to_the_same_points(scene: Scene) -> None:
    for n in range(300):
        # Several of a second, so that slots must come out the same.
        scene.measure(100 + n % 100, timedelta(minutes=n // 3))
    while scene.projection.once():
        pass
    before = scene.points()
    assert len(before) == 300
    scene.series.wipe()
    assert scene.points() == []
    told: list[tuple[int, int]] = []
    rebuild(
        scene.to(scene.series), scene.tail, lambda: None, lambda *progress: told.append(progress)
    )
    assert scene.points() == before
    assert told[-1] == (300, 300)


def test_a_type_conflict_is_kept_in_the_servers_words_and_the_others_go_in(scene: Scene) -> None:
    at_us = int(datetime.now(UTC).timestamp()) * 1_000_000
    # Someone else wrote this field as text before us: the server will not take our number in this shard.
    scene.series.write([Point("blood_pressure", "other", "x", at_us, {"diastolic": "eighty"})])
    scene.measure(150)
    while scene.projection.once():
        pass
    (why,) = scene.refused()
    assert "field type conflict" in why
    assert scene.projection.state().readings == 0
    assert scene.projection.state().unwritten == 1


def test_a_reading_older_than_the_buckets_retention_is_named_and_the_fresh_one_stored(
    scene: Scene,
) -> None:
    scene.new_bucket("short", 24 * 3600)
    short = scene.series_in("short")
    projecting = scene.to(short)
    scene.measure(150, timedelta(days=30))
    scene.measure(151)
    while projecting.once():
        pass
    assert [p.fields["systolic"] for p in scene.points(short)] == [151.0]
    (why,) = scene.refused()
    assert "retention" in why
    short.close()


def test_a_line_that_does_not_parse_is_refused_alone_in_the_servers_words(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(point: Point) -> bytes:
        return b"no line" if point.fields.get("systolic") == 151.0 else right(point)

    monkeypatch.setattr("cloud_ingest.stores.influx.encode", broken)
    for systolic in (150, 151, 152):
        scene.measure(systolic)
    while scene.projection.once():
        pass
    assert sorted(p.fields["systolic"] for p in scene.points()) == [150.0, 152.0]
    (why,) = scene.refused()
    assert "unable to parse" in why


def test_an_assigned_reading_moves_in_the_bucket(scene: Scene) -> None:
    scene.measure(150)
    while scene.projection.once():
        pass
    (before,) = scene.points()
    patient = scene.records.add_patient("Ann Example")
    scene.records.assign(str(before.fields["key"]), patient.id, "nurse")
    while scene.projection.once():
        pass
    (after,) = scene.points()
    assert (before.subject, after.subject) == (f"device:{DEVICE}", patient.id)
    assert after.fields == before.fields
