"""The series as the ingester opens it: a file that is gone is made anew; what it refused is told with the words."""

import json
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from typer.testing import CliRunner

from cloud_ingest import projection
from cloud_ingest.app import stores
from cloud_ingest.cli import ingest_app
from cloud_ingest.projection import Projection
from cloud_ingest.settings import Settings, load
from cloud_ingest.stores import embedded
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import unprojected
from gateway.runtime.errors import StoreError

PAGE = 4_096  # the first one, which has the schema, stays whole
WHY = "field type conflict: input field is type float, already exists as type string"


@pytest.fixture
def file(kit, tmp_path: Path) -> Path:
    """Settings over the kit's records."""
    made = tmp_path / "ingest.toml"
    made.write_text('tenant = "demo"\ndata_dir = "data"\n')
    (tmp_path / "data").mkdir(0o700)
    kit.records.close()
    kit.path.rename(tmp_path / "data" / "records.sqlite")
    kit.path = tmp_path / "data" / "records.sqlite"
    kit.records = kit.open(sole_ingester=False)
    return made


def held(settings: Settings, kit) -> int:
    with stores(settings, "ingest.toml", kit.clock, sole_ingester=False) as opened:
        projecting = opened.projection(kit.clock)
        while projecting.once():
            pass
        return len(opened.series.scan("blood_pressure", None, 0, 1_000))


def test_a_series_file_that_was_removed_is_written_anew_from_the_first_row(
    kit, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "REPLAY_ROWS", 1)
    monkeypatch.setattr(projection, "REPLAY_S", 0)
    for n in range(5):
        kit.send(n + 1, kit.bp(120 + n, 80, ago=n, sequence=n))
    settings = load(file)
    assert held(settings, kit) == 5
    for left in settings.data_dir.glob("series.sqlite*"):
        left.unlink()
    assert held(settings, kit) == 5


def test_status_names_what_the_series_refused_in_its_words(kit, file: Path) -> None:
    with kit.records.engine.begin() as connection:
        row = {"key": "k1", "journal": 1, "position": 0, "why": WHY, "at_us": 1}
        connection.execute(insert(unprojected), [row])
    told = CliRunner().invoke(ingest_app, ["status", "--settings", str(file)])
    assert f"not in the series: k1: {WHY}" in told.stdout
    assert "vitalgate ingest rebuild" in told.stdout
    told = CliRunner().invoke(ingest_app, ["status", "--settings", str(file), "--json"])
    assert json.loads(told.stdout)["refused"] == [
        {"key": "k1", "journal": 1, "position": 0, "why": WHY}
    ]


def test_status_says_nothing_of_refusals_where_there_are_none(kit, file: Path) -> None:
    told = CliRunner().invoke(ingest_app, ["status", "--settings", str(file)])
    assert told.exit_code == 0
    assert "not in the series" not in told.stdout


def test_a_store_of_before_keeps_what_the_series_refused_each_in_its_place(kit) -> None:
    told = {"why": WHY, "at_us": 1}
    before = [
        {"key": "20260314-c-1", "journal": 1, "position": 0, **told},
        {"key": "20260314-c-2", "journal": 1, "position": 1, **told},
        {"key": "journal:1", "journal": 1, "position": 0, **told},
    ]
    with kit.records.engine.begin() as connection:
        connection.execute(text("DROP TABLE unprojected"))
        connection.execute(
            text(
                "CREATE TABLE unprojected (key VARCHAR NOT NULL PRIMARY KEY, journal INTEGER NOT NULL,"
                " position INTEGER NOT NULL, why TEXT NOT NULL, at_us BIGINT NOT NULL)"
            )
        )
        line = "INSERT INTO unprojected VALUES (:key, :journal, :position, :why, :at_us)"
        connection.execute(text(line), before)
        connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    kit.records.close()
    kit.records = kit.open()
    assert {(row["key"], row["position"]) for row in kit.rows(unprojected)} == {
        ("journal:1", 0),
        ("20260314-c-2", 1),
    }


def test_a_damaged_file_is_trouble_parks_nothing_and_removed_it_is_written_anew(
    kit, file: Path
) -> None:
    for n in range(100):
        kit.send(n + 1, kit.bp(120, 80, ago=n, sequence=n))
    settings = load(file)
    assert held(settings, kit) == 100
    whole = settings.series_path.stat().st_size
    with settings.series_path.open("r+b") as damaged:
        damaged.seek(PAGE)
        damaged.write(b"\xa5" * (whole - PAGE))
    assert kit.send(101, kit.bp(121, 80, sequence=101)).receipt is not None
    with pytest.raises(StoreError, match=r"malformed; stop the ingester and remove this file"):
        held(settings, kit)
    assert kit.rows(unprojected) == []
    settings.series_path.unlink()
    assert held(settings, kit) == 101


def test_a_locked_file_is_trouble_parks_nothing_and_gets_the_point_once_it_is_free(
    kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "BUSY_MS", 10)
    series = EmbeddedSeries(tmp_path / "series.sqlite")
    tail = Tail(kit.records.engine, "embedded", kit.clock)
    projecting = Projection(tail, series, tmp_path / "projection.lock", kit.clock)
    other = sqlite3.connect(tmp_path / "series.sqlite", isolation_level=None)
    other.execute("begin immediate")
    assert kit.send(1, kit.bp(120, 80, sequence=1)).receipt is not None
    with pytest.raises(StoreError, match="locked") as caught:
        projecting.once()
    assert caught.value.retry
    assert tail.mark() == 0
    assert kit.rows(unprojected) == []
    assert projecting.state().readings == 1
    other.execute("rollback")
    other.close()
    while projecting.once():
        pass
    (point,) = series.scan("blood_pressure", None, 0, 10)
    assert point.fields["systolic"] == 120.0
    series.close()
