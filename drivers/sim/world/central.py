"""The radio that an agent asks for by name (entry point group `gateway.radios`, name `hci-tcp`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import bleak
import bleak.backends.client
import bleak.backends.scanner
from bleak.exc import BleakError
from bumble.host import Host

from drivers.sim.world.adapter import AskPasskey, VirtualAdapter
from drivers.sim.world.client import client_type
from drivers.sim.world.hci_tcp import connect_radio
from drivers.sim.world.scanner import scanner_type

# `bleak` holds the names that BleakScanner and BleakClient look up; the others define them.
_SCANNER_NAME = "get_platform_scanner_backend_type"
_CLIENT_NAME = "get_platform_client_backend_type"
_PLACES = (
    (bleak, _SCANNER_NAME),
    (bleak, _CLIENT_NAME),
    (bleak.backends.scanner, _SCANNER_NAME),
    (bleak.backends.client, _CLIENT_NAME),
)


@asynccontextmanager
async def open_radio(
    address: str, *, ask_passkey: AskPasskey | None = None, bonds: Path | None = None
) -> AsyncGenerator[None]:
    """Make plain `BleakScanner()` and `BleakClient(device)` use the ward's radio at "HOST:PORT".

    Raises OSError when nothing listens there and BleakError when it is no radio, both naming the
    address; ValueError for an address of another form. When the ward dies inside the context,
    clients disconnect and every call raises BleakError; leave the context and open a new one.
    """
    host, port = _parse(address)
    radio = f"the virtual radio at {address}"
    adapters: list[VirtualAdapter] = []

    def on_lost() -> None:
        for adapter in adapters:
            adapter.lose()

    try:
        pipe = await connect_radio(host, port, on_lost)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        message = f"{radio} can't be reached: {reason}; is a ward running there?"
        raise OSError(fault.errno, message) from fault
    try:
        adapter = VirtualAdapter(Host(pipe, pipe), radio, ask_passkey=ask_passkey, bonds=bonds)
        adapters.append(adapter)
        await adapter.open()
        with installed(adapter):
            try:
                yield
            finally:
                await adapter.close()
    finally:
        await pipe.leave()


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal()):
        message = f"a virtual radio's address is HOST:PORT, not {address!r}"
        raise ValueError(message)
    return host, int(port)


@contextmanager
def installed(adapter: VirtualAdapter) -> Generator[None]:
    """Put an adapter in the place of bleak's platform. One at a time in a process: BleakError."""
    stock = [getattr(module, name) for module, name in _PLACES]
    if any(not found.__module__.startswith("bleak.") for found in stock):
        message = f"{adapter.name} can't be opened: this process has a virtual radio open already"
        raise BleakError(message)
    backends = {_SCANNER_NAME: scanner_type(adapter), _CLIENT_NAME: client_type(adapter)}
    for module, name in _PLACES:
        backend = backends[name]
        setattr(module, name, lambda backend=backend: (backend, adapter.name))
    try:
        yield
    finally:
        for (module, name), before in zip(_PLACES, stock, strict=True):
            setattr(module, name, before)
