"""Frames of a cuff that nobody can read, and that it has forgotten: kept as they came, and those around them are read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import filing
from edge.outbox.port import AsyncOutbox
from edge.outbox.records import OutboxLimits
from gateway.runtime.clock import ManualClock
from tests.unit.edge.cuff_home import TRUE, Home


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    clock = ManualClock(TRUE)
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", clock)
    yield Home(tmp_path, outbox, clock)
    await outbox.close()


def kept(folder: Path) -> list[str]:
    path = folder / "unread.jsonl"
    return [json.loads(line)["hex"] for line in path.read_text().splitlines()]


def tell_with_a_cut_frame(home: Home) -> str:
    home.cuff.measure()
    home.pass_s(60)
    home.cuff.measure()
    home.cuff.records.insert(1, home.cuff.records[1][:9])
    return home.cuff.records[1].hex()


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_cut_frame_is_kept_and_those_behind_it_are_read(
    home: Home, tmp_path: Path, *, hangs_up: bool
) -> None:
    cut = tell_with_a_cut_frame(home)
    home.cuff.hangs_up = hangs_up

    visited = await home.visit()

    assert (visited.well, visited.readings) == (False, 2)
    assert kept(tmp_path) == [cut]
    assert home.box.counters.snapshot()["frames.unread"] == 1
    state = (await home.outbox.status()).devices[0]
    assert cut in str(state.trouble)


async def test_a_cut_frame_is_kept_also_where_what_follows_finds_no_room(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.cuff.measure()
    await home.visit()
    monkeypatch.setattr(filing, "ROOM_USED_MAX", 2.0)
    monkeypatch.setattr(filing, "ACCEPT_TRIES_MAX", 1)
    home.outbox._outbox._limits = OutboxLimits(rows_max=1)
    home.pass_s(60)
    home.cuff.measure()
    home.cuff.records.insert(0, b"\x16\x8a")
    last = home.cuff.records[-1].hex()

    await home.visit()

    assert sorted(kept(tmp_path)) == sorted(["168a", last])
