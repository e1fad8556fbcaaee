"""A link whose every event is written down before anybody else hears it. Knows no protocol."""

import asyncio
from collections.abc import AsyncIterator

from edge.links.inbox import LinkEvent
from edge.tape import Tape
from gateway.contract.session import Link, Read, Subscribe, Write
from gateway.runtime import log
from gateway.runtime.errors import StoreError

_log = log.get("recording")


class StrictRecording:
    """What can't be written down ends the visit: for a visit whose readings are kept nowhere else."""

    def __init__(self, inner: Link, tape: Tape) -> None:
        """Over an open link."""
        self._inner, self._tape = inner, tape

    async def events(self) -> AsyncIterator[LinkEvent]:
        """As the inner link's. Raises StoreError, too."""
        async for event in self._inner.events():
            await asyncio.to_thread(self._tape.put, event)
            yield event

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """As the inner link's."""
        await self._inner.perform(command)

    async def close(self) -> None:
        """As the inner link's."""
        await self._inner.close()


class Recording:
    """The same beside an outbox: no reading is lost, or late, because a tape is full."""

    def __init__(self, inner: Link, tape: Tape) -> None:
        """Over an open link."""
        self._inner, self._tape = inner, tape
        self._running = True

    async def events(self) -> AsyncIterator[LinkEvent]:
        """As the inner link's; each is passed on before it is written down."""
        try:
            async for event in self._inner.events():
                yield event
                if self._running:
                    await self._try(event)
        finally:
            try:
                self._tape.finish({})
            except StoreError as fault:
                _log.warning("recording.failed", why=str(fault))

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """As the inner link's."""
        await self._inner.perform(command)

    async def close(self) -> None:
        """As the inner link's."""
        await self._inner.close()

    async def _try(self, event: LinkEvent) -> None:
        try:
            await asyncio.to_thread(self._tape.put, event)
        except StoreError as fault:
            self._running = False
            _log.warning("recording.failed", why=str(fault))
