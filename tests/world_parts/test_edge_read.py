"""`vitalgate edge read` over the ward's radio and ptys: what a person sees, what stays on disk, and that the capture replays to it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from device_profiles.loader import load_catalogue, load_profiles
from drivers.cli import driver_app
from drivers.sim.fleet import Act, Device, Kind, normal_values
from drivers.sim.scenarios import Orders, Scenario, plan
from drivers.sim.world.ward import Setting, run
from drivers.testing.disk import keys_of
from edge.alone import visiting
from edge.binding import Drivers
from edge.quarantine import Quarantine
from edge.read_once import Place, Reader, read_once
from edge.tape import Shelf
from gateway.contract.capture import digest, parse
from gateway.contract.replay import Played, replay
from gateway.contract.session import UnitInfo
from gateway.contract.visit import Ending
from gateway.contract.words import in_words
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError

PATIENCE_S = 30.0
ZONE = ZoneInfo("UTC")
PROFILES = load_profiles()
RUN = CliRunner()
VITALGATE = str(Path(sys.executable).parent / "vitalgate")


def device(profile: str, kind: Kind, address: str, acts: tuple[Act, ...]) -> Device:
    return Device(
        serial="VC200-0001", maker="Virtual", model="V-100", firmware="1.4.2", profile=profile,
        kind=kind, place=address, story="under test", acts=acts,
    )  # fmt: skip


def past(kind: Kind, records: int) -> tuple[Act, ...]:
    values = islice(normal_values(kind, "past"), records)
    return tuple(Act(-1000.0 + 100 * turn, parts) for turn, parts in enumerate(values))


@dataclass
class Ward:
    folder: Path

    @property
    def ready(self) -> Mapping[str, Any]:
        return json.loads((self.folder / "ready.json").read_text())

    @property
    def truth(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "truth.jsonl").read_text().splitlines()]


@asynccontextmanager
async def ward(folder: Path, *devices: Device, seconds: float = 0) -> AsyncIterator[Ward]:
    lines: asyncio.Queue[str] = asyncio.Queue()
    end = asyncio.Event()
    setting = Setting(folder, devices, seconds=seconds, zone=ZONE, line_speed=100.0)
    running = asyncio.create_task(run(setting, SystemClock(), say=lines.put_nowait, end=end))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "on the air" not in await lines.get():
                pass
        yield Ward(folder)
    finally:
        end.set()
        await asyncio.wait_for(running, PATIENCE_S)


@dataclass
class Said:
    status: int
    out: str
    err: str
    captures: list[Path]

    @property
    def readings(self) -> list[str]:
        """The lines that tell of a measurement."""
        words = ("blood_pressure", "glucose", "body_weight")
        return [line for line in self.out.splitlines() if any(f"  {w}  " in line for w in words)]


async def read(
    alive: Ward, folder: Path, *options: str, stdout: int = asyncio.subprocess.PIPE
) -> Said:
    radio = alive.ready.get("radio")
    air = ("--radio", "hci-tcp", "--radio-address", radio) if radio else ()
    command = (VITALGATE, "edge", "read", *options, *air, "--record", str(folder))
    process = await asyncio.create_subprocess_exec(
        *command, stdout=stdout, stderr=asyncio.subprocess.PIPE,
        env={"TZ": "UTC", "PATH": "/usr/bin"},
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    captures = recorded_in(folder)
    return Said(process.returncode or 0, (out or b"").decode(), err.decode(), captures)


def recorded_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def played(capture: Path) -> tuple[Played, list[str]]:
    """What the capture replays to, and the keys that it would give."""
    told = parse(capture.read_text().splitlines())
    assert told.header["sha256"] == digest(told)
    profile = PROFILES[told.header["profile"]]
    driver = Drivers.installed(Quarantine.open(capture.parent)).load(profile.driver)
    assert driver is not None
    went = replay(driver.open(UnitInfo(profile)), told.heard)
    return went, keys_of(went.readings, profile)


async def test_a_meter_is_read_by_its_profile_alone_and_the_capture_gives_the_same(
    tmp_path: Path,
) -> None:
    meter = device("generic/glucose", "glucose", "C8:25:E3:00:00:01", past("glucose", 6))
    async with ward(tmp_path / "ward", meter) as alive:
        said = await read(alive, tmp_path / "captures", "--profile", "generic/glucose")

    assert said.status == 0, said.err
    assert len(said.readings) == 6
    assert "serial number VC200-0001" in said.out
    assert "6 readings; visit finished" in said.out
    (capture,) = said.captures
    went, keys = played(capture)
    assert went.ending is Ending.FINISHED
    assert [in_words(reading) for reading in went.readings] == said.readings
    assert len(set(keys)) == 6
    assert all("-r-" in key for key in keys)
    header = json.loads(capture.read_text().splitlines()[0])
    assert (header["driver"], header["firmware"]) == ("gatt.glucose", "1.4.2")
    assert header["origin"].startswith("recorded by vitalgate ")
    assert capture.stat().st_mode & 0o077 == 0

    # And it can be given away: scrubbed by the command, it is the same visit without the device's name.
    clean = tmp_path / "clean.jsonl"
    scrubbed = RUN.invoke(
        driver_app, ["scrub", str(capture), "--serial", "VC200-0001", "--out", str(clean)]
    )
    assert scrubbed.exit_code == 0, scrubbed.output
    again, same = played(clean)
    assert [in_words(reading) for reading in again.readings] == said.readings
    assert same == keys
    assert b"VC200-0001".hex() in capture.read_text()
    assert b"VC200-0001".hex() not in clean.read_text()


@pytest.mark.parametrize("gone", ["full", "closed"])
async def test_what_nobody_can_be_told_is_on_the_capture_all_the_same(
    tmp_path: Path, gone: str
) -> None:
    cuff = device(
        "generic/blood-pressure", "blood_pressure", "C8:25:E2:00:00:01", past("blood_pressure", 3)
    )
    asked = ("--profile", "generic/blood-pressure", "--it-may-forget")
    reader, out = os.pipe() if gone == "closed" else (None, os.open("/dev/full", os.O_WRONLY))
    if reader is not None:
        os.close(reader)
    async with ward(tmp_path / "ward", cuff) as alive:
        said = await read(alive, tmp_path / "captures", *asked, stdout=out)
        forgotten = [line for line in alive.truth if line["event"] == "confirmed"]
    os.close(out)

    assert said.status == (74 if gone == "full" else 1)
    told = [line for line in said.err.splitlines() if "standard output" in line]
    assert len(told) == (1 if gone == "full" else 0)
    assert "Traceback" not in said.err
    went, _ = played(said.captures[0])
    assert (len(went.readings), len(forgotten)) == (3, 3)


async def test_a_cuff_that_forgets_is_not_read_unasked(tmp_path: Path) -> None:
    acts = past("blood_pressure", 3)
    cuff = device("generic/blood-pressure", "blood_pressure", "C8:25:E2:00:00:01", acts)
    async with ward(tmp_path / "ward", cuff) as alive:
        refused = await read(alive, tmp_path / "captures", "--profile", "generic/blood-pressure")
        kept = [line["event"] for line in alive.truth]
        asked = ("--profile", "generic/blood-pressure", "--it-may-forget")
        said = await read(alive, tmp_path / "captures", *asked, "--address", "c8:25:e2:00:00:01")
        forgotten = [line for line in alive.truth if line["event"] == "confirmed"]

    assert refused.status == 78
    assert "deletes each record that it has told" in refused.err
    assert refused.captures == []
    assert "confirmed" not in kept
    assert said.status == 0, said.err
    assert (len(said.readings), len(forgotten)) == (3, 3)
    went, _ = played(said.captures[0])
    assert [in_words(reading) for reading in went.readings] == said.readings


async def test_a_meter_on_a_cable_and_a_scale_that_advertises_are_read_alike(
    tmp_path: Path,
) -> None:
    orders = Orders(seed=1, every_s=10.0, cuffs=0, meters=0)
    cable = next(d for d in plan(Scenario.DEMO, orders) if d.place == "meter-1")
    async with ward(tmp_path / "line", cable) as alive:
        (row,) = alive.ready["devices"]
        profile = ("--profile", "lifescan/onetouch-ultra2")
        meter = await read(alive, tmp_path / "captures", *profile, "--port", row["port"])
        measured = [line for line in alive.truth if line["event"] == "measured"]
    weight = past("body_weight", 1)[0].parts
    acts = (Act(1.0, weight),)
    scale = device("xiaomi/mi-scale-v2", "body_weight", "5C:CA:D3:00:00:01", acts)
    async with ward(tmp_path / "air", scale, seconds=60) as alive:
        weighed = await read(alive, tmp_path / "heard", "--profile", "xiaomi/mi-scale-v2")

    assert meter.status == 0, meter.err
    assert len(meter.readings) == len(measured)
    went, _ = played(meter.captures[0])
    assert [in_words(reading) for reading in went.readings] == meter.readings
    assert weighed.status == 0, weighed.err
    assert weighed.readings
    went, _ = played(weighed.captures[0])
    assert [in_words(reading) for reading in went.readings] == weighed.readings


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (("--profile", "acme/none"), "--profile"),
        (("--profile", "generic/glucose", "--port", "/dev/null"), "--port"),
        (("--profile", "lifescan/onetouch-ultra2"), "--port"),
        (("--profile", "generic/glucose", "--address", "here"), "--address"),
    ],
)
async def test_what_can_not_be_read_is_refused_with_a_sentence(
    tmp_path: Path, options: tuple[str, ...], key: str
) -> None:
    (tmp_path / "ready.json").write_text("{}")

    said = await read(Ward(tmp_path), tmp_path / "captures", *options)

    assert said.status == 78
    assert f"vitalgate: vitalgate edge read: {key}: " in said.err
    assert said.captures == []


async def test_a_port_that_is_not_there_leaves_no_capture(tmp_path: Path) -> None:
    (tmp_path / "ready.json").write_text("{}")
    options = ("--profile", "lifescan/onetouch-ultra2", "--port", str(tmp_path / "none"))

    said = await read(Ward(tmp_path), tmp_path / "captures", *options)

    assert said.status == 1
    assert "No such file" in said.err
    assert said.captures == []


@pytest.mark.parametrize("named", [True, False])
async def test_the_agent_of_the_box_leaves_it_alone_meanwhile(
    tmp_path: Path, *, named: bool
) -> None:
    address = "C8:25:E3:00:00:01"
    meter = device("generic/glucose", "glucose", address, past("glucose", 2))
    entries = load_catalogue()
    profile = entries["generic/glucose"].profile
    driver = Drivers.installed(Quarantine.open(tmp_path)).load(profile.driver)
    assert driver is not None
    agent_may = list[bool]()

    def say(_: str) -> None:
        with visiting(tmp_path, address) as mine:
            agent_may.append(mine)

    async with ward(tmp_path / "ward", meter) as alive:
        radio = ("hci-tcp", alive.ready["radio"])
        place = Place(radio=radio, address=address if named else "", box=tmp_path)
        reader = Reader(driver, entries, profile, ZONE, SystemClock(), say)
        went = await read_once(
            reader, place, Shelf(tmp_path, SystemClock(), "0").tape(profile, None)
        )

    assert went.well
    assert agent_may
    assert not any(agent_may)
    with visiting(tmp_path, address) as mine:
        assert mine


async def test_who_is_not_told_by_its_profile_alone_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.read_once.FIND_S", 3.0)
    meter = device("generic/glucose", "glucose", "C8:25:E3:00:00:01", past("glucose", 2))
    known = load_catalogue()
    twin = replace(known["generic/glucose"].profile, id="acme/glu")
    entries = {**known, "acme/glu": replace(known["generic/glucose"], profile=twin)}
    driver = Drivers.installed(Quarantine.open(tmp_path)).load(twin.driver)
    assert driver is not None

    async with ward(tmp_path / "ward", meter) as alive:
        place = Place(radio=("hci-tcp", alive.ready["radio"]))
        reader = Reader(driver, entries, twin, ZONE, SystemClock(), lambda _: None)
        with pytest.raises(LinkError) as refused:
            await read_once(reader, place, Shelf(tmp_path, SystemClock(), "0").tape(twin, None))

    assert "C8:25:E3:00:00:01: other profiles fit as well as acme/glu" in str(refused.value)
    assert "--address" in str(refused.value)
