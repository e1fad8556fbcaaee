"""All devices of the adapter: made when discovery tells of them, gone again when nobody wants them. Speaks no D-Bus itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from dbus_fast import Variant

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.bluez.device import BluezDevice, Ground
from drivers.sim.world.bluez.discovery import NO_SIGNAL, Discovery, Sighting
from drivers.sim.world.bluez.gatt_objects import GattObjects
from drivers.sim.world.bluez.words import (
    ADAPTER,
    ADAPTER_PATH,
    DEVICE,
    BluezError,
    device_path,
    refused,
    unknown_object,
)

TEMPORARY_S_MAX = 30.0
"""A device that nobody connected to, and that is silent, is forgotten (TemporaryTimeout of BlueZ's main.conf)."""

SWEEP_S = 2.0
_DEVICE_PARTS = 5


class Devices:
    """What Adapter1 does, but for its properties."""

    def __init__(self, ground: Ground, adapter: VirtualAdapter) -> None:
        self._ground = ground
        self._by_path: dict[str, BluezDevice] = {}
        self.discovery = Discovery(adapter, self._on_sighted)

    def __iter__(self) -> Iterator[BluezDevice]:
        """Every device, also when some go meanwhile."""
        return iter(list(self._by_path.values()))

    def at(self, path: str) -> BluezDevice:
        """The device that this path is of or lies below. Raises BluezError."""
        own = "/".join(path.split("/")[:_DEVICE_PARTS])
        if own not in self._by_path:
            raise unknown_object(path)
        return self._by_path[own]

    def gatt(self, path: str) -> GattObjects:
        """The GATT objects of the link that this path is of. Raises BluezError."""
        gatt = self.at(path).gatt
        if gatt is None:
            raise refused("Failed", "Not connected")
        return gatt

    async def start(self, client: str) -> None:
        """StartDiscovery."""
        await self.discovery.start(client)
        self._tell_discovering()

    async def stop(self, client: str) -> None:
        """StopDiscovery; the last one's takes the signal strengths away."""
        await self.discovery.stop(client)
        self._tell_discovering()

    async def remove(self, path: str) -> None:
        """RemoveDevice: link, bond and object go."""
        device = self._by_path.get(path)
        if device is None:
            raise refused("DoesNotExist", "Does Not Exist")
        await device.forget()
        self._drop(device)

    async def vanished(self, client: str) -> None:
        """A program left the bus, with its discovery and its links."""
        await self.discovery.vanished(client)
        self._tell_discovering()
        for device in self:
            with suppress(BluezError):  # the link went by itself meanwhile
                await device.vanished(client)

    async def sweep(self) -> None:
        """Forget temporary devices that are silent; ends only by being cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for device in self:
                silent = self.discovery.silent_s(device.address) > TEMPORARY_S_MAX
                if silent and not device.wanted and not device.linked:
                    self._drop(device)

    async def close(self) -> None:
        """Hang up everywhere."""
        for device in self:
            with suppress(BluezError):  # there was no link
                await device.disconnect()

    def _drop(self, device: BluezDevice) -> None:
        self._by_path.pop(device.path, None)
        self.discovery.forget(device.address)
        self._ground.tree.remove(device.path)

    def _on_sighted(self, sighting: Sighting) -> None:
        path = device_path(sighting.address)
        if path in self._by_path:
            self._ground.tree.change(path, DEVICE, sighting.changed)
            return
        self._by_path[path] = BluezDevice(self._ground, sighting.address, path)
        self._ground.tree.add(path, {DEVICE: sighting.whole})

    def _tell_discovering(self) -> None:
        running = Variant("b", self.discovery.running)
        if self._ground.tree.get(ADAPTER_PATH, ADAPTER, "Discovering") != running:
            self._ground.tree.change(ADAPTER_PATH, ADAPTER, {"Discovering": running})
        if not self.discovery.running:
            for device in self:
                self._ground.tree.change(device.path, DEVICE, {}, NO_SIGNAL)
