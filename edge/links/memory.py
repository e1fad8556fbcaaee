"""Links without a radio: one to a peer in memory, one that plays a capture. For tests, simulation and replay; no I/O."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from edge.links.inbox import Arrived, LinkEvent
from gateway.contract.capture import Capture
from gateway.contract.session import Opened, Peer, Read, Received, Refused, Subscribe, Write
from gateway.runtime.errors import LinkError


class MemoryLink:
    """A link to a `Peer` in this process. `performed` is what was asked of it, in order."""

    def __init__(
        self, peer: Peer, now: Callable[[], float], facts: Mapping[str, str] | None = None
    ) -> None:
        """Open, with `facts` for the session."""
        self._peer, self._now = peer, now
        self._arrived = Arrived()
        self._why = ""
        self.performed: list[Subscribe | Write | Read] = []
        self.closed = False
        self._arrived.put(Opened(now(), facts or {}))

    async def events(self) -> AsyncIterator[LinkEvent]:
        """What the peer says; ends when the link closes. Raises LinkError where it was broken."""
        async for event in self._arrived.events():
            yield event
        if self._why:
            raise LinkError(self._why)

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """Let the peer hear it, and stamp its answers. Raises LinkError once the link is down."""
        if self._arrived.ended:
            raise LinkError(self._why or "the peer has hung up")
        self.performed.append(command)
        for answer in self._peer.hear(command):
            self.say(answer)

    def say(self, event: Received | Refused) -> None:
        """The peer says something by itself; it is stamped with the time of arrival."""
        self._arrived.put(replace(event, at=self._now()))

    def hang_up(self, why: str = "") -> None:
        """The peer goes away; with `why`, the link fails."""
        self._why = why
        self._arrived.end()

    async def close(self) -> None:
        """Let the peer go."""
        self.closed = True
        self._arrived.end()


class ReplayLink:
    """A link that says what a capture holds, then ends. It hears nothing."""

    def __init__(self, capture: Capture) -> None:
        """Play it from its first line."""
        self._capture = capture

    async def events(self) -> AsyncIterator[LinkEvent]:
        """`Opened`, then each line with the time at which it was recorded."""
        yield self._capture.opened
        for event in self._capture.told:
            yield event

    async def perform(self, command: Subscribe | Write | Read) -> None:
        """A recording does not answer: its answers are in it."""

    async def close(self) -> None:
        """Nothing is held."""
