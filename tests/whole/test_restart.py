"""Restarts and what is damaged meanwhile: boxes, clouds and wards that go and come again lose nothing."""

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from demo import processes
from tests.whole.steady import STEADY, everything, everything_on_the_box


@pytest.mark.slow(55)
@pytest.mark.timeout(240)
def test_sigterm_in_the_middle_of_visits_loses_nothing(whole) -> None:
    everything(whole, *STEADY, "--seconds", "40")
    for pause_s in (0.3, 0.9, 1.7, 2.6, 3.1, 0.6):
        whole.end("edge")
        whole.start("edge")
        time.sleep(3 + pause_s)
    whole.arrived()

    assert "Traceback" not in whole.logs()
    assert whole.judge() == []


@pytest.mark.slow(40)
@pytest.mark.timeout(240)
def test_a_ward_that_ends_and_comes_back_is_read_again(whole) -> None:
    whole.start_broker("iotcore")
    radio_port = str(processes.free_port())
    whole.start_ward(*STEADY, "--seconds", "8", "--radio-port", radio_port)
    whole.start_edge()
    whole.bind_everybody()
    whole.start_cloud()
    whole.arrived()
    before = {one["key"] for one in whole.readings()}
    whole.kill("ward")
    first = whole.house.ward / "truth.jsonl"
    earlier = first.read_text().splitlines()
    time.sleep(5)
    first.unlink()
    ready = whole.house.ward / "ready.json"
    ready.unlink()
    whole.start("ward")
    whole.until("the ward to be back", lambda: ready.exists() and whole.truth().quiet, 60)
    told = len([line for line in earlier if '"measured"' in line]) + len(whole.truth().measured)
    whole.until("both lives' readings", lambda: len(whole.readings()) >= told, 90)

    assert before < {one["key"] for one in whole.readings()}
    assert len(whole.readings()) == told
    assert whole.process("edge").poll() is None


@pytest.mark.slow(45)
@pytest.mark.timeout(240)
def test_a_damaged_outbox_is_moved_aside_and_only_what_was_in_the_damage_is_missing(whole) -> None:
    whole.start_broker("iotcore")
    whole.start_ward(*STEADY, "--seconds", "30")
    whole.start_edge()
    whole.bind_everybody()
    whole.until("the ward to fall quiet", lambda: whole.truth().quiet, 60)
    whole.until("all on the box", lambda: everything_on_the_box(whole), 60)
    whole.end("edge")
    outbox = whole.house.folder / "edge" / "outbox.sqlite"
    page = page_of_bodies(outbox)
    with outbox.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    whole.start("edge")
    whole.start_cloud()
    whole.until("the box to be empty", lambda: whole.status()["pending"] == 0, 90)
    found = whole.judge()

    aside = list(outbox.parent.glob("outbox.sqlite.damaged-*"))
    assert aside
    assert {one.what for one in found} <= {"missing"}
    assert len(found) <= 16, "more than one page's rows"
    assert "damaged" in whole.spoken_status()
    on_meters = {one.id for one in whole.truth().measured if one.kind == "glucose"}
    whole.until(
        "the meters to be read again",
        lambda: on_meters.isdisjoint(one.who for one in whole.judge()),
        60,
    )


def page_of_bodies(outbox: Path) -> int:
    """A page (from 0) in the middle of the table that holds the readings."""
    with contextlib.closing(sqlite3.connect(outbox)) as db:
        db.execute("pragma wal_checkpoint(truncate)")
        body = db.execute(
            "select substr(body, 1, 120) from rows order by id limit 1 offset (select count(*) / 2 from rows)"
        ).fetchone()[0]
        assert db.execute("pragma page_size").fetchone() == (4096,)
    at = outbox.read_bytes().find(bytes(body))
    assert at > 4096
    return at // 4096
