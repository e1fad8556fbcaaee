"""What our stand-in has to know of BlueZ, asked of whichever is there: agents, refusals, and what becomes of the link."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import partial

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.exc import BleakError, BleakGATTProtocolError
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from drivers.sim.world.air import Air
from drivers.sim.world.gatt import (
    AttRefusal,
    CentralLink,
    DeviceDescription,
    GattCharacteristic,
    GattService,
)
from drivers.sim.world.peripheral import VirtualPeripheral

FEATURE = "2a49"
PASSKEY = 123_456
FIND_S = 60.0
CALL_S = 90.0
READ_S = 5.0
"""A read that is not answered by then hangs: it does so for over 45 s (measured once)."""

LINK_S = 5.0
"""A link that BlueZ ends by itself ends within this, its two seconds of grace included."""

_AGENT_PATH = "/org/vitalgate/test/agent"
_READ_NOT_PERMITTED = 0x02

Answers = dict[str, object]


@dataclass
class Silent:
    """The device's side: says nothing by itself, and answers no read."""

    reading: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_connected(self, link: CentralLink) -> None: ...

    async def on_subscribed(self, uuid16: int) -> None: ...

    async def on_disconnected(self, reason: int) -> None: ...

    async def read(self, uuid16: int) -> bytes:  # noqa: ARG002
        self.reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def write(self, uuid16: int, data: bytes) -> None:  # noqa: ARG002
        raise AttRefusal(_READ_NOT_PERMITTED)


@dataclass
class Agent:
    """An agent that writes down what it is asked, and answers as it was told to."""

    bus: MessageBus
    answers: Mapping[str, tuple[str, list[object]]]
    asked: list[str] = field(default_factory=list[str])

    def hear(self, message: Message) -> bool | None:
        """Answer what is on its list, refuse the rest."""
        if message.message_type is not MessageType.METHOD_CALL or message.path != _AGENT_PATH:
            return None
        member = str(message.member)
        self.asked.append(member)
        if member in self.answers:
            self.bus.send(Message.new_method_return(message, *self.answers[member]))
        elif member in {"Cancel", "Release"}:
            self.bus.send(Message.new_method_return(message))
        else:
            self.bus.send(Message.new_error(message, "org.bluez.Error.Rejected", "no"))
        return True

    async def call(self, path: str, interface: str, member: str, signature: str, *body: object) -> Message:  # fmt: skip
        """One call to BlueZ; its answer, be it an error."""
        async with asyncio.timeout(CALL_S):
            return await self.bus.call(
                Message(
                    destination="org.bluez", path=path, interface=interface, member=member,
                    signature=signature, body=list(body),
                )
            )  # fmt: skip

    async def pair(self, device: str) -> str:
        """Pair; "" or the error's name."""
        answer = await self.call(device, "org.bluez.Device1", "Pair", "")
        return "" if answer.message_type is MessageType.METHOD_RETURN else str(answer.error_name)

    async def told(self, device: str, name: str) -> bool:
        """A property of the device; False where BlueZ has removed it, as it does with one that nobody paired."""
        properties = "org.freedesktop.DBus.Properties"
        answer = await self.call(device, properties, "Get", "ss", "org.bluez.Device1", name)
        return answer.message_type is MessageType.METHOD_RETURN and bool(answer.body[0].value)

    async def read(self, device: str, found: BLEDevice) -> str:
        """Connect and read; a call that hangs is ended by ending the link."""
        client = BleakClient(found, timeout=CALL_S)
        await client.connect()
        reading = asyncio.create_task(_read(client))
        try:
            said, _ = await asyncio.wait({reading}, timeout=READ_S)
            if not said:
                assert await self.told(device, "Connected")
                await self.call(device, "org.bluez.Device1", "Disconnect", "")
            async with asyncio.timeout(CALL_S):
                return ("" if said else "hangs, then ") + await reading
        finally:
            reading.cancel()
            with contextlib.suppress(BleakError, TimeoutError, EOFError):
                await client.disconnect()

    async def link_ends(self, device: str) -> bool:
        """Whether the link is gone within LINK_S."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINK_S):
                while await self.told(device, "Connected"):  # noqa: ASYNC110 as BlueZ tells it
                    await asyncio.sleep(0.25)
                return True
        return False

    async def forget(self, device: str) -> None:
        """Remove the device from BlueZ, so that the next question starts anew."""
        await self.call("/org/bluez/hci0", "org.bluez.Adapter1", "RemoveDevice", "o", device)


@contextlib.asynccontextmanager
async def agent(**answers: tuple[str, list[object]]) -> AsyncGenerator[Agent]:
    """A registered agent with a keyboard and no screen, which is the default one from then on."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    made = Agent(bus, answers)
    bus.add_message_handler(made.hear)
    manager = "org.bluez.AgentManager1"
    try:
        for member, *more in (("RegisterAgent", "KeyboardOnly"), ("RequestDefaultAgent",)):
            kinds = "o" + "s" * len(more)
            answer = await made.call("/org/bluez", manager, member, kinds, _AGENT_PATH, *more)
            assert answer.message_type is MessageType.METHOD_RETURN, answer.body
        yield made
    finally:
        bus.disconnect()


