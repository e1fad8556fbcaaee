"""The file: made private, upgraded, one ingester, one tenant; and that its migrations make the schema that the code speaks."""

import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text

from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.schema import boxes, keys, metadata
from cloud_ingest.stores.records.store import Records
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import ConfigError, StoreError
from gateway.wire.receipts import Question
from gateway.wire.status import Status, encode_status


def test_the_file_is_its_owners_alone(kit):
    for path in kit.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_second_ingester_is_refused_by_the_first_ones_process_id(kit):
    with pytest.raises(ConfigError) as caught:
        kit.open()
    assert f"process {os.getpid()} " in str(caught.value)


def test_a_second_ingester_in_another_process_is_refused(kit):
    code = (
        "import sys; from pathlib import Path\n"
        "from cloud_ingest.rules.thresholds import default_thresholds\n"
        "from cloud_ingest.stores.records.store import Records\n"
        "from gateway.runtime.clock import SystemClock\n"
        "Records.open(Path(sys.argv[1]), 'demo', SystemClock(), default_thresholds(), sole_ingester=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(kit.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"process {os.getpid()} " in done.stderr


def test_the_lock_goes_with_the_one_who_held_it(kit):
    kit.records.close()
    kit.records = kit.open()


def test_a_store_keeps_its_identity_and_its_rows(kit):
    kit.send(1, kit.bp(120, 80))
    store = kit.records.store
    kit.records.close()
    kit.records = kit.open()
    assert kit.records.store == store
    assert len(kit.rows(keys)) == 1


def test_two_stores_have_two_identities(new_kit):
    assert new_kit().records.store != new_kit().records.store


def test_records_of_another_tenant_are_refused(kit):
    with pytest.raises(ConfigError, match="'demo', not of 'clinic'"):
        Records.open(kit.path, "clinic", SystemClock(), default_thresholds(), sole_ingester=False)


def test_a_schema_from_the_future_is_refused_and_left_alone(kit):
    with kit.records.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer"):
        kit.open(sole_ingester=False)
    with kit.records.engine.connect() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        )


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "records.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError) as caught:
        Records.open(path, "demo", SystemClock(), default_thresholds(), sole_ingester=True)
    assert caught.value.retry is False
    assert str(caught.value) == f"{path}: file is not a database"


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "records.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    with pytest.raises(ConfigError, match="another program's"):
        Records.open(path, "demo", SystemClock(), default_thresholds(), sole_ingester=True)
    with sqlite3.connect(path) as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["theirs"]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        Records.open(
            tmp_path / "nowhere" / "records.sqlite",
            "demo",
            SystemClock(),
            default_thresholds(),
            sole_ingester=True,
        )


def test_the_migrations_make_the_schema_that_the_code_speaks(kit):
    with kit.records.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    assert differences == []


def test_writes_are_durable_and_wait_for_each_other(kit):
    with kit.records.engine.connect() as connection:
        pragma = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_a_box_s_status_is_kept_and_its_commits_stay(kit):
    kit.send(1, kit.bp(120, 80))
    status = Status(agent="box-1", online=True, at="2026-03-14T07:05:00.000Z", version="1")
    payload = encode_status(status)
    news = kit.records.note_status("box-1", status, payload)
    kit.records.note_status(
        "box-2", Status(agent="box-2", online=False, at="x", version="1"), b"{}"
    )
    assert (news.topic, news.ids) == ("box", ("box-1",))
    told = {row["agent"]: (row["commit_no"], row["status"]) for row in kit.rows(boxes)}
    assert told == {"box-1": (1, payload), "box-2": (0, b"{}")}


def test_a_status_in_anothers_name_or_of_any_size_is_refused(kit):
    status = Status(agent="box-2", online=True, at="x", version="1")
    with pytest.raises(ValueError, match="'box-2', on 'box-1'"):
        kit.records.note_status("box-1", status, b"{}")
    with pytest.raises(ValueError, match="at most"):
        kit.records.note_status("box-2", status, b" " * 1_000_000)


def test_a_full_disk_files_nothing_and_may_be_tried_again(kit):
    payloads = [kit.payload(n, kit.bp(100 + n % 80, 70, n)) for n in range(1, 400)]

    @event.listens_for(kit.records.engine, "engine_connect")
    def _fill(connection) -> None:
        cursor = connection.connection.driver_connection
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages if full else 10**6}")

    full = True
    with pytest.raises(StoreError, match="full") as caught:
        kit.ingest(*payloads)
    assert caught.value.retry
    assert kit.rows(keys) == []
    full = False
    assert sum(verdict.readings for verdict in kit.ingest(*payloads)) == len(payloads)


def test_a_damaged_row_of_the_journal_takes_nothing_with_it(kit):
    """What it held can't be compared any more: whatever comes under its keys is kept, and nothing is taken for a repeat."""
    seen = [kit.bp(120 + n, 80, n) for n in range(3)]
    kit.send(1, *seen)
    with kit.records.engine.begin() as connection:
        connection.execute(text("UPDATE journal SET payload = x'00', fate = x'00'"))
    again = kit.send(1, *seen)
    assert again.receipt.parked == []
    other = kit.send(1, *seen, agent="box-2")
    assert (other.receipt.duplicates, other.readings) == ([], 3)
    recut = kit.send(2, *seen[1:])
    assert recut.receipt.parked == []
    assert kit.records.answer("box-1", Question(nonce="q")).agent == "box-1"
    assert kit.records.unassigned() != []
