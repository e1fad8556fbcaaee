"""News for whoever looks at a screen: told by the ingester's threads, heard by the console's event streams."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

NEWS_MAX = 256  # waiting for one screen; a screen that lags further is told to load itself anew

Topic = Literal["reading", "alert", "box", "series", "reload"]


@dataclass(frozen=True, slots=True)
class News:
    """Something changed: look again. `ids` are keys, alert ids or agents; never values."""

    topic: Topic
    ids: tuple[str, ...] = ()


class Live:
    """A fan-out to the screens that are open. `tell` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve listeners that run on `loop`."""
        self._loop = loop
        self._screens: set[asyncio.Queue[News]] = set()

    def tell(self, news: News) -> None:
        """Let every open screen know."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._offer, news)

    async def listen(self) -> AsyncIterator[News]:
        """News from now on, until the listener goes."""
        queue: asyncio.Queue[News] = asyncio.Queue(NEWS_MAX)
        self._screens.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._screens.discard(queue)

    def _offer(self, news: News) -> None:
        for queue in self._screens:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(News("reload"))
            else:
                queue.put_nowait(news)
