"""The embedded series as a file: its mode, its faults, two processes on it."""

import sqlite3
import stat
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
