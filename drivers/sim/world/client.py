"""bleak's client backend over a virtual adapter; confirms, pairs and fails as BlueZ's does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)
from bumble import att, core, hci
from bumble.device import Connection, Peer
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD
from bumble.gatt_client import CharacteristicProxy, Client, DescriptorProxy

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.scanner import scanner_type

CONNECT_S_MAX = 30.0
DISCONNECT_S_MAX = 10.0
MTU_ASKED = 517
MTU_LEAST = 23
ATT_HEADER = 3

_SECURITY_ERRORS = frozenset(
    {att.ATT_INSUFFICIENT_AUTHENTICATION_ERROR, att.ATT_INSUFFICIENT_ENCRYPTION_ERROR}
)
_BUMBLE_FAULTS = (core.BaseError, hci.HCI_Error, ConnectionError, asyncio.InvalidStateError)

_T = TypeVar("_T")


class VirtualClient(BaseBleakClient):
    """One `BleakClient`. Bound to its adapter by `client_type`.

    Every call raises BleakError when the link or the radio is gone; an ATT error that asks for
    security pairs (or encrypts a bonded link) and tries once more.
    """

    adapter: VirtualAdapter

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None = None,
        services: set[str] | None = None,
        timeout: float = CONNECT_S_MAX,
        **_others: object,
    ) -> None:
        super().__init__(
            address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout
        )
        self._wanted = services
        self._name = getattr(address_or_ble_device, "name", None)
        self._link: Connection | None = None
        self._gatt: Client | None = None
        self._subscribed: set[int] = set()

    @property
    def name(self) -> str:
        """The device's name, else its address with dashes."""
        return self._name or self.address.replace(":", "-")

    @property
    def is_connected(self) -> bool:
        """Whether the link stands."""
        return self._link is not None

    @property
    def mtu_size(self) -> int:
        """The MTU agreed upon, in octets."""
        return MTU_LEAST if self._link is None else self._link.att_mtu

    async def connect(
        self, pair: bool, *, timeout: float | None = None, **_options: object  # noqa: ASYNC109, FBT001
    ) -> None:  # fmt: skip
        """Connect and discover. Raises BleakError, and TimeoutError when the device is away."""
        self.adapter.check()
        if self._link is not None:
            message = "Client is already connected"
            raise BleakError(message)
        patience_s = self._timeout if timeout is None else timeout
        if self.address not in self.adapter.seen:
            await self._look_for_device(patience_s)
        async with asyncio.timeout(patience_s):
            link = await self.adapter.link_up(self.adapter.seen[self.address])
            self._link = link
            self._gatt = link.gatt_client
            _confirm_first(self._gatt)
            link.on(Connection.EVENT_DISCONNECTION, self._on_disconnected)
            if self.adapter.device.connections.get(link.handle) is not link:
                # It hung up before anybody could hear that it does: no answer would ever come.
                self._link = self._gatt = None
                message = f"{self.address} disconnected"
                raise BleakError(message)
            try:
                await self._settle(link, pair=pair)
            except BaseException:
                await self.disconnect()
                raise

    async def _look_for_device(self, patience_s: float) -> None:
        # BlueZ too connects only to what it has discovered.
        found = asyncio.Event()
        scanner = scanner_type(self.adapter)(
            lambda device, _data: found.set() if device.address == self.address else None
        )
        await scanner.start()
        try:
            async with asyncio.timeout(patience_s):
                await found.wait()
        except TimeoutError as late:
            message = f"Device with address {self.address} was not found."
            raise BleakDeviceNotFoundError(self.address, message) from late
        finally:
            await scanner.stop()

    async def _settle(self, link: Connection, *, pair: bool) -> None:
        await self._secure(link, pair=pair)
        peer = Peer(link)
        await self._guard(peer.request_mtu(MTU_ASKED))
        await self._discover(peer)

    async def _secure(self, link: Connection, *, pair: bool) -> None:
        if await self._bonded(link):
            await self._encrypt_bonded(link)
        elif pair:
            await self.pair()

    async def _bonded(self, link: Connection) -> bool:
        keys = self.adapter.device.keystore
        return keys is not None and await keys.get(str(link.peer_address)) is not None

    async def _encrypt_bonded(self, link: Connection) -> None:
        # BlueZ encrypts a bonded link at once; where the device has lost the bond, kernel 6.12
        # ends the link and bleak says exactly this.
        try:
            await self._guard(link.encrypt())
        except BleakError as fault:
            error = "org.bluez.Error.Failed"
            raise BleakDBusError(error, ["br-connection-canceled"]) from fault

    async def _discover(self, peer: Peer) -> None:
        table = BleakGATTServiceCollection()
        for service in await self._guard(peer.discover_services()):
            uuid = _uuid(service.uuid)
            if self._wanted and uuid not in self._wanted:
                continue
            ours = BleakGATTService(service, service.handle, uuid)
            table.add_service(ours)
            for characteristic in await self._guard(service.discover_characteristics()):
                await self._add_characteristic(table, ours, characteristic)
        self.services = table

    async def _add_characteristic(
        self,
        table: BleakGATTServiceCollection,
        service: BleakGATTService,
        found: CharacteristicProxy[bytes],
    ) -> None:
        properties = list(gatt_char_props_to_strs(int(found.properties)))
        ours = BleakGATTCharacteristic(
            found, found.handle, _uuid(found.uuid), properties,
            lambda: self.mtu_size - ATT_HEADER, service,
        )  # fmt: skip
        table.add_characteristic(ours)
        for descriptor in await self._guard(found.discover_descriptors()):
            uuid = _uuid(descriptor.type)
            table.add_descriptor(BleakGATTDescriptor(descriptor, descriptor.handle, uuid, ours))

    async def disconnect(self) -> None:
        """End the link. Always ends disconnected, also when the radio is gone."""
        link = self._link
        if link is None:
            return
        try:
            if not self.adapter.lost:
                async with asyncio.timeout(DISCONNECT_S_MAX):
                    await self._guard(link.disconnect())
        except BleakError:
            pass  # It ended meanwhile, which is what was asked for.
        finally:
            self._on_disconnected(0)

    def _on_disconnected(self, _reason: int) -> None:
        if self._link is None:
            return
        self._link = self._gatt = self.services = None
        self._subscribed.clear()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def pair(self, *_args: object, **_options: object) -> None:
        """Pair, or encrypt a bonded link. Raises BleakError when either side refuses."""
        link = self._standing()
        if link.is_encrypted:
            return
        action = link.encrypt if await self._bonded(link) else link.pair
        await self._guard(action())

    async def unpair(self) -> None:
        """Forget the bond and disconnect; the device keeps its side."""
        peer = hci.Address(self.address) if self._link is None else self._link.peer_address
        peer = self.adapter.seen.get(self.address, peer)
        keys = self.adapter.device.keystore
        if keys is not None:
            with suppress(KeyError):
                await keys.delete(str(peer))
        await self.disconnect()

    def _standing(self) -> Connection:
        self.adapter.check()
        if self._link is None:
            message = "Not connected"
            raise BleakError(message)
        return self._link

    def _client(self) -> Client:
        self._standing()
        assert self._gatt is not None
        return self._gatt

    async def _guard(self, work: Awaitable[_T]) -> _T:
        """Await; bumble cancels the waiting future when the link drops: that is a BleakError."""
        link = self._link
        try:
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._link is link or (task is not None and task.cancelling()):
                raise
            message = f"{self.address} disconnected"
            raise BleakError(message) from None
        except att.ATT_Error:
            raise
        except (*_BUMBLE_FAULTS, core.TimeoutError) as fault:
            message = f"{self.address}: {fault}"
            raise BleakError(message) from fault

    async def _ask(self, operation: Callable[[Client], Awaitable[_T]]) -> _T:
        try:
            return await self._guard(operation(self._client()))
        except att.ATT_Error as refusal:
            if refusal.error_code not in _SECURITY_ERRORS or self._standing().is_encrypted:
                raise BleakGATTProtocolError(refusal.error_code) from refusal
        await self.pair()
        try:
            return await self._guard(operation(self._client()))
        except att.ATT_Error as refusal:
            raise BleakGATTProtocolError(refusal.error_code) from refusal

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, **_options: object
    ) -> bytearray:
        """Read a value. Raises BleakGATTProtocolError when the device refuses."""
        return bytearray(await self._ask(lambda gatt: gatt.read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, **_options: object
    ) -> bytearray:
        """Read a descriptor."""
        return bytearray(await self._ask(lambda gatt: gatt.read_value(descriptor.handle)))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Write a value. With `response`, raises BleakGATTProtocolError when it is refused."""
        await self._write(characteristic.handle, bytes(data), response=response)

    async def write_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, data: SizedBuffer
    ) -> None:
        """Write a descriptor."""
        await self._write(descriptor.handle, bytes(data), response=True)

    async def _write(self, handle: int, data: bytes, *, response: bool) -> None:
        await self._ask(lambda gatt: gatt.write_value(handle, data, with_response=response))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_options: object
    ) -> None:
        """Subscribe: to notifications where there are some, else to indications."""
        gatt = self._client()
        handle, properties = characteristic.handle, characteristic.properties
        if handle in self._subscribed:
            message = "Characteristic notifications already started"
            raise BleakError(message)
        if "notify" not in properties and "indicate" not in properties:
            message = f"{characteristic.uuid} has neither notifications nor indications"
            raise BleakError(message)
        notify = "notify" in properties
        self._subscribed.add(handle)
        table = gatt.notification_subscribers if notify else gatt.indication_subscribers
        table[handle] = {lambda value: callback(bytearray(value))}
        try:
            await self._write_cccd(characteristic, 1 if notify else 2)
        except BaseException:
            self._unsubscribe(gatt, handle)
            raise

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        """Unsubscribe. What the device sends until it has heard of it is still handed on, as by bleak on BlueZ."""
        gatt = self._client()
        if characteristic.handle in self._subscribed:
            try:
                await self._write_cccd(characteristic, 0)
            finally:
                self._unsubscribe(gatt, characteristic.handle)

    def _unsubscribe(self, gatt: Client, handle: int) -> None:
        self._subscribed.discard(handle)
        gatt.notification_subscribers.pop(handle, None)
        gatt.indication_subscribers.pop(handle, None)

    async def _write_cccd(self, characteristic: BleakGATTCharacteristic, bits: int) -> None:
        cccd: DescriptorProxy | None = characteristic.obj.get_descriptor(CCCD)
        if cccd is None:
            message = f"{characteristic.uuid} has no client configuration descriptor"
            raise BleakError(message)
        await self._write(cccd.handle, bits.to_bytes(2, "little"), response=True)


def _confirm_first(gatt: Client) -> None:
    """Confirm an indication before anyone hears it, as BlueZ does. Stock: after the subscribers.

    A program that dies in its callback has then lost what a device deletes on confirmation.
    """

    def on_indication(indication: att.ATT_Handle_Value_Indication) -> None:
        gatt.send_confirmation(att.ATT_Handle_Value_Confirmation())
        for subscriber in tuple(gatt.indication_subscribers.get(indication.attribute_handle, ())):
            assert callable(subscriber)
            subscriber(indication.attribute_value)

    # Bumble looks its handlers up by name.
    setattr(gatt, "on_att_handle_value_indication", on_indication)  # noqa: B010


def _uuid(uuid: core.UUID) -> str:
    return str(UUID(bytes=uuid.to_bytes(force_128=True)[::-1]))


def client_type(adapter: VirtualAdapter) -> type[VirtualClient]:
    """Bind the backend to an adapter: bleak wants a type and makes the object itself."""
    return type("VirtualClient", (VirtualClient,), {"adapter": adapter})
