"""The name org.bluez on a bus: method calls in, answers and signals out. Decides nothing that a device or discovery decides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from bleak.exc import BleakError
from dbus_fast import Message, MessageType, NameFlag, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.bluez import words
from drivers.sim.world.bluez.agents import Agents
from drivers.sim.world.bluez.device import Ground
from drivers.sim.world.bluez.devices import Devices
from drivers.sim.world.bluez.filters import parse
from drivers.sim.world.bluez.pairing import Pairing
from drivers.sim.world.bluez.tree import ObjectTree

Answer = tuple[str, list[object]] | None
Method = Callable[[Message], Awaitable[Answer]]

_NAMES_LOST = (
    "type='signal',sender='org.freedesktop.DBus',"
    "interface='org.freedesktop.DBus',member='NameOwnerChanged'"
)
# What a program may write, with its type.
_SETTABLE = {
    (words.DEVICE, "Trusted"): "b",
    (words.DEVICE, "Blocked"): "b",
    (words.DEVICE, "Alias"): "s",
    (words.ADAPTER, "Alias"): "s",
    (words.ADAPTER, "Pairable"): "b",
}


class BluezService:
    """bluetoothd's face. `open` takes the name; `close` hangs up everywhere and leaves the bus."""

    def __init__(self, bus: MessageBus, adapter: VirtualAdapter) -> None:
        self._bus, self._adapter = bus, adapter
        self._agents = Agents(bus)
        self._tree = ObjectTree(self._emit)
        pairing = Pairing(adapter.device, self._agents)
        ground = Ground(self._tree, adapter, self._agents, pairing)
        self._devices = Devices(ground, adapter)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._methods: dict[tuple[str, str], tuple[str, Method]] = {
            (words.OBJECT_MANAGER, "GetManagedObjects"): ("", self._managed_objects),
            (words.PROPERTIES, "Get"): ("ss", self._get),
            (words.PROPERTIES, "GetAll"): ("s", self._get_all),
            (words.PROPERTIES, "Set"): ("ssv", self._set),
            (words.ADAPTER, "SetDiscoveryFilter"): ("a{sv}", self._set_filter),
            (words.ADAPTER, "StartDiscovery"): ("", self._start_discovery),
            (words.ADAPTER, "StopDiscovery"): ("", self._stop_discovery),
            (words.ADAPTER, "RemoveDevice"): ("o", self._remove_device),
            (words.DEVICE, "Connect"): ("", self._connect),
            (words.DEVICE, "Disconnect"): ("", self._disconnect),
            (words.DEVICE, "Pair"): ("", self._pair),
            (words.DEVICE, "CancelPairing"): ("", self._cancel_pairing),
            (words.CHARACTERISTIC, "ReadValue"): ("a{sv}", self._read),
            (words.CHARACTERISTIC, "WriteValue"): ("aya{sv}", self._write),
            (words.CHARACTERISTIC, "StartNotify"): ("", self._start_notify),
            (words.CHARACTERISTIC, "StopNotify"): ("", self._stop_notify),
            (words.DESCRIPTOR, "ReadValue"): ("a{sv}", self._read),
            (words.DESCRIPTOR, "WriteValue"): ("aya{sv}", self._write),
            (words.AGENT_MANAGER, "RegisterAgent"): ("os", self._register_agent),
            (words.AGENT_MANAGER, "RequestDefaultAgent"): ("o", self._default_agent),
            (words.AGENT_MANAGER, "UnregisterAgent"): ("o", self._unregister_agent),
        }

    async def open(self) -> None:
        """Show the adapter and take the name, which must be free."""
        self._tree.add(words.ROOT, {words.AGENT_MANAGER: {}})
        self._tree.add(words.ADAPTER_PATH, {words.ADAPTER: self._adapter_properties()})
        self._bus.add_message_handler(self._on_message)
        await self._bus.call(
            Message(
                destination=words.DBUS, path="/org/freedesktop/DBus", interface=words.DBUS,
                member="AddMatch", signature="s", body=[_NAMES_LOST],
            )
        )  # fmt: skip
        got = await self._bus.request_name(words.BUS_NAME, NameFlag.DO_NOT_QUEUE)
        assert got is RequestNameReply.PRIMARY_OWNER, "the bus is private: nobody else has the name"
        self._sweeping = asyncio.create_task(self._devices.sweep())

    async def close(self) -> None:
        """Answer nobody any more."""
        self._bus.remove_message_handler(self._on_message)
        tasks = [*self._tasks, *([self._sweeping] if self._sweeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._devices.close()

    def _adapter_properties(self) -> words.Properties:
        return {
            "Address": Variant("s", self._adapter.device.public_address.to_string(False)),
            "AddressType": Variant("s", "public"),
            "Name": Variant("s", self._adapter.name),
            "Alias": Variant("s", self._adapter.name),
            "Powered": Variant("b", True),
            "Discoverable": Variant("b", False),
            "Pairable": Variant("b", True),
            "Discovering": Variant("b", False),
            "Roles": Variant("as", ["central"]),
            "UUIDs": Variant("as", []),
        }

    def _emit(self, message: Message) -> None:
        if self._bus.connected:  # a bus that died hears nothing any more
            self._bus.send(message)

    def _on_message(self, message: Message) -> bool | None:
        if message.message_type is MessageType.SIGNAL and message.member == "NameOwnerChanged":
            name, _, now = message.body
            if not now:
                self._agents.vanished(name)
                self._run(self._devices.vanished(name))
            return None
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.interface in {None, f"{words.DBUS}.Peer", f"{words.DBUS}.Introspectable"}:
            return None  # dbus-fast answers them
        self._run(self._answer(message))
        return True

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            context = {"message": "org.bluez failed", "exception": fault, "task": task}
            asyncio.get_running_loop().call_exception_handler(context)

    async def _answer(self, message: Message) -> None:
        try:
            signature, body = await self._called(message) or ("", [])
            reply = Message.new_method_return(message, signature, body)
        except words.BluezError as refusal:
            reply = Message.new_error(message, refusal.name, refusal.text)
        except BleakError as fault:
            reply = Message.new_error(message, "org.bluez.Error.Failed", str(fault))
        self._emit(reply)

    async def _called(self, message: Message) -> Answer:
        interface, path = message.interface or "", message.path or ""
        signature, method = self._methods.get((interface, message.member or ""), ("", None))
        if method is None:
            raise words.unknown_method(f"{interface}.{message.member}")
        if interface not in {words.OBJECT_MANAGER, words.PROPERTIES}:
            self._tree.properties(path, interface)
        if message.signature != signature:
            raise words.invalid()
        return await method(message)

    async def _managed_objects(self, _call: Message) -> Answer:
        return "a{oa{sa{sv}}}", [self._tree.objects]

    async def _get(self, call: Message) -> Answer:
        interface, name = call.body
        held = self._tree.properties(_path(call), interface)
        if name not in held:
            raise words.invalid()
        return "v", [held[name]]

    async def _get_all(self, call: Message) -> Answer:
        return "a{sv}", [self._tree.properties(_path(call), call.body[0])]

    async def _set(self, call: Message) -> Answer:
        interface, name, value = call.body
        self._tree.properties(_path(call), interface)
        if _SETTABLE.get((interface, name)) != value.signature:
            raise words.refused("NotPermitted", "Operation not permitted")
        self._tree.change(_path(call), interface, {name: value})
        return None

    async def _set_filter(self, call: Message) -> Answer:
        self._devices.discovery.set_filter(_sender(call), parse(call.body[0]))
        return None

    async def _start_discovery(self, call: Message) -> Answer:
        await self._devices.start(_sender(call))
        return None

    async def _stop_discovery(self, call: Message) -> Answer:
        await self._devices.stop(_sender(call))
        return None

    async def _remove_device(self, call: Message) -> Answer:
        await self._devices.remove(call.body[0])
        return None

    async def _connect(self, call: Message) -> Answer:
        await self._devices.at(_path(call)).connect(_sender(call))
        return None

    async def _disconnect(self, call: Message) -> Answer:
        await self._devices.at(_path(call)).disconnect()
        return None

    async def _pair(self, call: Message) -> Answer:
        await self._devices.at(_path(call)).pair(_sender(call))
        return None

    async def _cancel_pairing(self, call: Message) -> Answer:
        self._devices.at(_path(call)).cancel_pairing()
        return None

    async def _read(self, call: Message) -> Answer:
        return "ay", [await self._devices.gatt(_path(call)).read(_path(call), call.body[0])]

    async def _write(self, call: Message) -> Answer:
        value, options = call.body
        await self._devices.gatt(_path(call)).write(_path(call), bytes(value), options)
        return None

    async def _start_notify(self, call: Message) -> Answer:
        await self._devices.gatt(_path(call)).start_notify(_sender(call), _path(call))
        return None

    async def _stop_notify(self, call: Message) -> Answer:
        await self._devices.gatt(_path(call)).stop_notify(_sender(call), _path(call))
        return None

    async def _register_agent(self, call: Message) -> Answer:
        path, capability = call.body
        self._agents.register(_sender(call), path, capability)
        return None

    async def _default_agent(self, call: Message) -> Answer:
        self._agents.make_default(_sender(call), call.body[0])
        return None

    async def _unregister_agent(self, call: Message) -> Answer:
        self._agents.unregister(_sender(call), call.body[0])
        return None


def _path(call: Message) -> str:
    assert call.path is not None, "D-Bus lets no call through without one"
    return call.path


def _sender(call: Message) -> str:
    assert call.sender is not None, "the bus writes it into every message"
    return call.sender
