"""Frames that a session can't read, and goes on after: the visit fails with them when it is over. Pure."""

from collections.abc import Generator
from contextlib import contextmanager

from gateway.contract.session import PeerError, Received, VisitClosed

UNREADABLE_MAX = 64  # of one visit; a device that sends more is not one of the profile's


class UnreadableError(PeerError):
    """Raised when the visit is over. `frames`: as they came; the host keeps those that the device has forgotten."""

    def __init__(self, why: str, frames: tuple[Received, ...]) -> None:
        """Say what was wrong with the first of them."""
        super().__init__(why)
        self.frames = frames


class Unreadable:
    """One visit's. A frame that can't be read costs itself only: what the device tells behind it is told to nobody else."""

    def __init__(self) -> None:
        """None so far."""
        self._frames: list[Received] = []
        self._why = ""

    def keep(self, frame: Received, fault: PeerError) -> None:
        """Hold a frame that `fault` speaks of. Raises UnreadableError where the visit has UNREADABLE_MAX of them."""
        self._frames.append(frame)
        self._why = self._why or f"{frame.channel} {frame.data.hex()}: {fault}"
        if len(self._frames) >= UNREADABLE_MAX:
            raise self._error()

    @contextmanager
    def told_at_the_end(self) -> Generator[None]:
        """Around a visit: raises UnreadableError when it is over, however that came, if a frame is held."""
        try:
            yield
        except UnreadableError:
            raise
        except (PeerError, VisitClosed) as over:
            if not self._frames:
                raise
            raise self._error(over if isinstance(over, PeerError) else None) from over
        if self._frames:
            raise self._error()

    def _error(self, also: PeerError | None = None) -> UnreadableError:
        more = f" (and {len(self._frames) - 1} more)" if len(self._frames) > 1 else ""
        ending = f"; {also}" if also is not None else ""
        return UnreadableError(f"{self._why}{more}{ending}", tuple(self._frames))
