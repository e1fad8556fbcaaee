"""Server-sent events: news as they come, and a beat so that a screen knows when it has lost the line. No values travel here."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec

from cloud_ingest.live import Live, News

BEAT_S = 5.0
SCREENS_MAX = 64

_encode = msgspec.json.Encoder().encode


class Screens:
    """The open event streams, at most SCREENS_MAX; they end when the server does."""

    def __init__(self, live: Live, on_news: Callable[[News], None]) -> None:
        """Pass on what `live` tells; `on_news` hears of it first."""
        self._live, self._on_news = live, on_news
        self._closing = asyncio.Event()
        self._open = 0

    @property
    def full(self) -> bool:
        """Whether no further screen can be served."""
        return self._open >= SCREENS_MAX

    def close(self) -> None:
        """End every stream: a server that stops must not wait for browsers."""
        self._closing.set()

    async def stream(self) -> AsyncIterator[bytes]:
        """Events of one screen, from now on."""
        self._open += 1
        news = self._live.listen()
        closing = asyncio.ensure_future(self._closing.wait())
        coming = asyncio.ensure_future(anext(news))
        try:
            yield _event("beat", {})
            while not closing.done():
                await asyncio.wait(
                    {coming, closing}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    told = coming.result()
                    coming = asyncio.ensure_future(anext(news))
                    self._on_news(told)
                    yield _event(told.topic, {"ids": told.ids})
                elif not closing.done():
                    yield _event("beat", {})
        finally:
            self._open -= 1
            closing.cancel()
            coming.cancel()


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encode(data))
