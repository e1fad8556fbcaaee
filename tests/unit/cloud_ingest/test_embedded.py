"""The embedded series as a file: its mode, its faults, two processes on it."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_ingest.stores import embedded
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.series import Point
from gateway.runtime.errors import StoreError

POINT = Point("glucose", "p1", "d1", 1_000, {"value": 100.0, "key": "k", "time_known": True})


def test_the_file_is_its_owners_alone_and_every_commit_is_synced(tmp_path: Path) -> None:
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    assert stat.S_IMODE((tmp_path / "s.sqlite").stat().st_mode) == 0o600
    assert series._writer.execute("pragma synchronous").fetchone() == (2,)
    series.close()


def test_points_are_there_after_opening_again(tmp_path: Path) -> None:
    first = EmbeddedSeries(tmp_path / "s.sqlite")
    first.write([POINT])
    first.close()
    second = EmbeddedSeries(tmp_path / "s.sqlite")
    assert second.scan("glucose", None, 0, 10) == [POINT]
    second.close()


def test_a_file_that_is_no_database_is_refused_without_retry(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"poison " * 1_000)
    with pytest.raises(StoreError, match=r"s\.sqlite") as caught:
        EmbeddedSeries(tmp_path / "s.sqlite")
    assert not caught.value.retry


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.sqlite") as other:
        other.execute("pragma user_version = 7")
    other.close()
    with pytest.raises(StoreError, match="version 7"):
        EmbeddedSeries(tmp_path / "s.sqlite")


def test_a_writer_in_the_way_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "BUSY_MS", 10)
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    other = sqlite3.connect(tmp_path / "s.sqlite", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreError) as caught:
        series.write([POINT])
    assert caught.value.retry
    other.execute("rollback")
    other.close()
    series.write([POINT])
    assert series.scan("glucose", None, 0, 10) == [POINT]
    series.close()


def test_a_damaged_point_is_named_by_its_time(tmp_path: Path) -> None:
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    series.write([POINT])
    series._writer.execute("update points set fields = '{'")
    with pytest.raises(StoreError, match="1000 us is damaged"):
        series.scan("glucose", None, 0, 10)
    series.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.series import Point
from gateway.runtime.errors import StoreError

def point(n):
    return Point("glucose", "p1", "d1", n, {"value": 100.0, "key": "k" * 500})

series = EmbeddedSeries(Path(sys.argv[1]))
series.write([point(1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    series.write([point(n) for n in range(1, 5_000)])
except StoreError as fault:
    print(fault.retry, fault)
print([p.time_us for p in series.scan("glucose", None, 0, 10)])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(series.write([point(n) for n in range(1, 5_000)]), len(series.scan("glucose", None, 0, 10_000)))
"""


def test_a_full_disk_is_named_takes_nothing_half_and_is_worth_another_try(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.splitlines()
    assert told[0].startswith(f"True {path}: ")
    assert "rollback" not in told[0]
    assert told[1:] == ["[1]", "[] 4999"]


def test_a_damaged_page_is_named_with_what_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    series = EmbeddedSeries(path)
    series.write([Point("glucose", "p1", "d1", n, {"value": 1.0, "key": "k"}) for n in range(500)])
    series.close()
    with path.open("r+b") as file:
        # All pages but the first, which has the schema.
        file.seek(4_096)
        file.write(os.urandom(path.stat().st_size - 4_096))
    series = EmbeddedSeries(path)
    with pytest.raises(StoreError, match=r"malformed.*the next start writes it anew") as caught:
        series.write([POINT])
    assert not caught.value.retry
    with pytest.raises(StoreError, match="malformed"):
        series.scan("glucose", None, 0, 10)
    series.close()


def test_a_field_keeps_its_type_over_a_restart_and_until_all_is_wiped(tmp_path: Path) -> None:
    word = Point("glucose", "p1", "d1", 2_000, {"value": "high", "key": "k"})
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    series.write([POINT])
    series.close()
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    (refused,) = series.write([word])
    assert refused.why == (
        'field type conflict: input field "value" on measurement "glucose" '
        "is type string, already exists as type float"
    )
    series.wipe()
    assert not series.write([word])
    series.close()


def test_a_refused_point_fixes_no_type(tmp_path: Path) -> None:
    series = EmbeddedSeries(tmp_path / "s.sqlite")
    series.write([POINT])
    series.write([Point("glucose", "p1", "d1", 2_000, {"note": "x", "value": "high", "key": "k"})])
    assert not series.write([Point("glucose", "p1", "d1", 3_000, {"note": 1.0, "key": "k"})])
    series.close()
