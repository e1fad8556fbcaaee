"""The agent leaves a device alone that a person pairs, and the person waits for a visit that is under way."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge import alone
from edge.alone import attending, visiting

ADDRESS, OTHER = "C0:11:22:33:44:55", "C0:11:22:33:44:66"


async def test_what_a_person_pairs_is_not_visited_and_all_others_are(tmp_path: Path) -> None:
    async with attending(tmp_path, ADDRESS):
        with visiting(tmp_path, ADDRESS) as mine, visiting(tmp_path, OTHER) as others:
            assert (mine, others) == (False, True)
    with visiting(tmp_path, ADDRESS) as mine:
        assert mine


async def test_a_person_waits_for_the_visit_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "LOOK_EVERY_S", 0.01)
    begun = asyncio.Event()

    async def pair() -> None:
        async with attending(tmp_path, ADDRESS):
            begun.set()

    with visiting(tmp_path, ADDRESS):
        person = asyncio.create_task(pair())
        await asyncio.sleep(0.05)
        assert not begun.is_set()
    await asyncio.wait_for(begun.wait(), 30)
    await person


async def test_a_visit_that_never_ends_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(alone, "WAIT_S_MAX", 0.05)
    with visiting(tmp_path, ADDRESS) as mine:
        async with attending(tmp_path, ADDRESS):
            assert mine


def test_a_person_who_is_killed_gives_the_device_back(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from edge.alone import attending\n"
        "async def hold():\n"
        "    async with attending(Path(sys.argv[1]), sys.argv[2]):\n"
        "        print('held', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(hold())"
    )
    command = [sys.executable, "-c", code, str(tmp_path), ADDRESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        with visiting(tmp_path, ADDRESS) as mine:
            assert not mine
        held.send_signal(signal.SIGKILL)
        held.wait()
    with visiting(tmp_path, ADDRESS) as mine:
        assert mine


async def test_where_no_agent_has_run_or_the_disk_keeps_no_lock_nobody_is_kept_off(
    tmp_path: Path,
) -> None:
    async with attending(tmp_path / "none", ADDRESS):
        assert not (tmp_path / "none").exists()
    (tmp_path / alone.FOLDER).write_text("no folder")
    async with attending(tmp_path, ADDRESS):
        with visiting(tmp_path, ADDRESS) as mine:
            assert mine
