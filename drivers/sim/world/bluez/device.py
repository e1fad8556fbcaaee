"""One Device1: its link, its bond and its GATT objects, in the order in which BlueZ tells them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError
from bumble import att, core, hci
from dbus_fast import Variant

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.bluez.agents import Agents
from drivers.sim.world.bluez.central import Central, Steps
from drivers.sim.world.bluez.gatt_objects import GattObjects
from drivers.sim.world.bluez.pairing import Pairing
from drivers.sim.world.bluez.tree import ObjectTree
from drivers.sim.world.bluez.words import DEVICE, BluezError, Properties, refused

RESOLVED_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What all devices stand on."""

    tree: ObjectTree
    adapter: VirtualAdapter
    agents: Agents
    pairing: Pairing


class BluezDevice:
    """One device that was discovered. Every method raises BluezError in BlueZ's words."""

    def __init__(self, ground: Ground, address: str, path: str) -> None:
        self._ground, self.address, self.path = ground, address, path
        self._central: Central | None = None
        self._coming_up: asyncio.Task[None] | None = None
        self._bonding: asyncio.Task[None] | None = None
        self._secured = asyncio.Event()
        self._down = asyncio.Event()
        self._down.set()
        self._securing = asyncio.Lock()
        self._users: set[str] = set()
        self.gatt: GattObjects | None = None
        self.bonded = False
        self.wanted = False

    @property
    def linked(self) -> bool:
        """Whether the link stands, be its services known or not."""
        return not self._down.is_set()

    async def connect(self, owner: str) -> None:
        """Connect: done when the link stands and, where there is a bond, is encrypted; services follow."""
        self.wanted = True
        if self._coming_up is not None and not self._secured.is_set():
            raise refused("InProgress", "In Progress")
        self._users.add(owner)
        if self.linked:
            return
        self._secured.clear()
        steps = Steps(self._on_linked, self._secured.set, self._on_lost, self._raise_security)
        central = self._central = Central(self._ground.adapter, self.address, steps)
        coming = self._coming_up = asyncio.create_task(self._come_up(central))
        coming.add_done_callback(self._on_come_up)
        secured = asyncio.create_task(self._secured.wait())
        try:
            await asyncio.wait({coming, secured}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            secured.cancel()
        if coming.done():
            self._raise_for(coming)

    async def _come_up(self, central: Central) -> None:
        await central.connect(pair=False)
        gatt = self.gatt = GattObjects(self._ground.tree, self.path, central)
        told = self._ground.tree.properties(self.path, DEVICE)["UUIDs"].value
        uuids = sorted(gatt.export() | set(told))
        self._change(UUIDs=Variant("as", uuids))
        self._change(ServicesResolved=Variant("b", True))

    def _on_come_up(self, done: asyncio.Task[None]) -> None:
        self._coming_up = None
        if not done.cancelled():
            done.exception()  # told by `connect`, or by the link's end

    def _raise_for(self, done: asyncio.Task[None]) -> None:
        if done.cancelled():
            raise refused("Failed", "br-connection-canceled")
        fault = done.exception()
        match fault:
            case None:
                return
            case TimeoutError():
                raise refused("Failed", "le-connection-abort-by-local") from fault
            case BleakDBusError():
                raise refused("Failed", fault.dbus_error_details or "br-connection-canceled")
            case BleakError():
                raise refused("Failed", "le-connection-abort-by-peer") from fault
            case _:
                raise fault

    def _on_linked(self) -> None:
        self._down.clear()
        self._change(Connected=Variant("b", True))

    def _on_lost(self) -> None:
        gatt, self.gatt = self.gatt, None
        self._central = None
        self._users.clear()
        # Services first: who connects anew must not take yesterday's for today's.
        self._change(ServicesResolved=Variant("b", False))
        for service in gatt.services if gatt is not None else ():
            self._ground.tree.remove(service)
        self._down.set()
        self._change(Connected=Variant("b", False))

    async def disconnect(self) -> None:
        """Hang up, or give up connecting."""
        if self._bonding is not None:
            self._bonding.cancel()
        coming, central = self._coming_up, self._central
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
            # Python 3.11 loses a cancellation that meets an answer (asyncio.wait_for, in bumble): then it came up after all.
            if central is not None and central.is_connected:
                await central.disconnect()
            return
        if central is None or not self.linked:
            raise refused("NotConnected", "Not Connected")
        await central.disconnect()

    async def vanished(self, owner: str) -> None:
        """A program left the bus: a link that it alone used ends."""
        last = self._users == {owner}
        self._users.discard(owner)
        if last and (self.linked or self._coming_up is not None):
            await self.disconnect()
        elif self.gatt is not None:
            await self.gatt.vanished(owner)

    async def pair(self, owner: str) -> None:
        """Pair, connecting first where need be; a failed pairing leaves the link, and no bond."""
        if self.bonded:
            raise refused("AlreadyExists", "Already Exists")
        if self._bonding is not None:
            raise refused("InProgress", "In Progress")
        if self._ground.agents.pick(owner) is None:
            # Measured on BlueZ 5.66: without any agent not even Just Works is tried.
            raise refused("AuthenticationFailed", "Authentication Failed")
        bonding = self._bonding = asyncio.create_task(self._bond(owner))
        try:
            await asyncio.shield(bonding)
        except asyncio.CancelledError:
            if not bonding.cancelled():
                raise
            raise refused("AuthenticationCanceled", "Authentication Canceled") from None
        finally:
            self._bonding = None

    async def _bond(self, owner: str) -> None:
        try:
            await self.connect(owner)
            if self._coming_up is not None:
                await asyncio.wait({self._coming_up}, timeout=RESOLVED_S_MAX)
        except BluezError as fault:
            raise refused("ConnectionAttemptFailed", "Page Timeout") from fault
        agent, central = self._ground.agents.pick(owner), self._central
        if agent is None or central is None:
            raise refused("AuthenticationCanceled", "Authentication Canceled")
        try:
            async with self._securing:
                await self._ground.pairing.pair(central, self.path, agent, wanted=True)
        except asyncio.CancelledError:
            if self._central is central:
                await central.disconnect()
            raise
        self._on_bonded()

    def cancel_pairing(self) -> None:
        """End a pairing that is under way."""
        if self._bonding is None:
            raise refused("DoesNotExist", "Does Not Exist")
        self._bonding.cancel()

    async def _raise_security(self) -> None:
        """What BlueZ does when a device answers a request with "insufficient authentication"."""
        async with self._securing:
            central = self._central
            if central is None:
                raise BleakError("Not connected")
            if central.link.is_encrypted:
                return
            if await central.bonded():
                await central.guard(central.link.encrypt())
                return
            agent = self._ground.agents.pick(None)
            if agent is None:
                await self._hang()
            try:
                await self._ground.pairing.pair(central, self.path, agent, wanted=False)
            except BluezError:
                await self._hang()
            self._on_bonded()

    async def _hang(self) -> NoReturn:
        """Measured on BlueZ 5.66, without an agent and with one that refuses: the request waits as long as the link stands."""
        await self._down.wait()
        raise BleakGATTProtocolError(att.ATT_UNLIKELY_ERROR_ERROR)

    def _on_bonded(self) -> None:
        self.bonded = True
        self._change(Bonded=Variant("b", True), Paired=Variant("b", True))

    async def forget(self) -> None:
        """Drop link and bond; the device keeps its side."""
        if self.linked or self._coming_up is not None:
            await self.disconnect()
        self.bonded = False
        keys = self._ground.adapter.device.keystore
        address = self._ground.adapter.seen.get(self.address, hci.Address(self.address))
        if keys is not None:
            with suppress(KeyError, core.BaseError):  # there was no bond
                await keys.delete(str(address))

    def _change(self, **changed: Variant) -> None:
        properties: Properties = dict(changed)
        self._ground.tree.change(self.path, DEVICE, properties)
