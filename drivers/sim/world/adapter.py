"""The agent's virtual adapter: a bumble host that scans, connects and pairs as BlueZ would.

Knows bleak's errors, not its backends (scanner.py, client.py) and not where its controller is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bleak.exc import BleakError
from bumble import core, hci
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate

AskPasskey = Callable[[], Awaitable[int | None]]
"""Gives the number that the device shows, or None when the person gives up."""

POWER_ON_S_MAX = 10.0
FAREWELL_S_MAX = 2.0

# Bumble's default key is all zeros, which no real stack has.
_IDENTITY_KEY = bytes(range(1, 17))


class AdvertisementListener(Protocol):
    """A scanner, as the adapter sees it."""

    @property
    def active(self) -> bool:
        """Whether it asks for scan responses."""
        ...

    def hear(self, address: str, advertisement: Advertisement) -> None:
        """Take one advertisement; `address` is the identity's where a private one resolves."""
        ...


class _Delegate(PairingDelegate):
    def __init__(self, ask_passkey: AskPasskey | None) -> None:
        super().__init__(
            PairingDelegate.IoCapability.NO_OUTPUT_NO_INPUT
            if ask_passkey is None
            else PairingDelegate.IoCapability.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT
        )
        self._ask_passkey = ask_passkey

    async def get_number(self) -> int | None:
        return None if self._ask_passkey is None else await self._ask_passkey()


