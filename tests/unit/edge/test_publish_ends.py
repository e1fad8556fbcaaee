"""Connections that are given up half-way leave no socket and no unanswered future behind."""

import asyncio
import gc
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from edge.publish import BrokerError, Connection
from edge.settings import MqttSettings
from gateway.runtime.counters import Counters
from gateway.runtime.errors import ConfigError
from gateway.wire.topics import Branch


def connect_to(port: int, **how: object) -> Connection:
    told = MqttSettings(host="127.0.0.1", port=port, **how)  # type: ignore[arg-type]
    branch = Branch("demo", "box-1")
    return Connection(told, branch, Counters(), will=b"{}", changed=lambda: None)


class Silent:
    """Accepts one connection, says nothing, and knows when it was hung up on."""

    async def __aenter__(self) -> Self:
        self.came, self.hung_up = asyncio.Event(), asyncio.Event()
        self.server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_how: object) -> None:
        self.server.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        self.hung_up.set()


@pytest.fixture
def complaints() -> list[dict[str, object]]:
    return []


async def ended(opening: "asyncio.Task[None]", connection: Connection) -> None:
    opening.cancel()
    with suppress(asyncio.CancelledError):
        await opening
    connection.close()


async def test_a_connection_that_is_given_up_while_it_opens_hangs_up(
    complaints: list[dict[str, object]],
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(told))
    async with Silent() as server:
        connection = connect_to(server.port)
        opening = asyncio.create_task(connection.open())
        await server.came.wait()
        await ended(opening, connection)
        await server.hung_up.wait()
    del connection, opening
    gc.collect()
    assert complaints == []


async def test_a_broker_that_never_answers_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.publish.CONNECT_S", 0.3)
    async with Silent() as server:
        connection = connect_to(server.port)
        with pytest.raises(BrokerError, match=r"no answer within 0\.3 s"):
            await connection.open()
        connection.close()
        await server.hung_up.wait()


async def test_a_password_that_can_not_be_read_is_the_operators_to_mend(
    tmp_path: Path, complaints: list[dict[str, object]]
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(told))
    connection = connect_to(1, username="box-1", password_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"mqtt\.password_file"):
        await connection.open()
    connection.close()

    assert connection.ended == "closed here"
    del connection
    gc.collect()
    assert complaints == []
