"""What a virtual GATT device is made of: a description, and the peer that answers for it.

Pure data and protocols: knows no radio, so that peers may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Property = Literal["read", "write", "write-without-response", "notify", "indicate"]

DEVICE_INFORMATION = 0x180A
ADVERTISING_INTERVAL_MS = 100.0


class AttRefusal(Exception):  # noqa: N818 - the peer's answer, not a fault
    """What `GattPeer.read` and `GattPeer.write` raise to refuse with an ATT error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the device refuses with ATT error 0x{code:02X}")
        self.code = code


@dataclass(frozen=True, slots=True)
class GattCharacteristic:
    """One characteristic. A `value` of None means: the peer is asked at each read."""

    uuid16: int
    properties: frozenset[Property]
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class GattService:
    """One primary service. A characteristic's UUID may occur once in a whole device."""

    uuid16: int
    characteristics: tuple[GattCharacteristic, ...]


@dataclass(frozen=True, slots=True)
class DeviceDescription:
    """What the radio needs to know of a device.

    `address` is "AA:BB:CC:DD:EE:FF"; a random one must be static (its first two bits set).
    `name` stands in the scan response, `advertised` (16-bit services) and `manufacturer_data`
    (company to bytes) in the advertisement. `secure` protects every characteristic but those of
    Device Information; with `passkey` (1..999999) only a link paired by passkey is let in.
    """

    address: str
    name: str
    services: tuple[GattService, ...]
    advertised: tuple[int, ...] = ()
    public: bool = False
    manufacturer_data: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    secure: bool = False
    passkey: int | None = None
    advertising_interval_ms: float = ADVERTISING_INTERVAL_MS
    rssi_dbm: int = -60


class CentralLink(Protocol):
    """One connection of a central to the device, as its peer sees it."""

    @property
    def central_address(self) -> str:
        """Who is connected."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the link still stands."""
        ...

    def subscribed(self, uuid16: int) -> bool:
        """Whether the central has switched on notifications or indications."""
        ...

    async def indicate(self, uuid16: int, data: bytes) -> bool:
        """True when the ATT confirmation arrived; False if not subscribed or the link died first."""
        ...

    async def notify(self, uuid16: int, data: bytes) -> bool:
        """True when handed to the radio; False if not subscribed or the link is gone."""
        ...

    async def hang_up(self) -> None:
        """End the link from the device's side."""
        ...


class GattPeer(Protocol):
    """The device's side of the talk. Each call is a task of its own but for `read` and `write`."""

    async def on_connected(self, link: CentralLink) -> None:
        """A central has connected."""
        ...

    async def on_subscribed(self, uuid16: int) -> None:
        """The central switched on notifications or indications (its write is being answered)."""
        ...

    async def on_disconnected(self, reason: int) -> None:
        """The link ended, for an HCI reason: 0x08 lost, 0x13 the central, 0x16 the device."""
        ...

    async def read(self, uuid16: int) -> bytes:
        """The value now. Raises `AttRefusal`."""
        ...

    async def write(self, uuid16: int, data: bytes) -> None:
        """Take a written value. Raises `AttRefusal`; a write without response can't be refused."""
        ...
