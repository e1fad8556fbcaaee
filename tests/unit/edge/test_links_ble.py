"""The Bluetooth link and radio over the virtual radio: plain bleak, a real ATT, and what goes wrong on the air."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest

from demo.processes import free_port
from drivers.sim.world.air import Air
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.hci_tcp import serve_radio
from drivers.sim.world.peripheral import VirtualPeripheral
from edge.links import ble
from edge.links.arrival import Arrivals
from edge.links.ble import TurnedAwayError
from edge.links.ble_radio import BleRadio, Heard
from edge.links.inbox import ARRIVED_MAX
from edge.radio import Radio
from gateway.contract.profile import BleChannel
from gateway.contract.session import Link, Opened, Read, Received, Refused, Subscribe, Write
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters
from gateway.runtime.errors import ConfigError, LinkError

PATIENCE_S = 30.0
NOW: Callable[[], float] = Arrivals(SystemClock()).now
ADDRESS = "F0:00:00:00:00:01"


def full(uuid16: int) -> str:
    return f"0000{uuid16:04x}-0000-1000-8000-00805f9b34fb"


CHANNELS = {
    "measurement": BleChannel(full(0x1810), full(0x2A35)),
    "feature": BleChannel(full(0x1810), full(0x2A49)),
    "current_time": BleChannel(full(0x1805), full(0x2A2B)),
    "serial_number": BleChannel(full(0x180A), full(0x2A25)),
    "absent": BleChannel(full(0x180F), full(0x2A19)),
}
CUFF = DeviceDescription(
    address=ADDRESS,
    name="Cuff",
    services=(
        GattService(
            0x1810,
            (
                GattCharacteristic(0x2A35, frozenset({"indicate"})),
                GattCharacteristic(0x2A49, frozenset({"read"})),
            ),
        ),
        GattService(0x1805, (GattCharacteristic(0x2A2B, frozenset({"read", "write"})),)),
        GattService(0x180A, (GattCharacteristic(0x2A25, frozenset({"read"}), b"A-77"),)),
    ),
    advertised=(0x1810,),
    advertising_interval_ms=20,
)


class Cuff:
    """A peer that deletes a record when its indication is confirmed."""

    def __init__(self, *records: bytes) -> None:
        self.records = list(records)
        self.written: list[bytes] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = asyncio.Event()
        self.refusal = 0x81
        self.link: CentralLink | None = None
        self.told = asyncio.Event()
        self.ended = asyncio.Event()

    async def on_connected(self, link: CentralLink) -> None:
        self.link = link

    async def on_subscribed(self, uuid16: int) -> None:
        assert self.link is not None
        while self.records:
            if not await self.link.indicate(uuid16, self.records[0]):
                return
            self.records.pop(0)
        self.told.set()

    async def on_disconnected(self, reason: int) -> None:
        assert reason
        self.ended.set()

    async def read(self, uuid16: int) -> bytes:
        self.asked.set()
        await self.answering.wait()
        if uuid16 == 0x2A49:
            return b"\x0f\x00"
        raise AttRefusal(self.refusal)

    async def write(self, uuid16: int, data: bytes) -> None:
        assert uuid16 == 0x2A2B
        if len(data) != 10:
            raise AttRefusal(0x80)
        self.written.append(data)


class Ward:
    """Air, a radio on it, and cuffs."""

    def __init__(self, air: Air, radio: BleRadio, stack: AsyncExitStack) -> None:
        self.air, self.radio, self._stack = air, radio, stack
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()

    async def put(self, peer: Cuff, description: DeviceDescription = CUFF) -> VirtualPeripheral:
        device = VirtualPeripheral(self.air, description, peer)
        await device.power_on()
        self._stack.push_async_callback(device.close)
        await device.start_advertising()
        return device

    async def hear(self) -> Heard:
        await self.radio.listen(self.heard.put_nowait)
        return await self.heard.get()

    async def link(self) -> Link:
        return await self.radio.connect(await self.hear(), CHANNELS, NOW)


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    async with AsyncExitStack() as stack:
        air = Air()
        address = await stack.enter_async_context(serve_radio(air))
        radio = BleRadio("hci-tcp", address)
        await radio.open()
        stack.push_async_callback(radio.close)
        yield Ward(air, radio, stack)


async def received(link: Link, count: int) -> list[Received]:
    found: list[Received] = []
    async for event in link.events():
        if isinstance(event, Received):
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_indications_arrive_stamped_on_their_channel(ward: Ward) -> None:
    peer = Cuff(b"one", b"two")
    await ward.put(peer)
    before = NOW()
    link = await ward.link()
    await link.perform(Subscribe("measurement"))
    told = await received(link, 2)
    assert [(e.channel, e.data) for e in told] == [("measurement", b"one"), ("measurement", b"two")]
    assert before < told[0].at <= told[1].at <= NOW()
    await link.close()
    await peer.ended.wait()


async def test_reads_and_writes_and_refusals_reach_the_session(ward: Ward) -> None:
    peer = Cuff()
    await ward.put(peer)
    link = await ward.link()
    commands = [
        Read("serial_number"),
        Read("feature"),
        Read("current_time"),
        Write("current_time", b"0123456789"),
        Write("current_time", b"short"),
        Read("absent"),
        Subscribe("feature"),
    ]
    for command in commands[:-1]:
        await link.perform(command)
    await link.close()
    events = [event async for event in link.events()]
    assert [(type(e), getattr(e, "data", getattr(e, "code", None))) for e in events] == [
        (Opened, None),
        (Received, b"A-77"),
        (Received, b"\x0f\x00"),
        (Refused, 0x81),
        (Refused, 0x80),
        (Refused, 0),
    ]
    assert peer.written == [b"0123456789"]


async def test_a_device_that_hangs_up_ends_the_events(ward: Ward) -> None:
    device = await ward.put(Cuff(b"one"))
    link = await ward.link()
    await link.perform(Subscribe("measurement"))
    await received(link, 1)
    await device.hang_up()
    assert await received(link, 1) == []
    with pytest.raises(LinkError, match="disconnected before measurement"):
        await link.perform(Subscribe("measurement"))


async def test_a_link_lost_in_mid_read_is_a_link_error(ward: Ward) -> None:
    peer = Cuff()
    device = await ward.put(peer)
    link = await ward.link()
    await link.perform(Read("serial_number"))
    peer.answering.clear()
    peer.asked.clear()
    reading = asyncio.create_task(link.perform(Read("feature")))
    await peer.asked.wait()
    device.lose_link()
    with pytest.raises(LinkError) as lost:
        await reading
    assert not isinstance(lost.value, TurnedAwayError)
    peer.answering.set()
    assert [type(event) async for event in link.events()] == [Opened, Received]


async def test_one_that_hangs_up_before_it_answered_anything_may_want_to_be_paired(
    ward: Ward,
) -> None:
    peer = Cuff()
    device = await ward.put(peer)
    link = await ward.link()
    peer.answering.clear()
    peer.asked.clear()
    reading = asyncio.create_task(link.perform(Read("feature")))
    await peer.asked.wait()
    await device.hang_up()
    with pytest.raises(TurnedAwayError, match=f"edge pair {ADDRESS}"):
        await reading
    peer.answering.set()
    with pytest.raises(TurnedAwayError):
        assert [type(event) async for event in link.events()] == [Opened]


@pytest.mark.parametrize(
    "answered", [Read("serial_number"), Read("current_time"), Subscribe("measurement")]
)
async def test_one_that_answered_and_has_nothing_to_tell_just_hangs_up(
    ward: Ward, answered: Read | Subscribe
) -> None:
    device = await ward.put(Cuff())
    link = await ward.link()
    await link.perform(answered)
    await device.hang_up()
    async for _ in link.events():
        pass


@pytest.mark.parametrize("gone", [True, False])
async def test_an_unlikely_error_is_a_refusal_only_of_a_device_that_is_still_there(
    ward: Ward, *, gone: bool
) -> None:
    peer = Cuff()
    peer.refusal = ble.UNLIKELY_ERROR
    device = await ward.put(peer)
    link = await ward.link()
    await link.perform(Read("serial_number"))
    reading = asyncio.create_task(link.perform(Read("current_time")))
    if gone:
        # BlueZ says this of a request that was under way as the link went, before it says that it went.
        asyncio.get_running_loop().call_later(ble.GONE_LOOK_S * 2, device.lose_link)
        with pytest.raises(LinkError, match="lost during current_time"):
            await reading
    else:
        await reading
        await link.close()
    kinds = [type(event) async for event in link.events()]
    assert kinds == ([Opened, Received] if gone else [Opened, Received, Refused])


async def test_a_device_that_does_not_answer_is_given_up(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble, "GATT_PATIENCE_S", 0.1)
    peer = Cuff()
    await ward.put(peer)
    link = await ward.link()
    peer.answering.clear()
    with pytest.raises(LinkError, match="read feature: no answer within"):
        await link.perform(Read("feature"))
    peer.answering.set()
    await link.close()


async def test_a_device_out_of_range_is_a_link_error_and_the_adapter_lives(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ble, "CONNECT_PATIENCE_S", 0.3)
    device = await ward.put(Cuff())
    heard = await ward.hear()
    device.set_in_range(False)
    with pytest.raises(LinkError, match="connect: no answer within"):
        await ward.radio.connect(heard, CHANNELS, NOW)
    monkeypatch.undo()
    device.set_in_range(True)
    link = await ward.radio.connect(await ward.hear(), CHANNELS, NOW)
    await link.close()


async def test_a_flood_that_nobody_reads_ends_the_link_with_an_error_and_keeps_what_fits(
    ward: Ward,
) -> None:
    peer = Cuff(*(bytes([n % 256]) for n in range(ARRIVED_MAX + 5)))
    await ward.put(peer)
    link = await ward.link()
    await link.perform(Subscribe("measurement"))
    await peer.told.wait()
    kept = 0
    with pytest.raises(LinkError, match=str(ARRIVED_MAX)):  # noqa: PT012 what came before counts
        async for _ in link.events():
            kept += 1
    assert kept == ARRIVED_MAX
    await link.close()


@pytest.mark.parametrize(
    ("address", "public", "lasting"),
    [("F0:00:00:00:00:01", False, True), ("00:11:22:33:44:55", True, True)],
)
async def test_it_is_known_whether_an_address_lasts(
    ward: Ward, address: str, *, public: bool, lasting: bool
) -> None:
    await ward.put(Cuff(), replace(CUFF, address=address, public=public))
    heard = await ward.hear()
    assert (heard.address, heard.lasting) == (address, lasting)


def test_a_radio_that_is_not_installed_is_named() -> None:
    with pytest.raises(ConfigError, match="no radio 'carrier-pigeon' is installed"):
        BleRadio("carrier-pigeon", "")


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not seen():  # noqa: ASYNC110 it is a state for people, without an event
            await asyncio.sleep(0.02)


async def test_a_radio_that_vanished_is_taken_back_when_it_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.radio.SILENCE_S", 0.2)
    monkeypatch.setattr("edge.radio.REOPEN_S_MIN", 0.02)
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    counters = Counters()
    air = Air()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve_radio(air, port=free_port()))
        radio = Radio(
            BleRadio("hci-tcp", address), heard.put_nowait, SystemClock(), counters, Random(1)
        )
        running = asyncio.create_task(radio.run())
        device = VirtualPeripheral(air, CUFF, Cuff())
        await device.power_on()
        await device.start_advertising()
        await heard.get()
        await until(lambda: radio.trouble is None)
        await device.close()
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: radio.trouble is not None)
        assert radio.trouble is not None
        assert address in radio.trouble
        while not heard.empty():
            heard.get_nowait()
        air = Air()
        async with serve_radio(air, port=int(address.rpartition(":")[2])):
            device = VirtualPeripheral(air, CUFF, Cuff())
            await device.power_on()
            await device.start_advertising()
            await heard.get()
            await until(lambda: radio.trouble is None)
            running.cancel()
            await asyncio.wait({running})
            await device.close()
    assert counters.snapshot()["radio.opened"] == 2
