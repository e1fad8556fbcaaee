"""`vitalgate ward --bluez` and an unmodified `vitalgate edge` with the radio "bluez", as processes on one private bus."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dbus_fast.aio import MessageBus

from tests.world_parts.bluez_hands import NEEDS_DBUS

pytestmark = [NEEDS_DBUS, pytest.mark.services, pytest.mark.timeout(240)]
VITALGATE = str(Path(sys.executable).with_name("vitalgate"))
PATIENCE_S = 200.0
LOOK_EVERY_S = 0.1
FIRST, SECOND = "5181100001", "VC200-0002"


@dataclass
class Ward:
    """A ward that is on the air, and the settings of a box that has all its devices enrolled."""

    folder: Path
    settings: Path
    env: dict[str, str]
    addresses: dict[str, str]

    def truth(self, event: str) -> list[str]:
        lines = (self.folder / "truth.jsonl").read_text().splitlines()
        return [line["id"] for line in map(json.loads, lines) if line["event"] == event]

    @property
    def quiet(self) -> bool:
        return '"event":"quiet"' in (self.folder / "truth.jsonl").read_text().replace(": ", ":")

    async def vitalgate(self, *arguments: str) -> Process:
        return await asyncio.create_subprocess_exec(
            VITALGATE, *arguments, "--settings", str(self.settings),
            stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=self.env,
        )  # fmt: skip

    async def status(self) -> dict[str, Any]:
        asked = await self.vitalgate("edge", "status", "--json")
        said, _ = await asked.communicate()
        return json.loads(said) if asked.returncode == 0 else {"issued": 0, "devices": []}

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Process]:
        process = await asyncio.create_subprocess_exec(
            VITALGATE, "edge", "run", "--settings", str(self.settings),
            stdout=DEVNULL, stderr=DEVNULL, env=self.env,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


@asynccontextmanager
async def ward(folder: Path, *orders: str) -> AsyncIterator[Ward]:
    place = folder / "ward"
    command = ["ward", "--dir", str(place), "--scenario", "kill", "--cuffs", "2", "--meters", "0"]
    log = (folder / "ward.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        VITALGATE, *command, "--every", "2", "--bluez", *orders, stdout=log, stderr=STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (place / "ready.json").exists():
                assert process.returncode is None, (folder / "ward.log").read_text()
                await asyncio.sleep(LOOK_EVERY_S)
            yield _enrolled(folder, json.loads((place / "ready.json").read_text()))
    finally:
        log.close()
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


def _enrolled(folder: Path, ready: dict[str, Any]) -> Ward:
    settings = folder / "edge.toml"
    text = f'agent = "box-1"\ntenant = "demo"\ndata_dir = "{folder / "edge"}"\nzone = "UTC"\n'
    # No broker: what was read waits in the outbox.
    text += "[mqtt]\nport = 9\n"
    for device in ready["devices"]:
        text += f'[[device]]\nprofile = "{device["profile"]}"\naddress = "{device["address"]}"\n'
    settings.write_text(text)
    addresses = {device["serial"]: device["address"] for device in ready["devices"]}
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": ready["bus"]}
    return Ward(folder / "ward", settings, env, addresses)


async def until(seen: Callable[[], bool]) -> None:
    while not seen():  # noqa: ASYNC110 another process is looked at
        await asyncio.sleep(LOOK_EVERY_S)


@pytest.mark.slow(10)
async def test_an_unmodified_agent_reads_every_cuff_of_the_ward_over_bluez(tmp_path: Path) -> None:
    async with ward(tmp_path, "--seconds", "5") as there:
        async with there.agent():
            await until(lambda: there.quiet)
            await until(lambda: len(there.truth("confirmed")) == len(there.truth("measured")))
        status = await there.status()

    assert status["issued"] == len(there.truth("measured")) > 3
    assert {device["trouble"] for device in status["devices"]} == {None}


@pytest.mark.slow(30)
async def test_an_agent_killed_with_minus_9_leaves_cuffs_that_the_next_one_reads(
    tmp_path: Path,
) -> None:
    async with ward(tmp_path, "--seconds", "24") as there:
        async with there.agent() as first:
            await until(lambda: len(there.truth("confirmed")) >= 3)
            first.kill()
        heard = len(there.truth("measured"))
        await until(lambda: len(there.truth("measured")) > heard + 1)
        # Confirmed by now: by the first, whether it lived to keep it or not. The rest is the second's.
        confirmed = len(there.truth("confirmed"))
        kept = (await there.status())["issued"]
        async with there.agent():
            await until(lambda: there.quiet)
            await until(lambda: len(there.truth("confirmed")) == len(there.truth("measured")))
        status = await there.status()

    assert status["issued"] - kept == len(there.truth("measured")) - confirmed >= 2
    assert kept <= confirmed


@pytest.mark.slow(30)
async def test_a_person_pairs_both_cuffs_and_the_agent_reads_them_from_then_on(
    tmp_path: Path,
) -> None:
    locks = (f"--secure={FIRST}=passkey", f"--secure={SECOND}=just_works")
    async with ward(tmp_path, "--seconds", "2", *locks) as there:
        async with there.agent():
            troubles = {}
            while len(troubles) < 2:
                await asyncio.sleep(LOOK_EVERY_S)
                lines = (await there.status())["devices"]
                troubles = {line["place"]: line["trouble"] for line in lines if line["trouble"]}
        for place in there.addresses.values():
            assert f"not paired: run vitalgate edge pair {place}" in troubles[place]
        assert there.truth("confirmed") == []

        wrong = await paired(there, FIRST, by_passkey=lambda shown: f"{(int(shown) + 1) % 10**6}")
        assert wrong[0] == 1
        assert "the passkey was wrong" in wrong[1]
        right = await paired(there, FIRST, by_passkey=lambda shown: shown)
        assert right[0] == 0, right[1]
        assert "is paired (by passkey), and answered without you: " in right[1]
        plain = await paired(there, SECOND)
        assert plain[0] == 0, plain[1]
        assert "it has none to show" in plain[1]
        twice = await paired(there, SECOND)
        assert (twice[0], "--again" in twice[1]) == (1, True)
        passkey = _shown(tmp_path)[-1]
        assert passkey not in right[1]

        async with there.agent():
            await until(lambda: there.quiet)
            await until(lambda: len(there.truth("confirmed")) == len(there.truth("measured")))
            # A visit takes its word back when it has ended well.
            while any(line["trouble"] for line in (await there.status())["devices"]):  # noqa: ASYNC110 another process is looked at
                await asyncio.sleep(LOOK_EVERY_S)
        status = await there.status()
    assert status["issued"] == len(there.truth("measured")) >= 2


async def paired(
    there: Ward, serial: str, by_passkey: Callable[[str], str] | None = None
) -> tuple[int | None, str]:
    before = len(_shown(there.folder.parent))
    more = ("--passkey-from-stdin",) if by_passkey else ()
    process = await there.vitalgate("edge", "pair", there.addresses[serial], *more)
    line = None
    if by_passkey is not None:
        await until(lambda: len(_shown(there.folder.parent)) > before)
        line = by_passkey(_shown(there.folder.parent)[-1]).encode() + b"\n"
    said, _ = await process.communicate(line)
    return process.returncode, said.decode()


def _shown(folder: Path) -> list[str]:
    lines = (folder / "ward.log").read_text().splitlines()
    return [line.split()[-1] for line in lines if "shows the passkey" in line]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
async def test_a_ward_that_is_killed_takes_its_bus_with_it(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        VITALGATE, "ward", "--dir", str(tmp_path / "ward"), "--bluez", stdout=DEVNULL
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            await until((tmp_path / "ward" / "ready.json").exists)
            address = json.loads((tmp_path / "ward" / "ready.json").read_text())["bus"]
            bus = await MessageBus(bus_address=address).connect()
            process.kill()
            with pytest.raises(EOFError):
                await bus.wait_for_disconnect()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("wish", [f"{FIRST}=maybe", "nobody=passkey", "passkey"])
async def test_a_lock_that_no_cuff_can_have_is_refused_in_words(tmp_path: Path, wish: str) -> None:
    process = await asyncio.create_subprocess_exec(
        VITALGATE, "ward", "--dir", str(tmp_path / "w"), "--secure", wish,
        stdout=PIPE, stderr=STDOUT, env={**os.environ, "COLUMNS": "400"},
    )  # fmt: skip
    said, _ = await process.communicate()

    assert process.returncode == 2
    assert "write SERIAL=just_works or SERIAL=passkey" in said.decode()
    assert not (tmp_path / "w").exists()
