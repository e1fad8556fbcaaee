"""A device on the virtual air that only advertises: data of one service, changed at will. Knows nothing of what it means."""

from __future__ import annotations

import asyncio

from bumble import hci
from bumble.core import AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host

from drivers.sim.world.air import Air, AirController

INTERVAL_MS = 100.0
_GENERAL_DISCOVERABLE_LE_ONLY = b"\x06"


class VirtualAdvertiser:
    """Silent until `show`. Its address is public. Raises ValueError for an address that is on this air already."""

    def __init__(self, air: Air, address: str, name: str, service16: int) -> None:
        place = hci.Address(address, hci.Address.PUBLIC_DEVICE_ADDRESS)
        if air.find_le_controller(place) is not None:
            raise ValueError(f"{address} is on this air already")
        self._air = air
        self._service = service16.to_bytes(2, "little")
        self._controller = AirController(name, air, public_address=place)
        self._device = Device(
            config=DeviceConfiguration(
                name=name,
                address=hci.Address.ANY_RANDOM,
                advertising_interval_min=INTERVAL_MS,
                advertising_interval_max=INTERVAL_MS,
                identity_address_type=place.address_type,
            ),
            host=Host(self._controller, self._controller),
        )
        named = [(AdvertisingData.Type.COMPLETE_LOCAL_NAME, name.encode())]
        self._response = bytes(AdvertisingData(named))
        self._commanding = asyncio.Lock()

    async def power_on(self) -> None:
        """Switch the radio on."""
        await self._device.power_on()

    async def show(self, data: bytes) -> None:
        """Advertise this service data from now on, in place of what was shown before."""
        kind = AdvertisingData.Type
        parts: list[tuple[int, bytes]] = [
            (kind.FLAGS, _GENERAL_DISCOVERABLE_LE_ONLY),
            (kind.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, self._service),
            (kind.SERVICE_DATA_16_BIT_UUID, self._service + data),
        ]
        async with self._commanding:
            # Connectable, as these scales are: bumble's controller sends no other kind of advertisement (0.0.236).
            await self._device.start_advertising(
                own_address_type=hci.OwnAddressType.PUBLIC,
                advertising_data=bytes(AdvertisingData(parts)),
                scan_response_data=self._response,
            )

    async def hush(self) -> None:
        """Advertise no more."""
        async with self._commanding:
            await self._device.stop_advertising()

    def set_in_range(self, in_range: bool) -> None:  # noqa: FBT001
        """Carry the device out of range or back."""
        self._air.set_in_range(self._controller, in_range)

    async def close(self) -> None:
        """Leave the air."""
        async with self._commanding:
            self._air.remove_controller(self._controller)
