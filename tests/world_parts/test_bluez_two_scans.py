"""Two programs that begin discovery at one moment: BlueZ answers only the last, and a box must hear all the same."""

import asyncio
from pathlib import Path

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.bluez.discovery import Discovery
from drivers.sim.world.bluez.service import BluezService
from edge.links.ble_radio import BleRadio, Heard
from gateway.contract.session import Opened
from gateway.runtime.clock import SystemClock
from gateway.runtime.errors import LinkError
from tests.world_parts.bluez_hands import NEEDS_DBUS, Cuff, bluez, described

pytestmark = [NEEDS_DBUS, pytest.mark.services]
ADDRESS = "F0:00:00:00:00:01"


async def call(bus: MessageBus, member: str) -> Message:
    return await bus.call(
        Message(
            destination="org.bluez", path="/org/bluez/hci0", member=member,
            interface="org.bluez.Adapter1",
        )
    )  # fmt: skip


class SlowStart:
    """Holds discovery where it is being begun, until told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.go = asyncio.Event(), asyncio.Event()
        begin = VirtualAdapter.add_scanner

        async def held(adapter: VirtualAdapter, scanner: Discovery) -> None:
            self.entered.set()
            await self.go.wait()
            await begin(adapter, scanner)

        monkeypatch.setattr(VirtualAdapter, "add_scanner", held)


async def test_a_box_whose_scan_is_never_answered_leaves_the_bus_and_hears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.links.ble_radio.SCAN_PATIENCE_S", 2.0)
    async with bluez(tmp_path, monkeypatch) as world:
        await world.put(described(), Cuff([]))
        slow, heard = SlowStart(monkeypatch), asyncio.Queue[Heard]()
        radio = BleRadio("bluez", "")
        await radio.open()
        listening = asyncio.create_task(radio.listen(heard.put_nowait))
        await slow.entered.wait()
        other = await MessageBus(bus_address=world.address).connect()
        begun = asyncio.create_task(call(other, "StartDiscovery"))
        # Answered behind it, so that was heard.
        assert (await call(other, "NoSuchMethod")).message_type is MessageType.ERROR
        slow.go.set()

        assert (await begun).message_type is MessageType.METHOD_RETURN
        await listening
        assert (await heard.get()).address == ADDRESS
        # And as long as it likes: it is a client like any other again.
        await radio.listen(heard.put_nowait)
        await radio.close()
        other.disconnect()


async def test_links_are_hung_up_before_the_bus_is_left_since_bluez_would_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.links.ble_radio.SCAN_PATIENCE_S", 2.0)
    hung_up: list[str] = []
    disconnect = BluezService._disconnect

    async def noted(service: BluezService, call: Message) -> object:
        hung_up.append(str(call.path))
        return await disconnect(service, call)

    monkeypatch.setattr(BluezService, "_disconnect", noted)
    async with bluez(tmp_path, monkeypatch) as world:
        device = await world.put(described(), Cuff([]))
        heard, radio = asyncio.Queue[Heard](), BleRadio("bluez", "")
        await radio.open()
        await radio.listen(heard.put_nowait)
        link = await radio.connect(await heard.get(), {}, SystemClock().monotonic)
        await radio.hush()
        slow = SlowStart(monkeypatch)
        listening = asyncio.create_task(radio.listen(heard.put_nowait))
        await slow.entered.wait()
        other = await MessageBus(bus_address=world.address).connect()
        begun = asyncio.create_task(call(other, "StartDiscovery"))
        assert (await call(other, "NoSuchMethod")).message_type is MessageType.ERROR
        slow.go.set()
        await begun
        await listening

        assert hung_up == ["/org/bluez/hci0/dev_F0_00_00_00_00_01"]
        assert [type(event) async for event in link.events()] == [Opened]
        assert device.link is None
        await radio.close()
        other.disconnect()


async def test_without_bluez_that_is_said_after_a_bounded_number_of_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    with pytest.raises(LinkError):
        await BleRadio("bluez", "").listen(lambda _: None)
