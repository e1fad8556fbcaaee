"""`vitalgate ward` as a process: its files, its end, and what it says to bad orders."""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.runtime.clock import from_iso

PATIENCE_S = 40.0
VITALGATE = Path(sys.executable).with_name("vitalgate")


@asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        str(VITALGATE), "ward", *arguments, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(process: Process, part: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while line := (await process.stdout.readline()).decode():
        lines.append(line)
        if part in line:
            return lines
    assert process.stderr is not None
    pytest.fail(f"it ended without {part!r}: {(await process.stderr.read()).decode()}")


async def test_a_kill_fleet_measures_steadily_falls_quiet_and_ends_cleanly(tmp_path: Path) -> None:
    folder = tmp_path / "ward"
    orders = (
        "--scenario",
        "kill",
        "--cuffs",
        "2",
        "--meters",
        "1",
        "--ble-meters",
        "1",
        "--every",
        "2",
    )
    async with command("--dir", str(folder), "--seconds", "5.2", *orders) as ward:
        began = await until(ward, "on the air")
        ready = json.loads((folder / "ready.json").read_text())
        await until(ward, "quiet")
        ward.send_signal(signal.SIGTERM)
        assert await ward.wait() == 0
    assert [row["serial"] for row in ready["devices"]] == [
        "5181100001", "VC200-0002", "VGM00001Y", "00000001",
    ]  # fmt: skip
    assert all(any(row["serial"] in line for line in began) for row in ready["devices"])
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["measured"] * (len(lines) - 1) + ["quiet"]
    measured = lines[:-1]
    assert [line["id"] for line in measured] == [
        f"m-{number:04d}" for number in range(1, len(measured) + 1)
    ]
    assert Counter(line["serial"] for line in measured) == {
        "5181100001": 3, "VC200-0002": 3, "VGM00001Y": 2, "00000001": 2,
    }  # fmt: skip
    assert {(str(line["flags"]), line["alert"]) for line in measured} == {("[]", None)}
    assert all(from_iso(line["true_time"]) <= from_iso(lines[-1]["at"]) for line in measured)
    assert not list((folder / "ports").iterdir())


async def test_the_demo_has_its_past_in_the_truth_when_it_is_ready(tmp_path: Path) -> None:
    async with command("--dir", str(tmp_path), "--zone", "Asia/Shanghai", "--scales", "0") as ward:
        await until(ward, "8 devices are on the air")
        truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
        ready = json.loads((tmp_path / "ready.json").read_text())
        ward.send_signal(signal.SIGINT)
        assert await ward.wait() == 0
    past = Counter(line["serial"] for line in truth if line["raw_time"] < "9")
    assert {row["serial"] for row in ready["devices"]} == set(past)
    assert past["VGM00001Y"] >= 40
    alerts = {line["serial"]: line["alert"] for line in truth if line["alert"]}
    assert alerts == {
        "5181100001": {"condition": "BP-CRISIS", "how": "live"},
        "5181100003": {"condition": "BP-CRISIS", "how": "late"},
        "00000001": {"condition": "GLU-L2", "how": "live"},
        "VGM00001Y": {"condition": "GLU-L2", "how": "live"},
        "VGM00002Y": {"condition": "GLU-L2", "how": "late"},
    }


async def test_a_folder_that_holds_another_runs_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "truth.jsonl").write_text("")
    async with command("--dir", str(tmp_path)) as ward:
        _, said = await ward.communicate()
        assert ward.returncode == 78
    assert f"{tmp_path}/truth.jsonl: --dir: it holds the truth of another run" in said.decode()


async def test_a_radio_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with command("--dir", str(tmp_path), "--radio-port", str(port)) as ward:
            _, said = await ward.communicate()
            assert ward.returncode == 78
    assert f"127.0.0.1:{port}: --radio-port: it can't be had" in said.decode()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "Missing option"),
        (("--scenario", "party"), "'party' is not one of"),
        (("--every", "0.5"), "'--every': Input should be greater than or equal to 2"),
        (("--every", "nan"), "'--every': Input should be greater than or equal to 2"),
        (("--every", "inf"), "inf is no number of seconds"),
        (("--seconds", "-1"), "'--seconds': Input should be greater than or equal to 0"),
        (("--seconds", "inf"), "inf is no number of seconds"),
        (("--radio-port", "70000"), "'--radio-port': Input should be less than or equal to 65535"),
        (("--line-speed", "0"), "'--line-speed': Input should be greater than or equal to 0.01"),
        (("--zone", "Middle/Earth"), "'Middle/Earth' is no IANA zone"),
        (("--zone", "../../etc/passwd"), "is no IANA zone"),
        (("--cuffs", "2"), "--cuffs and --meters are for --scenario kill"),
        (("--scenario", "kill", "--cuffs", "0", "--meters", "0"), "measures nothing"),
        (
            ("--scenario", "kill", "--cuffs", "65"),
            "'--cuffs': Input should be less than or equal to 64",
        ),
    ],
)
def test_bad_orders_are_refused_in_words(
    tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415 only here

    from drivers.sim.world.cli import app  # noqa: PLC0415 only here

    folder = tmp_path / "ward"
    where = ("--dir", str(folder)) if options else ()
    outcome = CliRunner().invoke(app, [*where, *options], env={"COLUMNS": "400"})
    assert outcome.exit_code == 2
    assert complaint in outcome.output
    assert not folder.exists()
