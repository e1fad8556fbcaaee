"""Serve org.bluez for an air: a private bus, an adapter on the air, and the service that joins them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from bumble import hci
from bumble.host import Host
from dbus_fast.aio import MessageBus

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.air import Air, AirController
from drivers.sim.world.bluez.daemon import private_bus
from drivers.sim.world.bluez.service import BluezService

ADAPTER_ADDRESS = "C0:FF:EE:00:01:01"
ADAPTER_NAME = "hci0"


@asynccontextmanager
async def serve_bluez(air: Air, folder: Path) -> AsyncGenerator[str]:
    """Yield the address of a bus on which org.bluez serves one adapter on `air`; its socket lies in `folder`.

    An agent gets it as DBUS_SYSTEM_BUS_ADDRESS. Bonds live as long as this context. Raises ConfigError.
    """
    async with private_bus(folder) as address:
        public = hci.Address(ADAPTER_ADDRESS, hci.Address.PUBLIC_DEVICE_ADDRESS)
        controller = AirController(ADAPTER_NAME, air, public_address=public)
        adapter = VirtualAdapter(Host(controller, controller), ADAPTER_NAME)
        bus = await MessageBus(bus_address=address).connect()
        service = BluezService(bus, adapter)
        try:
            await adapter.open()
            await service.open()
            yield address
        finally:
            await service.close()
            await adapter.close()
            air.remove_controller(controller)
            bus.disconnect()
