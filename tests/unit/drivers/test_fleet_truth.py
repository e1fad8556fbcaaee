"""The truth file: what a line says, and that none is written into another run's."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.sim.fleet import glucose, kilopascals
from drivers.sim.truth import AlertDue, Measured, TruthFile, shown_parts
from gateway.model.quantity import Limit
from gateway.runtime.errors import ConfigError, StoreError

AT = datetime(2026, 3, 14, 7, 5, 9, 120_000, tzinfo=UTC)


def measured(name: str) -> Measured:
    return Measured(
        id=name, serial="VGM00001Y", kind="glucose", raw_time="2026-03-14T07:05:09", clock="good",
        true_time="2026-03-14T07:05:09.120Z", parts=shown_parts(glucose(Limit.BELOW)),
        marks=("control",), memory="kept", flags=("GLU-L2",), alert=AlertDue("GLU-L2", "live"),
    )  # fmt: skip


async def test_every_event_is_a_line_of_its_own_that_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as truth:
        await truth.measured(measured("m-0001"))
        truth.confirmed("m-0001", AT)
        truth.overwritten("m-0001", AT)
        truth.quiet(AT)
    at = "2026-03-14T07:05:09.120Z"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "event": "measured", "id": "m-0001", "serial": "VGM00001Y", "kind": "glucose",
            "raw_time": "2026-03-14T07:05:09", "clock": "good", "true_time": at,
            "parts": {"value": {"limit": "below"}}, "marks": ["control"], "memory": "kept",
            "flags": ["GLU-L2"], "alert": {"condition": "GLU-L2", "how": "live"},
        },
        {"event": "confirmed", "id": "m-0001", "at": at},
        {"event": "overwritten", "id": "m-0001", "at": at},
        {"event": "quiet", "at": at},
    ]  # fmt: skip


def test_a_value_keeps_the_digits_that_the_device_shows() -> None:
    parts = shown_parts(kilopascals("16.0", "10.5", "12.5", 69))
    assert (parts["systolic"].value, parts["systolic"].unit) == ("16.0", "kPa")


async def test_what_was_measured_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path) as truth:
        await truth.measured(measured("m-0001"))
        assert json.loads(path.read_text())["id"] == "m-0001"


def test_the_truth_of_another_run_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text("kept")
    with pytest.raises(ConfigError, match="--dir: it holds the truth of another run"):
        TruthFile(path)
    assert path.read_text() == "kept"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/truth\.jsonl: --dir: it can't be written"):
        TruthFile(tmp_path / "nowhere" / "truth.jsonl")


async def test_a_disk_that_takes_no_line_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with TruthFile(tmp_path / "truth.jsonl") as truth:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="No space left"):
            await truth.measured(measured("m-0001"))
