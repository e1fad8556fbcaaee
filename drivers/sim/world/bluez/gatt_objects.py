"""The GATT objects of one connected device: services, characteristics, descriptors, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.service import BleakGATTService
from bleak.exc import BleakError, BleakGATTProtocolError
from bumble import att
from dbus_fast import Variant

from drivers.sim.world.bluez.central import Central
from drivers.sim.world.bluez.tree import ObjectTree
from drivers.sim.world.bluez.words import (
    CHARACTERISTIC,
    DESCRIPTOR,
    SERVICE,
    BluezError,
    att_error,
    refused,
    unknown_object,
)

Options = Mapping[str, Variant]

_ATT_HEADER = 3
_CCCD = "00002902-0000-1000-8000-00805f9b34fb"
# Bluetoothd's own (its plug-in claims it), so no client sees it.
_GENERIC_ACCESS = "00001800-0000-1000-8000-00805f9b34fb"
_SUBSCRIBABLE = frozenset({"notify", "indicate"})


class GattObjects:
    """What one link offers. Lives as long as the link; the owner takes the objects off the tree."""

    def __init__(self, tree: ObjectTree, device: str, central: Central) -> None:
        self._tree, self._device, self._central = tree, device, central
        self._characteristics: dict[str, BleakGATTCharacteristic] = {}
        self._descriptors: dict[str, BleakGATTDescriptor] = {}
        self._listeners: dict[str, set[str]] = {}
        self.services: list[str] = []

    def export(self) -> frozenset[str]:
        """Put all that was discovered on the tree; gives the services' UUIDs."""
        assert self._central.services is not None, "discovery comes first"
        found = list(self._central.services)
        for service in found:
            if service.uuid == _GENERIC_ACCESS:
                continue
            path = f"{self._device}/service{service.handle:04x}"
            self.services.append(path)
            properties = {
                "UUID": Variant("s", service.uuid),
                "Device": Variant("o", self._device),
                "Primary": Variant("b", True),
                "Includes": Variant("ao", []),
            }
            self._tree.add(path, {SERVICE: properties})
            self._export_characteristics(path, service)
        return frozenset(service.uuid for service in found)

    def _export_characteristics(self, service_path: str, service: BleakGATTService) -> None:
        for found in service.characteristics:
            # The path names the declaration, which stands before the value.
            path = f"{service_path}/char{found.handle - 1:04x}"
            self._characteristics[path] = found
            properties = {
                "UUID": Variant("s", found.uuid),
                "Service": Variant("o", service_path),
                "Value": Variant("ay", b""),
                "Flags": Variant("as", list(found.properties)),
                "MTU": Variant("q", self._central.mtu_size),
            }
            if _SUBSCRIBABLE & set(found.properties):
                properties["Notifying"] = Variant("b", False)
            self._tree.add(path, {CHARACTERISTIC: properties})
            for descriptor in found.descriptors:
                self._export_descriptor(path, descriptor)

    def _export_descriptor(self, characteristic_path: str, found: BleakGATTDescriptor) -> None:
        path = f"{characteristic_path}/desc{found.handle:04x}"
        self._descriptors[path] = found
        properties = {
            "UUID": Variant("s", found.uuid),
            "Characteristic": Variant("o", characteristic_path),
            "Value": Variant("ay", b""),
        }
        self._tree.add(path, {DESCRIPTOR: properties})

    async def read(self, path: str, options: Options) -> bytes:
        """ReadValue. Its answer shows as a change of Value too, as with BlueZ. Raises BluezError."""
        offset = options["offset"].value if "offset" in options else 0
        try:
            if path in self._descriptors:
                interface = DESCRIPTOR
                value = await self._central.read_gatt_descriptor(self._descriptors[path])
            else:
                interface = CHARACTERISTIC
                value = await self._central.read_gatt_char(self._characteristic(path))
        except BleakError as fault:
            raise translated(fault) from fault
        self._tree.change(path, interface, {"Value": Variant("ay", bytes(value))})
        return bytes(value)[offset:]

    async def write(self, path: str, value: bytes, options: Options) -> None:
        """WriteValue. Raises BluezError; a subscription can't be written, StartNotify is there for it."""
        try:
            if path in self._descriptors:
                if self._descriptors[path].uuid == _CCCD:
                    raise refused("NotPermitted", "Write not permitted")
                await self._central.write_gatt_descriptor(self._descriptors[path], value)
                return
            found = self._characteristic(path)
            await self._central.write_gatt_char(
                found, value, response=self._wants_response(found, len(value), options)
            )
        except BleakError as fault:
            raise translated(fault) from fault

    def _wants_response(
        self, found: BleakGATTCharacteristic, octets: int, options: Options
    ) -> bool:
        asked = str(options["type"].value) if "type" in options else ""
        if asked not in {"", "request", "command"}:
            raise refused("NotSupported", "Operation is not supported")
        response = asked == "request" or (not asked and "write" in found.properties)
        kind = "write" if response else "write-without-response"
        if kind not in found.properties:
            raise refused("NotSupported", "Operation is not supported")
        if not response and octets > self._central.mtu_size - _ATT_HEADER:
            raise refused("Failed", "Failed to initiate write")
        return response

    async def start_notify(self, owner: str, path: str) -> None:
        """StartNotify for one program; the first of them subscribes. Raises BluezError."""
        found = self._characteristic(path)
        if not _SUBSCRIBABLE & set(found.properties):
            raise refused("NotSupported", "Operation is not supported")
        listeners = self._listeners.setdefault(path, set())
        if listeners:
            listeners.add(owner)
            return
        listeners.add(owner)
        try:
            await self._central.start_notify(found, self._teller(path))
        except BleakError as fault:
            self._listeners.pop(path, None)
            raise translated(fault) from fault
        self._tree.change(path, CHARACTERISTIC, {"Notifying": Variant("b", True)})

    async def stop_notify(self, owner: str, path: str) -> None:
        """StopNotify for one program; the last of them unsubscribes. Raises BluezError."""
        found = self._characteristic(path)
        listeners = self._listeners.get(path, set())
        if owner not in listeners:
            raise refused("Failed", "No notify session started")
        listeners.discard(owner)
        if listeners:
            return
        try:
            await self._central.stop_notify(found)
        except BleakError as fault:
            raise translated(fault) from fault
        self._tree.change(path, CHARACTERISTIC, {"Notifying": Variant("b", False)})

    async def vanished(self, owner: str) -> None:
        """A program left the bus: what only it listened to is unsubscribed."""
        for path, listeners in list(self._listeners.items()):
            if owner in listeners:
                try:
                    await self.stop_notify(owner, path)
                except BluezError:
                    return  # the link went first

    def _teller(self, path: str) -> Callable[[bytearray], None]:
        def tell(value: bytearray) -> None:
            self._tree.change(path, CHARACTERISTIC, {"Value": Variant("ay", bytes(value))})

        return tell

    def _characteristic(self, path: str) -> BleakGATTCharacteristic:
        if path not in self._characteristics:
            raise unknown_object(path)
        return self._characteristics[path]


def translated(fault: BleakError) -> BluezError:
    """What the virtual client raises, in BlueZ's words."""
    if isinstance(fault, BleakGATTProtocolError):
        return att_error(int(fault.code))
    # The link went in the middle, which BlueZ 5.66 tells as the device's own error (measured of a read).
    return att_error(att.ATT_UNLIKELY_ERROR_ERROR)
