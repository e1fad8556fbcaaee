"""What `SetDiscoveryFilter` lets through, as BlueZ decides it (src/adapter.c, is_filter_match). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from dbus_fast import Variant

from drivers.sim.world.bluez.words import invalid

_BLUETOOTH_BASE = "{:08x}-0000-1000-8000-00805f9b34fb"
_SHORT_LENGTHS = (4, 8)
_RSSI_RANGE = range(-127, 21)
_PATHLOSS_RANGE = range(138)
_TRANSPORTS = frozenset({"auto", "bredr", "le"})
_SIGNATURES = {
    "UUIDs": "as",
    "RSSI": "n",
    "Pathloss": "q",
    "Transport": "s",
    "DuplicateData": "b",
    "Discoverable": "b",
    "Pattern": "s",
}


@dataclass(frozen=True, slots=True)
class Sighted:
    """What one advertisement said, as far as a filter looks at it."""

    address: str
    name: str
    uuids: frozenset[str]
    rssi_dbm: int
    tx_power_dbm: int | None = None


@dataclass(frozen=True, slots=True)
class DiscoveryFilter:
    """One client's wishes. `duplicate_data`: tell unchanged advertising data each time."""

    uuids: frozenset[str] = frozenset()
    rssi_dbm: int | None = None
    pathloss_db: int | None = None
    transport: str = "auto"
    pattern: str = ""
    duplicate_data: bool = True

    def lets_through(self, seen: Sighted) -> bool:
        """Any one of the services, and near enough. A device that tells no service matches none."""
        if self.transport == "bredr" or (self.uuids and not self.uuids & seen.uuids):
            return False
        if self.pattern and not (
            seen.address.startswith(self.pattern) or seen.name.startswith(self.pattern)
        ):
            return False
        if self.rssi_dbm is not None:
            return seen.rssi_dbm >= self.rssi_dbm
        if self.pathloss_db is not None:
            power = seen.tx_power_dbm
            return power is not None and power - seen.rssi_dbm <= self.pathloss_db
        return True


def parse(asked: Mapping[str, Variant]) -> DiscoveryFilter | None:
    """A client's filter; None for an empty one, which takes the filter away. Raises BluezError (InvalidArguments)."""
    if not asked:
        return None
    for name, told in asked.items():
        if _SIGNATURES.get(name) != told.signature:
            raise invalid()
    values = {name: told.value for name, told in asked.items()}
    rssi, pathloss = values.get("RSSI"), values.get("Pathloss")
    if rssi is not None and (rssi not in _RSSI_RANGE or pathloss is not None):
        raise invalid()
    if pathloss is not None and pathloss not in _PATHLOSS_RANGE:
        raise invalid()
    if values.get("Transport", "auto") not in _TRANSPORTS:
        raise invalid()
    return DiscoveryFilter(
        uuids=frozenset(full_uuid(text) for text in values.get("UUIDs", ())),
        rssi_dbm=rssi,
        pathloss_db=pathloss,
        transport=values.get("Transport", "auto"),
        pattern=values.get("Pattern", ""),
        duplicate_data=values.get("DuplicateData", True),
    )


def full_uuid(text: str) -> str:
    """128 bits in lower case. BlueZ itself takes "1810" and "0x1810" too. Raises BluezError (InvalidArguments)."""
    short = text.removeprefix("0x")
    try:
        if len(short) in _SHORT_LENGTHS:
            return _BLUETOOTH_BASE.format(int(short, 16))
        if len(text) == len(_BLUETOOTH_BASE.format(0)):
            return str(UUID(text))
    except ValueError:
        pass
    raise invalid()


def lets_through(filters: Iterable[DiscoveryFilter | None], seen: Sighted) -> bool:
    """Whether any client's filter does; a client without a filter lets everything through, for all."""
    return any(wish is None or wish.lets_through(seen) for wish in filters)
