"""Discovery: who asked for it with which filter, and what is told of a device that is heard. Opens no links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bumble.device import Advertisement
from dbus_fast import Variant

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.bluez.filters import DiscoveryFilter, Sighted, lets_through
from drivers.sim.world.bluez.words import ADAPTER_PATH, BluezError, Properties, refused
from drivers.sim.world.scanner import Found, read

RSSI_STEP_DB = 8
"""Smaller changes are not told while some client has no filter (RSSI_THRESHOLD of BlueZ's src/device.c)."""

NO_SIGNAL = ("RSSI", "TxPower")
"""What a device loses when discovery ends."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One advertisement that came through a filter: what is new, and all of it for a device that nobody knew."""

    address: str
    changed: Properties
    whole: Properties


@dataclass(slots=True)
class _Heard:
    """What was heard of one device since it is known."""

    found: Found = field(default_factory=Found)
    rssi_dbm: int | None = None
    at_s: float = 0.0


class Discovery:
    """The adapter's ear. `active`: it asks for scan responses, as BlueZ always does."""

    active = True

    def __init__(self, adapter: VirtualAdapter, sighted: Callable[[Sighting], None]) -> None:
        self._adapter, self._sighted = adapter, sighted
        self._filters: dict[str, DiscoveryFilter | None] = {}
        self._clients: set[str] = set()
        self._begun = False
        self._asked_last = ""
        self._unanswered: dict[str, asyncio.Event] = {}
        self._heard: dict[str, _Heard] = {}
        self._turn = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Whether anybody asked for it."""
        return bool(self._clients)

    def set_filter(self, client: str, wish: DiscoveryFilter | None) -> None:
        """What this client wants to hear from now on."""
        self._filters[client] = wish

    async def start(self, client: str) -> None:
        """Begin for a client. Raises BluezError (InProgress) where it has begun, BleakError without a radio.

        Of several who ask while it is being begun only the last is answered (measured on BlueZ 5.66); the others never.
        """
        if client in self._clients:
            raise _in_progress()
        self._clients.add(client)
        if self._begun:
            return
        self._asked_last = client
        try:
            async with self._turn:
                await self._adapter.add_scanner(self)
                self._begun = True
        except BaseException:
            self._clients.discard(client)
            raise
        if self._asked_last != client:
            await self._unanswered.setdefault(client, asyncio.Event()).wait()

    async def stop(self, client: str) -> None:
        """End for a client. Raises BluezError: Failed where it never began, InProgress where its begin was not answered."""
        if client in self._unanswered:
            raise _in_progress()
        if client not in self._clients:
            raise refused("Failed", "No discovery started")
        await self.vanished(client)

    async def vanished(self, client: str) -> None:
        """A client has left, or wants no more."""
        self._filters.pop(client, None)
        self._clients.discard(client)
        if client in self._unanswered:
            self._unanswered.pop(client).set()
        async with self._turn:
            if not self._clients:
                self._begun = False
                for heard in self._heard.values():
                    heard.rssi_dbm = heard.found.tx_power = None
                await self._adapter.remove_scanner(self)

    def forget(self, address: str) -> None:
        """The device's object is gone: what is heard next is news."""
        self._heard.pop(address, None)

    def silent_s(self, address: str) -> float:
        """How long ago a device was heard."""
        heard = self._heard.get(address)
        return 0.0 if heard is None else asyncio.get_running_loop().time() - heard.at_s

    def hear(self, address: str, advertisement: Advertisement) -> None:
        """Take one advertisement from the adapter."""
        found = read(advertisement.data)
        seen = Sighted(
            address, found.name or "", frozenset(found.uuids), advertisement.rssi, found.tx_power
        )
        heard = self._heard.get(address)
        if heard is not None:
            heard.at_s = asyncio.get_running_loop().time()
        wishes = [self._filters.get(client) for client in self._clients]
        if not lets_through(wishes, seen):
            return
        if heard is None:
            heard = self._heard[address] = _Heard(at_s=asyncio.get_running_loop().time())
        # One client without a filter makes the whole discovery an unfiltered one.
        filtered = None not in wishes
        again = any(wish is None or wish.duplicate_data for wish in wishes)
        changed = _news(heard, found, again=again)
        if _rssi_is_news(heard.rssi_dbm, advertisement.rssi, filtered=filtered):
            heard.rssi_dbm = advertisement.rssi
            changed["RSSI"] = Variant("n", advertisement.rssi)
        kind = "public" if advertisement.address.is_public else "random"
        self._sighted(Sighting(address, changed, _whole(address, kind) | changed))


def _in_progress() -> BluezError:
    return refused("InProgress", "Operation already in progress")


def _rssi_is_news(before: int | None, now: int, *, filtered: bool) -> bool:
    return filtered or before is None or abs(now - before) >= RSSI_STEP_DB


def _news(heard: _Heard, found: Found, *, again: bool) -> Properties:
    """What an advertisement adds. Names and services stay once they were told."""
    known, changed = heard.found, Properties()
    if found.name and found.name != known.name:
        known.name = found.name
        changed |= {"Name": Variant("s", found.name), "Alias": Variant("s", found.name)}
    fresh = [uuid for uuid in dict.fromkeys(found.uuids) if uuid not in known.uuids]
    if fresh:
        known.uuids = [*known.uuids, *fresh]
        changed["UUIDs"] = Variant("as", known.uuids)
    if found.makers and (again or found.makers != known.makers):
        known.makers = found.makers
        told = {company: Variant("ay", data) for company, data in found.makers.items()}
        changed["ManufacturerData"] = Variant("a{qv}", told)
    if found.service_data and (again or found.service_data != known.service_data):
        known.service_data = found.service_data
        values = {uuid: Variant("ay", data) for uuid, data in found.service_data.items()}
        changed["ServiceData"] = Variant("a{sv}", values)
    if found.tx_power is not None and found.tx_power != known.tx_power:
        known.tx_power = found.tx_power
        changed["TxPower"] = Variant("n", found.tx_power)
    return changed


def _whole(address: str, kind: str) -> Properties:
    """A Device1 of which nothing but its address is known."""
    no = Variant("b", False)
    flags = ("Paired", "Bonded", "Trusted", "Blocked", "LegacyPairing", "Connected")
    return {
        "Address": Variant("s", address),
        "AddressType": Variant("s", kind),
        "Alias": Variant("s", address.replace(":", "-")),
        "Adapter": Variant("o", ADAPTER_PATH),
        "UUIDs": Variant("as", []),
        "ServicesResolved": no,
        **dict.fromkeys(flags, no),
    }
