"""Devices that only advertise: what is heard of one goes to the visit that is open, or opens one. Reads and files nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from edge.links.advert import AdvertLink, Waiting, said
from edge.links.ble_radio import Heard
from edge.patience import Backoff
from edge.scan import Visited
from gateway.contract.profile import MakerData, ServiceData

# A visit that fails costs the adapter nothing, and what a scale shows is gone in seconds: it is tried again soon.
FAILED_S_MIN, FAILED_S_MAX = 0.5, 5.0


class Ear:
    """What is heard of one device. `lasting`: its address is public or static."""

    def __init__(
        self,
        place: str,
        advertised: Mapping[str, ServiceData | MakerData],
        steady: Callable[[], float],
    ) -> None:
        """Nothing heard yet of the device at this address. `steady`: seconds that never go back."""
        self._place, self._advertised = place, advertised
        self._waiting, self._rung = Waiting(steady), asyncio.Event()
        self._link: AdvertLink | None = None
        self.lasting = False

    def ring(self, heard: Heard) -> None:
        """It was heard now. An advertisement without data that the profile names says nothing."""
        for channel, data in said(heard, self._advertised):
            self.lasting = heard.lasting
            if self._link is None or not self._link.hear(channel, data):
                self._waiting.keep((channel, data))
                self._rung.set()

    async def next(self) -> None:
        """Until something was heard that no visit has taken."""
        while not self._waiting:
            self._rung.clear()
            await self._rung.wait()

    async def open(self, now: Callable[[], float]) -> AdvertLink:
        """A link that hears what waits, and all that follows until it is closed."""
        self._link = AdvertLink(now, {"address": self._place})
        self._waiting.hand_over(self._link)
        return self._link


async def overhear(ear: Ear, visit: Callable[[], Awaitable[Visited]], rng: Random) -> None:
    """Visit a device whenever it is heard, for ever."""
    failing = Backoff(FAILED_S_MIN, FAILED_S_MAX, rng)
    while True:
        await ear.next()
        visited = await visit()
        if visited.well:
            failing.reset()
        else:
            await asyncio.sleep(failing.next_s())
