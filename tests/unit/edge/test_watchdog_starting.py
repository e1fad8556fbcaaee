"""A start that takes long, as the salvage of a large outbox does, asks the service manager for time: who is killed begins anew."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge import watchdog
from tests.unit.edge.empty_home import start_and_stop


@pytest.fixture
async def manager(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[socket.socket]:
    # A path of a socket has room for 107 octets: pytest's own folders may have more.
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
    ):
        listening.bind(f"{folder}/notify")
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        yield listening


async def test_time_is_asked_for_while_the_outbox_is_opened_and_no_longer(
    manager: socket.socket, tmp_path: Path
) -> None:
    await start_and_stop(tmp_path)

    assert manager.recv(100) == watchdog.STARTING
    assert manager.recv(100) == watchdog.READY
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_time_is_asked_for_again_and_again(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "STARTING_EVERY_S", 0.0)
    loop = asyncio.get_running_loop()

    async with watchdog.starting():
        signs = [await loop.sock_recv(manager, 100) for _ in range(3)]

    assert signs == [watchdog.STARTING] * 3