class VirtualAdapter:
    """One radio of the agent's host. `name` stands in messages and in bleak's backend id.

    Without `ask_passkey` devices are paired Just Works. `bonds` is a file that keeps the bonds
    past the process, as bluetoothd does; without it they live in memory.
    """

    def __init__(
        self, host: Host, name: str, *, ask_passkey: AskPasskey | None = None,
        bonds: Path | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.seen: dict[str, hci.Address] = {}
        config = DeviceConfiguration(
            name=name,
            irk=_IDENTITY_KEY,
            identity_address_type=hci.Address.PUBLIC_DEVICE_ADDRESS,
            # Otherwise connecting to a bonded device starts a scan of its own.
            address_resolution_offload=True,
            keystore=None if bonds is None else f"JsonKeyStore:{bonds}",
        )
        self.device = Device(config=config, host=host)
        self._ask_passkey = ask_passkey
        self.device.pairing_config_factory = self._pairing
        self.device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        self._lost = False
        self._scanners: set[AdvertisementListener] = set()
        self._tuned_to: bool | None = None
        self._scan_lock = asyncio.Lock()
        # A controller has one pending LE connection.
        self._connect_lock = asyncio.Lock()
        self._attempts: set[asyncio.Task[Connection]] = set()

    def _pairing(self, _link: Connection) -> PairingConfig:
        delegate = _Delegate(self._ask_passkey)
        mitm = self._ask_passkey is not None
        return PairingConfig(sc=True, mitm=mitm, bonding=True, delegate=delegate)

    async def open(self) -> None:
        """Power on. Raises BleakError when no virtual radio answers within POWER_ON_S_MAX."""
        try:
            async with asyncio.timeout(POWER_ON_S_MAX):
                await self.device.power_on()
        except TimeoutError as late:
            message = f"{self.name}: no radio answered within {POWER_ON_S_MAX:g} s"
            raise BleakError(message) from late
        except (core.BaseError, hci.HCI_Error, ConnectionError, asyncio.CancelledError) as fault:
            if isinstance(fault, asyncio.CancelledError) and not self._lost:
                raise
            message = f"{self.name}: what answers is no virtual radio"
            raise BleakError(message) from fault

    async def close(self) -> None:
        """End all links politely, as far as that goes, and leave."""
        for attempt in self._attempts:
            attempt.cancel()
        if self._lost:
            return
        with suppress(TimeoutError, core.BaseError, hci.HCI_Error, ConnectionError):
            async with asyncio.timeout(FAREWELL_S_MAX):
                for link in list(self.device.connections.values()):
                    await link.disconnect()
                await self.device.power_off()

    def lose(self) -> None:
        """The controller is gone: end what waits, disconnect every client, refuse what comes."""
        self._lost = True
        host = self.device.host
        if host.pending_response is not None and not host.pending_response.done():
            host.pending_response.set_exception(ConnectionError(f"{self.name} is gone"))
        host.emit("flush")

    @property
    def lost(self) -> bool:
        """Whether the controller is gone."""
        return self._lost

    def check(self) -> None:
        """Raise BleakError when the controller is gone."""
        if self._lost:
            message = f"{self.name}: the virtual radio is gone"
            raise BleakError(message)

    async def add_scanner(self, scanner: AdvertisementListener) -> None:
        """Let a scanner hear; the radio scans actively if any scanner wants it so."""
        self._scanners.add(scanner)
        try:
            await self._tune()
        except BaseException:
            self._scanners.discard(scanner)
            raise

    async def remove_scanner(self, scanner: AdvertisementListener) -> None:
        """Let a scanner hear no more. Raises BleakError when the radio is gone."""
        self._scanners.discard(scanner)
        await self._tune()

    async def _tune(self) -> None:
        async with self._scan_lock:
            self.check()
            wanted = any(s.active for s in self._scanners) if self._scanners else None
            if wanted == self._tuned_to:
                return
            try:
                if self._tuned_to is not None:
                    await self.device.stop_scanning()
                self._tuned_to = None
                if wanted is not None:
                    await self.device.start_scanning(
                        active=wanted, own_address_type=hci.OwnAddressType.PUBLIC
                    )
                self._tuned_to = wanted
            except (core.BaseError, hci.HCI_Error, ConnectionError) as fault:
                message = f"{self.name}: scanning failed: {fault}"
                raise BleakError(message) from fault

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        address = advertisement.address
        resolver = self.device.address_resolver
        if resolver is not None and address.is_resolvable:
            address = resolver.resolve(address) or address
        key = address.to_string(with_type_qualifier=False)
        self.seen[key] = advertisement.address
        for scanner in list(self._scanners):
            scanner.hear(key, advertisement)

    async def link_up(self, address: hci.Address) -> Connection:
        """Connect, waiting for the device as long as the caller does.

        Raises BleakError. A caller that is cancelled leaves the controller idle, never initiating.
        """
        given_up = asyncio.Event()
        attempt = asyncio.create_task(self._attempt(address, given_up))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            if attempt.cancelled() and self._lost:
                self.check()
            given_up.set()
            attempt.add_done_callback(_drop_unwanted)
            raise

    async def _attempt(self, address: hci.Address, given_up: asyncio.Event) -> Connection:
        async with self._connect_lock:
            self.check()
            connecting = asyncio.ensure_future(
                self.device.connect(
                    address, own_address_type=hci.OwnAddressType.PUBLIC, timeout=None
                )
            )
            waiting = asyncio.create_task(given_up.wait())
            await asyncio.wait({connecting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if not connecting.done():
                # Cancelling Device.connect() would leave the controller initiating.
                with suppress(hci.HCI_Error, ConnectionError):
                    await self.device.send_sync_command(
                        hci.HCI_LE_Create_Connection_Cancel_Command()
                    )
            try:
                return await connecting
            except (core.BaseError, hci.HCI_Error, ConnectionError) as fault:
                message = f"{self.name}: connecting to {address} failed: {fault}"
                raise BleakError(message) from fault


def _drop_unwanted(attempt: asyncio.Task[Connection]) -> None:
    """Hang up a link that came up after its caller had given up."""
    if attempt.cancelled() or attempt.exception() is not None:
        return
    farewell = asyncio.ensure_future(attempt.result().disconnect())
    farewell.add_done_callback(lambda done: done.cancelled() or done.exception())
