"""Events on their way from a link's callback to a visit: bounded, in order, with an end. Knows no library and no device."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from gateway.contract.session import Opened, Received, Refused

ARRIVED_MAX = 1024  # events that a callback may put down before the visit takes them

LinkEvent = Opened | Received | Refused


class Arrived:
    """What a link's callbacks have put down. `put` never blocks; where there is no room it says so, and nothing is dropped."""

    def __init__(self) -> None:
        """Empty and open."""
        self._events: deque[LinkEvent] = deque()
        self._news = asyncio.Event()
        self._ended = False

    def put(self, event: LinkEvent) -> bool:
        """Put an event down. False where ARRIVED_MAX wait already, or the link has ended: it was not taken."""
        if self._ended or len(self._events) >= ARRIVED_MAX:
            return False
        self._events.append(event)
        self._news.set()
        return True

    def end(self) -> None:
        """No more will come; what waits is still given out."""
        self._ended = True
        self._news.set()

    @property
    def ended(self) -> bool:
        """Whether the link has said that no more will come."""
        return self._ended

    async def events(self) -> AsyncIterator[LinkEvent]:
        """Each event once, in order, until the end."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()
