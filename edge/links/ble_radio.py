"""The box's Bluetooth adapter by bleak: opened by name, listening for advertisements, connecting. Keeps no schedule."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable
from weakref import WeakSet

from bleak import BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from edge.links.ble import BleLink, bounded, open_ble, told_of
from gateway.contract.profile import BleChannel
from gateway.contract.session import Link
from gateway.runtime.errors import ConfigError, LinkError
from gateway.runtime.plugins import RADIOS, found

PLATFORM = "bluez"  # the machine's own adapter, as bleak finds it
SCAN_PATIENCE_S = 10.0
SCAN_TRIES_MAX = 2
OPEN_PATIENCE_S = 15.0
STATIC_RANDOM = 0b11  # Bluetooth Core, vol 6 part B, 1.3.2.1: the two highest bits of a random address that stays


@runtime_checkable
class Refuser(Protocol):
    """A guard that knows whom it has refused to pair."""

    def refusals(self, device: str) -> int:
        """How often that was the device at this path on the bus."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """One advertisement. `lasting`: the address is public or static, so it may name the device for good.

    `service_data` by UUID in full, lower case; `maker_data` by company identifier. `name` and `services` as far as it says them.
    `paired`: the platform says that this box is paired with it.
    """

    address: str
    lasting: bool
    handle: object
    service_data: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    maker_data: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    name: str = ""
    services: frozenset[str] = frozenset()
    paired: bool = False


class BleRadio:
    """One adapter. `open` may be called again after `close`, which is how a radio that vanished is taken back."""

    def __init__(
        self,
        name: str,
        address: str,
        guard: Callable[[], AbstractAsyncContextManager[object]] | None = None,
    ) -> None:
        """Nothing is opened yet. `name`: `bluez`, or an entry point of `gateway.radios`; `address` is its argument.

        `guard` answers what BlueZ asks of a person while the adapter is open; by itself it refuses to pair.
        Raises ConfigError where no such radio is installed.
        """
        self._name, self._address = name, address
        self._guard = guard or refuse_pairing
        self._guarding: object = None
        self._opened: AsyncExitStack | None = None
        self._scanner: BleakScanner | None = None
        self._links: WeakSet[BleLink] = WeakSet()
        if name != PLATFORM and name not in found(RADIOS):
            known = ", ".join([PLATFORM, *sorted(found(RADIOS))])
            raise ConfigError("settings", "radio.name", f"no radio {name!r} is installed", known)

    async def open(self) -> None:
        """Take the adapter. Raises LinkError(retry=True) where it isn't there."""
        stack = AsyncExitStack()
        if self._name == PLATFORM:
            self._guarding = await stack.enter_async_context(self._guard())
        else:
            opener = found(RADIOS)[self._name].load()
            try:
                await bounded(
                    stack.enter_async_context(opener(self._address)), OPEN_PATIENCE_S, "radio"
                )
            except ValueError as fault:
                raise LinkError(str(fault), retry=False) from fault
        self._opened = stack

    async def listen(self, hear: Callable[[Heard], None]) -> None:
        """Begin discovery, or begin it anew. Raises LinkError."""
        await self.hush()

        def detected(known: BLEDevice, data: AdvertisementData) -> None:
            device = _as_it_is_now(known, data)
            hear(
                Heard(
                    device.address.upper(),
                    is_lasting(device),
                    device,
                    service_data=data.service_data,
                    maker_data=data.manufacturer_data,
                    name=data.local_name or "",
                    services=frozenset(data.service_uuids),
                    paired=told_of(device, "Paired") is True,
                )
            )

        try:
            scanner = BleakScanner(detected)
        except BleakError as fault:
            raise LinkError(f"scan: {fault}") from fault
        await self._begin(scanner)
        self._scanner = scanner

    async def _begin(self, scanner: BleakScanner) -> None:
        """Begin discovery, if need be as another client of BlueZ's.

        BlueZ 5.66 answers only the last of several programs that begin at one moment. Whoever was not answered is told "in
        progress" for as long as its connection stands, whether it begins or ends: a box would be deaf until it is restarted.
        """
        tries = SCAN_TRIES_MAX if self._name == PLATFORM else 1
        for left in range(tries - 1, -1, -1):
            try:
                await bounded(scanner.start(), SCAN_PATIENCE_S, "scan")
            except LinkError:
                if self._name == PLATFORM:
                    await self._leave()
                if not left:
                    raise
            else:
                return

    async def _leave(self) -> None:
        """Leave BlueZ's bus. Links are hung up before: BlueZ would keep them, and a device that is connected to nobody is never heard again."""
        await asyncio.gather(*(link.close() for link in list(self._links)))
        await leave_bluez()

    async def hush(self) -> None:
        """End discovery. Raises LinkError where the radio is gone."""
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            await bounded(scanner.stop(), SCAN_PATIENCE_S, "end of scan")

    async def connect(
        self, heard: Heard, channels: Mapping[str, BleChannel], now: Callable[[], float]
    ) -> Link:
        """Connect to what was just heard. Raises LinkError."""
        # Only `listen` makes a Heard, and puts bleak's device into it: the handle is opaque to all others.
        device = cast("BLEDevice", heard.handle)
        guarding = self._guarding
        if not isinstance(guarding, Refuser):
            link = await open_ble(device, channels, now)
        else:
            path = bus_path(heard)
            before = guarding.refusals(path)
            link = await open_ble(device, channels, now, lambda: guarding.refusals(path) > before)
        self._links.add(link)
        return link

    async def close(self) -> None:
        """Let the adapter go. Never raises for what the radio does."""
        stack, self._opened = self._opened, None
        self._guarding = None
        try:
            await self.hush()
        except LinkError:
            self._scanner = None  # it went with the radio
        if stack is not None:
            try:
                await bounded(stack.aclose(), OPEN_PATIENCE_S, "close of the radio")
            except LinkError:
                return


