"""The attribute table of a virtual device: a description made into bumble's characteristics.

May ask the peer; may not know links or the air.
"""

from __future__ import annotations

from collections.abc import Callable

from bumble import att
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR as CCCD
from bumble.gatt import Characteristic, CharacteristicValue, Descriptor, Service
from bumble.gatt_server import Server

from drivers.sim.world.gatt import (
    DEVICE_INFORMATION,
    AttRefusal,
    DeviceDescription,
    GattCharacteristic,
    GattPeer,
    GattService,
    Property,
)

_Properties = Characteristic.Properties
_Permissions = Characteristic.Permissions

_BITS: dict[Property, Characteristic.Properties] = {
    "read": _Properties.READ,
    "write": _Properties.WRITE,
    "write-without-response": _Properties.WRITE_WITHOUT_RESPONSE,
    "notify": _Properties.NOTIFY,
    "indicate": _Properties.INDICATE,
}
_SUBSCRIBABLE = frozenset({"notify", "indicate"})
_WRITABLE = frozenset({"write", "write-without-response"})


class GattTable:
    """Registers a description's services; tells `on_subscribed` of each that is switched on."""

    def __init__(
        self,
        description: DeviceDescription,
        peer: GattPeer,
        server: Server,
        *,
        on_subscribed: Callable[[int], None],
    ) -> None:
        self._peer = peer
        self._server = server
        self._by_uuid: dict[int, Characteristic[bytes]] = {}
        self._on_subscribed = on_subscribed
        for service in description.services:
            secure = description.secure and service.uuid16 != DEVICE_INFORMATION
            server.add_service(self._service(service, secure=secure))

    def characteristic(self, uuid16: int) -> Characteristic[bytes]:
        """The characteristic of that UUID. Raises KeyError when the device has none."""
        if uuid16 not in self._by_uuid:
            message = f"this device has no characteristic 0x{uuid16:04X}"
            raise KeyError(message)
        return self._by_uuid[uuid16]

    def _service(self, service: GattService, *, secure: bool) -> Service:
        characteristics: list[Characteristic[bytes]] = []
        for described in service.characteristics:
            if described.uuid16 in self._by_uuid:
                message = f"characteristic 0x{described.uuid16:04X} occurs twice in one device"
                raise ValueError(message)
            built = self._characteristic(described, secure=secure)
            self._by_uuid[described.uuid16] = built
            characteristics.append(built)
        return Service(UUID.from_16_bits(service.uuid16), characteristics)

    def _characteristic(
        self, described: GattCharacteristic, *, secure: bool
    ) -> Characteristic[bytes]:
        properties = _Properties(0)
        for name in described.properties:
            properties |= _BITS[name]
        built: Characteristic[bytes] = Characteristic(
            UUID.from_16_bits(described.uuid16),
            properties,
            _permissions(
                secure=secure,
                readable="read" in described.properties,
                writable=bool(_WRITABLE & described.properties),
            ),
            self._value(described),
        )
        if _SUBSCRIBABLE & described.properties:
            # Bumble's own would be open to all, also on a device that asks for encryption.
            cccd = Descriptor(
                CCCD,
                _permissions(secure=secure, readable=True, writable=True),
                self._server.make_descriptor_value(built),
            )
            built.descriptors = [*built.descriptors, cccd]
            built.on(Characteristic.EVENT_SUBSCRIPTION, self._subscription(described.uuid16))
        return built

    def _value(self, described: GattCharacteristic) -> CharacteristicValue[bytes]:
        uuid16, fixed = described.uuid16, described.value

        async def read(_connection: Connection) -> bytes:
            if fixed is not None:
                return fixed
            try:
                return await self._peer.read(uuid16)
            except AttRefusal as refusal:
                raise att.ATT_Error(refusal.code) from refusal

        async def write(_connection: Connection, data: bytes) -> None:
            try:
                await self._peer.write(uuid16, data)
            except AttRefusal as refusal:
                raise att.ATT_Error(refusal.code) from refusal

        return CharacteristicValue(read=read, write=write)

    def _subscription(self, uuid16: int) -> Callable[[object, bool, bool], None]:
        def on_change(_bearer: object, notify: bool, indicate: bool) -> None:  # noqa: FBT001
            if notify or indicate:
                self._on_subscribed(uuid16)

        return on_change


def _permissions(*, secure: bool, readable: bool, writable: bool) -> att.Attribute.Permissions:
    permissions = _Permissions(0)
    if readable:
        permissions |= _Permissions.READABLE
        permissions |= _Permissions.READ_REQUIRES_ENCRYPTION if secure else _Permissions(0)
    if writable:
        permissions |= _Permissions.WRITEABLE
        permissions |= _Permissions.WRITE_REQUIRES_ENCRYPTION if secure else _Permissions(0)
    return permissions
