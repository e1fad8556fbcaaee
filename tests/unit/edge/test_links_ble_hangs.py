"""A bluetoothd that hangs: each call of the link ends within the patience that has its name, and says what it waited for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from bleak.backends.device import BLEDevice

from device_profiles.loader import load_profiles
from edge.links import ble
from edge.links.ble import BleLink, open_ble
from gateway.contract.profile import BleChannel
from gateway.contract.session import Read, Received, Subscribe, Write
from gateway.runtime.errors import LinkError

CHANNELS = {"clock": BleChannel("1805", "2a2b"), "measurement": BleChannel("1810", "2a35")}
DEVICE = BLEDevice("F0:00:00:00:00:01", "Cuff", {})
AT_MOST_S = 30.0  # for a test whose patience is a small part of that


@dataclass
class Characteristic:
    """As bleak has it."""

    uuid: str


@dataclass
class Service:
    """As bleak has it."""

    uuid: str
    characteristics: list[Characteristic]


@dataclass
class Stuck:
    """Bleak's client over a daemon that answers all calls but those that are named: they never end."""

    hangs: frozenset[str]
    called: list[str] = field(default_factory=list[str])
    is_connected: bool = True
    services = (
        Service("1805", [Characteristic("2a2b")]),
        Service("1810", [Characteristic("2a35")]),
    )

    async def _call(self, name: str) -> None:
        self.called.append(name)
        if name in self.hangs:
            await asyncio.Event().wait()

    async def connect(self) -> None:
        await self._call("connect")

    async def disconnect(self) -> None:
        await self._call("disconnect")

    async def start_notify(self, _at: Characteristic, _hear: Callable[..., None]) -> None:
        await self._call("subscribe")

    async def stop_notify(self, _at: Characteristic) -> None:
        await self._call("unsubscribe")

    async def read_gatt_char(self, _at: Characteristic) -> bytearray:
        await self._call("read")
        return bytearray(b"\1")

    async def write_gatt_char(self, _at: Characteristic, _data: bytes, *, response: bool) -> None:
        assert response
        await self._call("write")


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Stuck]:
    for name in ("CONNECT_PATIENCE_S", "GATT_PATIENCE_S", "PARTING_PATIENCE_S"):
        monkeypatch.setattr(ble, name, 0.05)

    def made(*hangs: str) -> Stuck:
        client = Stuck(frozenset(hangs))

        def instead(*_args: Any, **_named: Any) -> Stuck:  # noqa: ANN401 as bleak's
            return client

        monkeypatch.setattr(ble, "BleakClient", instead)
        return client

    return made


async def soon(call: Awaitable[object]) -> object:
    async with asyncio.timeout(AT_MOST_S):
        return await call


def opened() -> Awaitable[BleLink]:
    return open_ble(DEVICE, CHANNELS, lambda: 0.0)


async def test_a_connection_that_hangs_is_given_up_and_let_go(
    stuck: Callable[..., Stuck],
) -> None:
    client = stuck("connect")

    with pytest.raises(LinkError, match=r"connect: no answer within 0\.05 s"):
        await soon(opened())
    assert client.called == ["connect", "disconnect"]


async def test_a_connection_is_given_up_also_where_parting_hangs(
    stuck: Callable[..., Stuck],
) -> None:
    stuck("connect", "disconnect")

    with pytest.raises(LinkError, match="connect: no answer"):
        await soon(opened())


CALLS: Mapping[str, Subscribe | Write | Read] = {
    "subscribe measurement": Subscribe("measurement"),
    "write clock": Write("clock", b"\1"),
    "read clock": Read("clock"),
}


@pytest.mark.parametrize("what", CALLS)
async def test_a_call_that_hangs_ends_and_names_itself(
    stuck: Callable[..., Stuck], what: str
) -> None:
    client = stuck(what.split(maxsplit=1)[0])
    link = await opened()

    with pytest.raises(LinkError, match=f"{what}: no answer within 0.05 s"):
        await soon(link.perform(CALLS[what]))
    # What doesn't hang still works, and the link can be let go.
    others = [command for name, command in CALLS.items() if name != what]
    for command in others:
        await soon(link.perform(command))
    await soon(link.close())
    assert client.called[-1] == "disconnect"


@pytest.mark.parametrize("hangs", [("unsubscribe",), ("disconnect",), ("unsubscribe", "disconnect")])  # fmt: skip
async def test_parting_ends_whatever_hangs_and_what_was_heard_is_kept(
    stuck: Callable[..., Stuck], hangs: tuple[str, ...]
) -> None:
    client = stuck(*hangs)
    link = await opened()
    await link.perform(Read("clock"))
    await link.perform(Subscribe("measurement"))

    await soon(link.close())

    assert client.called[-2:] == ["unsubscribe", "disconnect"]
    heard = [event async for event in link.events()]
    assert [event.data for event in heard if isinstance(event, Received)] == [b"\1"]


def test_every_patience_is_shorter_than_any_visit() -> None:
    shortest = min(profile.deadline_s for profile in load_profiles().values())

    for patience_s in (ble.CONNECT_PATIENCE_S, ble.GATT_PATIENCE_S, ble.PARTING_PATIENCE_S):
        assert 0 < patience_s < shortest
