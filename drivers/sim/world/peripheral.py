"""A described GATT device on the virtual air, with a pure peer that answers for it.

Carries bytes between peer and radio; may not know what they mean, nor clocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial

from bumble import hci
from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.keys import PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate

from drivers.sim.world.air import Air, AirController
from drivers.sim.world.gatt import DeviceDescription, GattPeer
from drivers.sim.world.gatt_table import GattTable
from drivers.sim.world.peripheral_link import PeripheralLink

FAREWELL_S_MAX = 1.0
PASSKEY_MAX = 999_999

_ADVERTISING_OCTETS_MAX = 31
_GENERAL_DISCOVERABLE_LE_ONLY = b"\x06"


class _Screen(PairingDelegate):
    def __init__(self, passkey: int | None, show: Callable[[str], None]) -> None:
        super().__init__(
            PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT
            if passkey is None
            else PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY
        )
        self._passkey = passkey
        self._show = show

    async def generate_passkey(self) -> int:
        assert self._passkey is not None
        return self._passkey

    async def display_number(self, number: int, digits: int) -> None:
        self._show(f"{number:0{digits}}")


class VirtualPeripheral:
    """A device on the air: one link at a time, advertises when it has none and was told to.

    `displayed` lists what its screen showed while pairing, last last; `show` hears of each. `pairings`: of each that came
    about, whether its key is proof against a man in the middle, which only a passkey's is.
    Raises ValueError for a description that no radio could send, or an address already in use.
    """

    def __init__(
        self, air: Air, description: DeviceDescription, peer: GattPeer,
        show: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self._air = air
        self._show = show
        self._description = description
        self._peer = peer
        self._payloads = _advertising_payloads(description)
        if description.passkey is not None and not 0 < description.passkey <= PASSKEY_MAX:
            # Bumble's pairing trips over 000000.
            message = f"passkey {description.passkey}; a passkey is 1 to {PASSKEY_MAX}"
            raise ValueError(message)
        address = _address(description)
        if air.find_le_controller(address) is not None:
            message = f"{description.address} is on this air already"
            raise ValueError(message)
        self._controller = AirController(
            description.name, air,
            public_address=address if description.public else None,
            rssi_dbm=description.rssi_dbm,
        )  # fmt: skip
        self._device = Device(
            config=_configuration(description, address),
            host=Host(self._controller, self._controller),
        )
        self.displayed: list[str] = []
        self.pairings: list[bool] = []
        self._device.pairing_config_factory = self._pairing
        self._table = GattTable(
            description, peer, self._device.gatt_server, on_subscribed=self._on_subscribed
        )
        self._device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._link: PeripheralLink | None = None
        self._wants_to_advertise = False
        self._commanding = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def link(self) -> PeripheralLink | None:
        """The link that stands now."""
        return self._link

    def _pairing(self, _link: Connection) -> PairingConfig:
        passkey = self._description.passkey
        screen = _Screen(passkey, self._display)
        return PairingConfig(sc=True, mitm=passkey is not None, bonding=True, delegate=screen)

    def _display(self, digits: str) -> None:
        self.displayed.append(digits)
        if self._show is not None:
            self._show(digits)

    async def power_on(self) -> None:
        """Switch the radio on; it is silent until `start_advertising`."""
        await self._device.power_on()

    async def close(self) -> None:
        """Take the device off the air: its link dies as by supervision timeout.

        The peer hears of it; what it still does after FAREWELL_S_MAX is cancelled.
        """
        self._wants_to_advertise = False
        # A controller that is gone answers no command, and the host waits long for an answer.
        async with self._commanding:
            self._air.remove_controller(self._controller)
        if self._link is not None:
            await self._link.ended()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=FAREWELL_S_MAX)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def start_advertising(self) -> None:
        """Advertise whenever there is no link, until told to stop."""
        self._wants_to_advertise = True
        await self._advertise()

    async def _advertise(self) -> None:
        advertisement, response = self._payloads
        async with self._commanding:
            if self._wants_to_advertise and self._link is None:
                await self._device.start_advertising(
                    advertising_data=advertisement,
                    scan_response_data=response,
                    own_address_type=_own_type(self._description),
                )

    async def stop_advertising(self) -> None:
        """Advertise no more; a link that stands is left alone."""
        self._wants_to_advertise = False
        async with self._commanding:
            if self._link is None:
                await self._device.stop_advertising()

    def set_in_range(self, in_range: bool) -> None:  # noqa: FBT001
        """Carry the device out of range (its link dies, 0x08) or back."""
        self._air.set_in_range(self._controller, in_range)

    def lose_link(self) -> None:
        """Let the link die now, on both ends, as by supervision timeout (0x08)."""
        self._air.drop_links(self._controller)

    async def indicate(self, uuid16: int, data: bytes) -> bool:
        """As `PeripheralLink.indicate`, to whoever is connected now; False without a link."""
        return self._link is not None and await self._link.indicate(uuid16, data)

    async def notify(self, uuid16: int, data: bytes) -> bool:
        """As `PeripheralLink.notify`, to whoever is connected now; False without a link."""
        return self._link is not None and await self._link.notify(uuid16, data)

    async def hang_up(self) -> None:
        """End the link that stands, from the device's side."""
        if self._link is not None:
            await self._link.hang_up()

    async def bonds(self) -> Mapping[str, bool]:
        """Whom it is bonded with by its own memory, by address: whether that key is proof against a man in the middle."""
        keys = self._device.keystore
        assert keys is not None, "power_on() comes first"
        return {
            address.partition("/")[0]: _is_proof(kept) for address, kept in await keys.get_all()
        }

    async def forget_bonds(self) -> None:
        """Lose all bonds, as a device does whose battery was changed."""
        keys = self._device.keystore
        assert keys is not None, "power_on() comes first"
        await keys.delete_all()

    def _on_connection(self, connection: Connection) -> None:
        link = PeripheralLink(self._device.gatt_server, connection, self._table)
        self._link = link
        connection.on(Connection.EVENT_DISCONNECTION, partial(self._on_disconnection, link))
        connection.on(Connection.EVENT_PAIRING, partial(self._on_pairing, link))
        self._run(self._peer.on_connected(link))

    def _on_disconnection(self, link: PeripheralLink, reason: int) -> None:
        link.end(reason)
        if self._link is link:
            self._link = None
        self._run(self._peer.on_disconnected(reason))
        if self._wants_to_advertise:
            self._run(self._advertise())

    def _on_pairing(self, link: PeripheralLink, keys: PairingKeys) -> None:
        # Bumble falls back to Just Works when the central has no keyboard, and calls the link
        # authenticated all the same; a device with a screen refuses.
        proof = _is_proof(keys)
        if self._description.passkey is not None and not proof:
            self._run(self._refuse_bond(link))
        else:
            self.pairings.append(proof)

    async def _refuse_bond(self, link: PeripheralLink) -> None:
        await self.forget_bonds()
        await link.hang_up()

    def _on_subscribed(self, uuid16: int) -> None:
        self._run(self._peer.on_subscribed(uuid16))

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            context = {
                "message": f"the peer of {self._description.name} failed",
                "exception": fault,
                "task": task,
            }
            asyncio.get_running_loop().call_exception_handler(context)


