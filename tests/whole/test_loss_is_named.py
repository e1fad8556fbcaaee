"""Stores that lost or changed one row are found out, by the reading's name: what `make reconcile` is for."""

import contextlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.judge import told_link

ROOT = Path(__file__).resolve().parents[2]
SPOILT = {
    "journal": (
        "records",
        "delete from journal where id = (select journal from keys where key = :key)",
    ),
    "keys": ("records", "delete from keys where key = :key"),
    "flags": ("records", "delete from flags where key = :key"),
    "alerts": ("records", "delete from alerts where key = :key"),
    "alert value": ("records", "update alerts set shown = '11/7 mm[Hg]' where key = :key"),
    "flag value": ("records", "update flags set shown = '11/7 mm[Hg]' where key = :key"),
    "journal bytes": (
        "records",
        "update journal set payload = cast(payload || x'20' as blob) where id = (select journal from keys where key = :key)",
    ),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "demo"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "demo",
            "--seconds",
            "12",
            "--broker",
            "iotcore",
            "--keep",
            str(folder),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def judge(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo.judge", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def copied(kept: Path, folder: Path) -> Path:
    """The same stores elsewhere."""
    return shutil.copytree(kept, folder, ignore=shutil.ignore_patterns("ports"))


@pytest.mark.slow(45)
@pytest.mark.timeout(300)
def test_kept_stores_are_judged_clean(kept: Path) -> None:
    done = judge(kept)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow(4)
@pytest.mark.timeout(300)
def test_kept_stores_are_judged_while_another_process_has_their_consoles_port(
    kept: Path, tmp_path: Path
) -> None:
    folder = copied(kept, tmp_path / "copy")
    port = urlsplit(told_link(folder / "logs" / "ingest.log")).port
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # another process may have it already: as good
            held.enter_context(socket.create_server(("127.0.0.1", port)))
        done = judge(folder)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow(4)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", SPOILT)
def test_a_row_that_is_gone_or_altered_is_named(kept: Path, tmp_path: Path, what: str) -> None:
    folder = copied(kept, tmp_path / "copy")
    store, statement = SPOILT[what]
    with sqlite3.connect(folder / "cloud" / f"{store}.sqlite") as database:
        (key,) = database.execute("select key from alerts order by id limit 1").fetchone()
        changed = database.execute(statement, {"key": key}).rowcount
    database.close()

    done = judge(folder)

    assert changed == 1
    assert done.returncode == 1, done.stdout + done.stderr
    assert key in done.stdout or re.search(r"no alert +p", done.stdout)


@pytest.mark.slow(4)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", ["delete", "alter"])
def test_a_point_that_is_gone_or_altered_is_named(kept: Path, tmp_path: Path, what: str) -> None:
    folder = copied(kept, tmp_path / "copy")
    with sqlite3.connect(folder / "cloud" / "records.sqlite") as records:
        (key,) = records.execute("select key from keys order by key desc limit 1").fetchone()
    records.close()
    with sqlite3.connect(folder / "cloud" / "series.sqlite") as series:
        table = series.execute(
            "select name from sqlite_master where type='table' and sql like '%time_us%'"
        ).fetchone()[0]
        columns = [row[1] for row in series.execute(f"pragma table_info({table})")]
        like = next(column for column in columns if column in {"fields", "key"})
        where = f"{like} like '%{key}%'"
        if what == "delete":
            changed = series.execute(f"delete from {table} where {where}").rowcount
        else:
            changed = series.execute(
                f"update {table} set fields = replace(replace(fields, '1', '7'), '2', '8') where {where}"
            ).rowcount
    series.close()

    done = judge(folder)

    assert changed == 1
    assert done.returncode == 1, done.stdout + done.stderr
    assert key in done.stdout or "missing" in done.stdout
