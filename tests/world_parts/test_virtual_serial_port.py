"""The virtual serial port, opened with pyserial as a host would."""

# ruff: noqa: ASYNC240 - looking at a symlink in tmp_path blocks nobody
from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import serial

from drivers.sim.world.serial_port import SAY_BYTES_MAX, VirtualSerialPort

PATIENCE_S = 30.0


class Ear:
    """Collects what the host wrote."""

    def __init__(self) -> None:
        self.heard = b""
        self._news = asyncio.Event()

    def __call__(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    async def until(self, expected: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.heard != expected:
                assert expected.startswith(self.heard)
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def ear() -> Ear:
    return Ear()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "ttyUSB0"


@pytest.fixture
async def port(path: Path, ear: Ear) -> AsyncIterator[VirtualSerialPort]:
    port = VirtualSerialPort(path, ear, speed=1000)
    port.plug()
    yield port
    port.unplug()


def open_host(path: Path) -> serial.Serial:
    return serial.Serial(str(path), 9600, timeout=PATIENCE_S, exclusive=True)


async def in_thread(work: Callable[[int], bytes], size: int) -> bytes:
    return await asyncio.to_thread(work, size)


async def test_bytes_pass_both_ways_unchanged(
    port: VirtualSerialPort, path: Path, ear: Ear
) -> None:
    every_byte = bytes(range(256))
    with open_host(path) as host:
        host.write(every_byte)
        await ear.until(every_byte)
        port.say(every_byte)
        assert await in_thread(host.read, 256) == every_byte


async def test_a_port_can_be_closed_and_opened_again(
    port: VirtualSerialPort, path: Path, ear: Ear
) -> None:
    for number in range(3):
        with open_host(path) as host:
            assert port.opened
            host.write(b"%d" % number)
            await ear.until(b"012"[: number + 1])
            port.say(b"ok")
            assert await in_thread(host.read, 2) == b"ok"
        assert not port.opened
        await asyncio.sleep(0.03)


async def test_what_a_host_writes_and_closes_at_once_is_heard(
    port: VirtualSerialPort, path: Path, ear: Ear
) -> None:
    with open_host(path) as host:
        host.write(b"hello")
    await ear.until(b"hello")


async def test_an_unplugged_port_is_gone_and_an_open_host_gets_an_error(
    port: VirtualSerialPort, path: Path
) -> None:
    with open_host(path) as host:
        reading = asyncio.create_task(in_thread(host.read, 1))
        await asyncio.sleep(0.05)
        port.unplug()
        with pytest.raises(OSError, match=r"readiness|Input/output"):
            async with asyncio.timeout(PATIENCE_S):
                await reading
    assert not path.is_symlink()
    assert not port.plugged
    with pytest.raises(RuntimeError, match="unplugged: nobody can hear 3 bytes"):
        port.say(b"abc")


async def test_a_port_plugged_again_is_found_under_its_name(
    port: VirtualSerialPort, path: Path, ear: Ear
) -> None:
    port.unplug()
    port.plug()
    with open_host(path) as host:
        host.write(b"again")
        await ear.until(b"again")


async def test_plug_takes_over_a_stale_symlink(path: Path, ear: Ear) -> None:
    path.symlink_to("/dev/pts/does-not-exist")
    port = VirtualSerialPort(path, ear)
    port.plug()
    assert path.exists()
    port.unplug()
    assert not path.is_symlink()


async def test_unplug_leaves_another_ports_symlink(path: Path, ear: Ear) -> None:
    port, other = VirtualSerialPort(path, ear), VirtualSerialPort(path, ear)
    port.plug()
    other.plug()
    port.unplug()
    assert path.exists()
    other.unplug()


async def test_speech_is_paced_at_the_lines_speed(path: Path, ear: Ear) -> None:
    port = VirtualSerialPort(path, ear, baud=9600)
    port.plug()
    with open_host(path) as host:
        began_s = asyncio.get_running_loop().time()
        port.say(bytes(200))
        got = await in_thread(host.read, 200)
        took_s = asyncio.get_running_loop().time() - began_s
    port.unplug()
    assert got == bytes(200)
    assert took_s >= 200 / 960 * 0.95


async def test_a_host_that_does_not_read_blocks_nobody_and_loses_nothing(
    port: VirtualSerialPort, path: Path
) -> None:
    spoken = os.urandom(200_000)
    with open_host(path) as host:
        port.say(spoken)
        # Far more than a pty holds: the loop must go on turning meanwhile.
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0.4)
        heard = await in_thread(host.read, len(spoken))
        async with asyncio.timeout(PATIENCE_S):
            await port.said()
    assert heard == spoken


async def test_more_than_the_bound_is_refused_and_what_was_queued_stays(
    port: VirtualSerialPort, path: Path
) -> None:
    with open_host(path) as host:
        port.say(b"first")
        with pytest.raises(BufferError, match=f"limit is {SAY_BYTES_MAX}"):
            port.say(bytes(SAY_BYTES_MAX))
        assert await in_thread(host.read, 5) == b"first"


async def test_what_is_said_to_a_closed_port_is_lost_on_the_wire(
    port: VirtualSerialPort, path: Path
) -> None:
    port.say(b"into the void")
    async with asyncio.timeout(PATIENCE_S):
        await port.said()
    with open_host(path) as host:
        port.say(b"heard")
        assert await in_thread(host.read, 5) == b"heard"


async def test_a_port_that_nobody_has_open_costs_next_to_nothing(
    port: VirtualSerialPort, path: Path
) -> None:
    with open_host(path):
        await asyncio.sleep(0.03)
    before_s = time.thread_time()
    await asyncio.sleep(0.3)
    assert time.thread_time() - before_s < 0.1