async def leave_bluez() -> None:
    """End bleak's connection to the bus: BlueZ forgets what it was asked for. The next call connects anew."""
    if sys.platform != "linux":
        return
    from bleak.backends.bluezdbus.manager import (  # noqa: PLC0415 for Linux
        get_global_bluez_manager,
    )

    try:
        manager = await get_global_bluez_manager()
    except (BleakError, OSError, EOFError):
        return  # there is no bus, or no BlueZ on it
    # Bleak has no name for it.
    bus = manager._bus  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if bus is not None:
        bus.disconnect()


def refuse_pairing() -> AbstractAsyncContextManager[object]:
    """An agent that lets nobody pair. With none, a device that wants to be paired lets a read on BlueZ hang."""
    if sys.platform != "linux":
        return nullcontext()
    from edge.links.pairing import guarding  # noqa: PLC0415 dbus-fast is for Linux

    return guarding()


def _as_it_is_now(known: BLEDevice, data: AdvertisementData) -> BLEDevice:
    """The device with what BlueZ says of it at this moment. Bleak goes on with what it was told when it first heard the device.

    BlueZ forgets a device that is neither paired nor heard for half a minute, and makes another of it later: whether that is
    paired would never be known.
    """
    details = cast("object", known.details)
    match details, data.platform_data:
        case dict(), (str(path), dict(properties)):
            return BLEDevice(
                known.address, known.name, {**details, "path": path, "props": properties}
            )
        case _:
            return known


def is_lasting(device: BLEDevice) -> bool:
    """Whether a device's address stays: public, or random and static. False where the platform doesn't say."""
    match told_of(device, "AddressType"):
        case "public":
            return True
        case "random":
            return int(device.address[:2], 16) >> 6 == STATIC_RANDOM
        case _:
            return False


def bus_path(heard: Heard) -> str:
    """Where BlueZ has the device on D-Bus. Raises LinkError where the radio is no BlueZ."""
    details = cast("object", cast("BLEDevice", heard.handle).details)
    path = cast("Mapping[str, object]", details).get("path") if isinstance(details, dict) else None
    if not isinstance(path, str):
        raise LinkError(f"{heard.address} was not heard by BlueZ", retry=False)
    return path