def _is_proof(keys: PairingKeys) -> bool:
    ltk = keys.ltk or keys.ltk_central or keys.ltk_peripheral
    return ltk is not None and ltk.authenticated


def _address(description: DeviceDescription) -> hci.Address:
    kind = (
        hci.Address.PUBLIC_DEVICE_ADDRESS
        if description.public
        else hci.Address.RANDOM_DEVICE_ADDRESS
    )
    address = hci.Address(description.address, kind)
    if not description.public and not address.is_static:
        message = f"{description.address} is no static random address: it must begin with C to F"
        raise ValueError(message)
    return address


def _own_type(description: DeviceDescription) -> hci.OwnAddressType:
    return hci.OwnAddressType.PUBLIC if description.public else hci.OwnAddressType.RANDOM


def _configuration(description: DeviceDescription, address: hci.Address) -> DeviceConfiguration:
    return DeviceConfiguration(
        name=description.name,
        address=hci.Address.ANY_RANDOM if description.public else address,
        irk=bytes(address) + bytes(reversed(bytes(address))) + bytes(4),
        advertising_interval_min=description.advertising_interval_ms,
        advertising_interval_max=description.advertising_interval_ms,
        identity_address_type=address.address_type,
    )


def _advertising_payloads(description: DeviceDescription) -> tuple[bytes, bytes]:
    kind = AdvertisingData.Type
    uuids = b"".join(uuid16.to_bytes(2, "little") for uuid16 in description.advertised)
    parts: list[tuple[int, bytes]] = [(kind.FLAGS, _GENERAL_DISCOVERABLE_LE_ONLY)]
    if uuids:
        parts.append((kind.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, uuids))
    for company, data in description.manufacturer_data.items():
        parts.append((kind.MANUFACTURER_SPECIFIC_DATA, company.to_bytes(2, "little") + data))
    advertisement = bytes(AdvertisingData(parts))
    response = bytes(AdvertisingData([(kind.COMPLETE_LOCAL_NAME, description.name.encode())]))
    for what, octets in (("advertisement", advertisement), ("scan response", response)):
        if len(octets) > _ADVERTISING_OCTETS_MAX:
            message = (
                f"{description.name}: its {what} takes {len(octets)} octets;"
                f" a packet has {_ADVERTISING_OCTETS_MAX}"
            )
            raise ValueError(message)
    return advertisement, response
