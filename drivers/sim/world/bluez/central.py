"""One link of the facade's: the virtual client, whose steps BlueZ tells one by one. Knows no D-Bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bumble.device import Connection

from drivers.sim.world.adapter import VirtualAdapter
from drivers.sim.world.client import VirtualClient

CONNECT_S_MAX = 20.0
"""The kernel's own patience with an LE connection (HCI_LE_CONN_TIMEOUT)."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Steps:
    """What the link's owner is told: it stands, it is as secure as its bond, it is gone; and who secures it in need."""

    linked: Callable[[], None]
    secured: Callable[[], None]
    lost: Callable[[], None]
    raise_security: Callable[[], Awaitable[None]]


class Central(VirtualClient):
    """A client that asks its owner before it pairs."""

    def __init__(self, adapter: VirtualAdapter, address: str, steps: Steps) -> None:
        self.adapter = adapter
        self._steps = steps
        super().__init__(address, disconnected_callback=steps.lost, timeout=CONNECT_S_MAX)

    async def _secure(self, link: Connection, *, pair: bool) -> None:
        self._steps.linked()
        await super()._secure(link, pair=pair)
        self._steps.secured()

    async def pair(self, *_args: object, **_options: object) -> None:
        """Called where the device asks for security in mid-talk. Raises BleakError when the link is gone."""
        await self._steps.raise_security()

    @property
    def link(self) -> Connection:
        """The link that stands. Raises BleakError without one."""
        return self._standing()

    async def guard(self, work: Awaitable[_T]) -> _T:
        """Await something of bumble's. Raises BleakError for what fails, also for a link that dies."""
        return await self._guard(work)

    async def bonded(self) -> bool:
        """Whether keys for the device of this link are held."""
        return await self._bonded(self._standing())
