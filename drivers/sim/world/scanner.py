"""bleak's scanner backend over a virtual adapter; sees and filters what BlueZ's would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.exc import BleakError
from bleak.uuids import normalize_uuid_str
from bumble.core import AdvertisingData
from bumble.device import Advertisement

from drivers.sim.world.adapter import VirtualAdapter

AdType = AdvertisingData.Type


class VirtualScanner(BaseBleakScanner):
    """One `BleakScanner`. Bound to its adapter by `scanner_type`.

    As with BlueZ, `service_uuids` match as full 128-bit strings only ("1810" finds nothing), and
    passive scanning needs `bluez={"or_patterns": ...}` (whose patterns filter here too).
    """

    adapter: VirtualAdapter

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None = None,
        service_uuids: list[str] | None = None,
        scanning_mode: Literal["active", "passive"] = "active",
        *,
        bluez: Mapping[str, Any] | None = None,
        **_others: object,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._patterns: list[tuple[int, int, bytes]] = []
        self._active = scanning_mode != "passive"
        if not self._active:
            patterns = (bluez or {}).get("or_patterns")
            if not patterns:
                message = "passive scanning mode requires bluez or_patterns"
                raise BleakError(message)
            self._patterns = [(p[0], int(p[1]), bytes(p[2])) for p in patterns]
        self._listening = False

    @property
    def active(self) -> bool:
        """Whether it asks for scan responses."""
        return self._active

    async def start(self) -> None:
        """Begin to hear. Raises BleakError when the radio is gone."""
        self.seen_devices = {}
        await self.adapter.add_scanner(self)
        self._listening = True

    async def stop(self) -> None:
        """End. Raises BleakError when the radio is gone; a second stop does nothing."""
        if self._listening:
            self._listening = False
            await self.adapter.remove_scanner(self)

    def hear(self, address: str, advertisement: Advertisement) -> None:
        """Take one advertisement from the adapter."""
        found = read(advertisement.data)
        if self._patterns and not self._matches(advertisement.data):
            return
        if (before := self.seen_devices.get(address)) is not None:
            found.remember(before[1])  # BlueZ keeps a device's properties between reports.
        data = AdvertisementData(
            local_name=found.name,
            manufacturer_data=found.makers,
            service_data=found.service_data,
            service_uuids=list(dict.fromkeys(found.uuids)),
            tx_power=found.tx_power,
            rssi=advertisement.rssi,
            platform_data=(advertisement,),
        )
        if not self.is_allowed_uuid(data.service_uuids):
            return
        name = found.name or address.replace(":", "-")
        kind = "public" if advertisement.address.is_public else "random"
        details = {
            "address": advertisement.address,
            "adapter": self.adapter.name,
            "props": {"AddressType": kind},  # where BlueZ's backend has it
        }
        device = self.create_or_update_device(address, address, name, details, data)
        self.call_detection_callbacks(device, data)

    def _matches(self, data: AdvertisingData) -> bool:
        return any(
            int(kind) == wanted and payload[start : start + len(content)] == content
            for start, wanted, content in self._patterns
            for kind, payload in data.ad_structures
        )


@dataclass(slots=True)
class Found:
    """What one advertisement says, while it is being read. UUIDs are of 128 bits, in lower case."""

    name: str | None = None
    tx_power: int | None = None
    uuids: list[str] = field(default_factory=list[str])
    makers: dict[int, bytes] = field(default_factory=dict[int, bytes])
    service_data: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def remember(self, before: AdvertisementData) -> None:
        """Keep what was said earlier and not now."""
        self.name = self.name or before.local_name
        self.tx_power = before.tx_power if self.tx_power is None else self.tx_power
        self.uuids = [*before.service_uuids, *self.uuids]
        self.makers = {**before.manufacturer_data, **self.makers}
        self.service_data = {**before.service_data, **self.service_data}


def read(data: AdvertisingData) -> Found:
    """Take an advertisement apart."""
    found = Found()
    for kind, payload in data.ad_structures:
        match int(kind):
            case AdType.SHORTENED_LOCAL_NAME | AdType.COMPLETE_LOCAL_NAME:
                found.name = payload.decode("utf-8", "replace")
            case (
                AdType.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS
                | AdType.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS
            ):
                found.uuids += [_uuid(payload[i : i + 2]) for i in range(0, len(payload), 2)]
            case (
                AdType.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
                | AdType.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS
            ):
                found.uuids += [_uuid(payload[i : i + 16]) for i in range(0, len(payload), 16)]
            case AdType.TX_POWER_LEVEL:
                found.tx_power = int.from_bytes(payload[:1], "little", signed=True)
            case AdType.SERVICE_DATA_16_BIT_UUID:
                found.service_data[_uuid(payload[:2])] = bytes(payload[2:])
            case AdType.SERVICE_DATA_128_BIT_UUID:
                found.service_data[_uuid(payload[:16])] = bytes(payload[16:])
            case AdType.MANUFACTURER_SPECIFIC_DATA:
                found.makers[int.from_bytes(payload[:2], "little")] = bytes(payload[2:])
            case _:
                pass
    return found


def _uuid(little_endian: bytes) -> str:
    octets = little_endian[::-1]
    return normalize_uuid_str(octets.hex() if len(octets) == 2 else str(UUID(bytes=octets)))  # noqa: PLR2004


def scanner_type(adapter: VirtualAdapter) -> type[VirtualScanner]:
    """Bind the backend to an adapter: bleak wants a type and makes the object itself."""
    return type("VirtualScanner", (VirtualScanner,), {"adapter": adapter})