class Questions:
    """Asks them, with a new device for each."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._devices = 0

    async def all(self) -> dict[str, Answers]:
        """Every question's answers, by its name."""
        asked = {
            "just works": self.just_works,
            "passkey": self.by_passkey,
            "just works, refused": partial(self.refused, None),
            "passkey, refused": partial(self.refused, PASSKEY),
            "read, refused": partial(self.read_refused, None),
            "read of a screen's device, refused": partial(self.read_refused, PASSKEY),
            "read, cut off": self.cut_off,
        }
        answers: dict[str, Answers] = {}
        for name, question in asked.items():
            answers[name] = await question()
            print(f"{name}: {answers[name]}", flush=True)
        return answers

    @contextlib.asynccontextmanager
    async def _device(
        self, passkey: int | None, peer: Silent | None = None
    ) -> AsyncGenerator[tuple[VirtualPeripheral, str]]:
        self._devices += 1
        address = f"F0:00:00:00:01:{self._devices:02X}"
        value = b"\4\0" if peer is None else None
        service = GattService(0x1810, (GattCharacteristic(0x2A49, frozenset({"read"}), value),))
        made = VirtualPeripheral(
            self._air,
            DeviceDescription(
                address,
                f"Q{self._devices}",
                (service,),
                (0x1810,),
                secure=peer is None,
                passkey=passkey,
            ),
            peer or Silent(),
        )
        await made.power_on()
        await made.start_advertising()
        try:
            found = await BleakScanner.find_device_by_address(address, timeout=FIND_S)
            assert found is not None, address
            yield made, found.details["path"]
        finally:
            await made.close()

    async def just_works(self) -> Answers:
        """Whom BlueZ asks, and what, where the requester's agent is not the default one."""
        async with (
            self._device(None) as (_, path),
            agent(RequestAuthorization=("", [])) as mine,
            agent() as default,
        ):
            said = await mine.pair(path)
            answers: Answers = {"said": said, "asked": mine.asked, "default asked": default.asked}
            await mine.forget(path)
            return answers

    async def by_passkey(self) -> Answers:
        """The same, of a device with a screen."""
        async with (
            self._device(PASSKEY) as (device, path),
            agent(RequestPasskey=("u", [PASSKEY])) as mine,
            agent() as default,
        ):
            said = await mine.pair(path)
            answers: Answers = {"said": said, "asked": mine.asked, "default asked": default.asked}
            await mine.forget(path)
            return answers | {"shown": len(device.displayed)}

    async def refused(self, passkey: int | None) -> Answers:
        """What becomes of bond and link where the requester's agent refuses."""
        async with self._device(passkey) as (device, path), agent() as mine:
            said = await mine.pair(path)
            answers: Answers = {
                "said": said,
                "asked": mine.asked,
                "paired": await mine.told(path, "Paired"),
                "link ends": await mine.link_ends(path),
                "shown": len(device.displayed),
            }
            await mine.forget(path)
            return answers

    async def read_refused(self, passkey: int | None) -> Answers:
        """A protected value read while the only agent refuses to pair; what the call is told when the link is ended then."""
        async with self._device(passkey) as (device, path), agent() as refusing:
            said: list[str] = []
            for _ in range(1 if passkey is None else 2):
                found = await BleakScanner.find_device_by_address(_address(path), timeout=FIND_S)
                assert found is not None
                said.append(await refusing.read(path, found))
            answers: Answers = {
                "said": said,
                "asked": refusing.asked,
                "paired": await refusing.told(path, "Paired"),
                "shown": len(device.displayed),
            }
            await refusing.forget(path)
            return answers

    async def cut_off(self) -> Answers:
        """What a read is told that is under way when the link is lost."""
        peer = Silent()
        async with self._device(None, peer) as (device, path), agent() as mine:
            found = await BleakScanner.find_device_by_address(_address(path), timeout=FIND_S)
            assert found is not None
            client = BleakClient(found, timeout=CALL_S)
            await client.connect()
            reading = asyncio.create_task(_read(client))
            async with asyncio.timeout(CALL_S):
                await peer.reading.wait()
                device.lose_link()
                said = await reading
            await mine.forget(path)
            return {"said": said}


async def _read(client: BleakClient) -> str:
    try:
        return bytes(await client.read_gatt_char(FEATURE)).hex()
    except BleakGATTProtocolError as fault:
        return f"ATT error 0x{int(fault.code):02x}"
    except BleakError as fault:
        return f"{type(fault).__name__}: {fault}"


def _address(path: str) -> str:
    return path.rpartition("dev_")[2].replace("_", ":")
