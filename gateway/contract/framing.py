"""From a stream that may be cut anywhere to whole frames. Pure; buffers are bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from gateway.contract.session import PeerError


class Framing(Protocol):
    """A way to find frames in a stream."""

    def reader(self) -> "FrameReader":
        """A fresh reader with an empty buffer."""
        ...


class FrameReader(Protocol):
    """The state of one stream."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Whole frames, oldest first. Raises PeerError when what is buffered can't become one."""
        ...

    @property
    def rest(self) -> bytes:
        """What has come and is no whole frame yet."""
        ...


@dataclass(frozen=True, slots=True)
class LineFramed:
    """Lines that end in `end`; a line of over `line_max` bytes breaks the protocol. Frames come without their end."""

    end: bytes = b"\r\n"
    line_max: int = 256

    def reader(self) -> FrameReader:
        """A fresh reader with an empty buffer."""
        return _LineReader(self)


class _LineReader:
    def __init__(self, framing: LineFramed) -> None:
        self._framing = framing
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while True:
            line, end, rest = self._buffer.partition(self._framing.end)
            if len(line) > self._framing.line_max:
                self._buffer = b""
                raise PeerError(
                    f"a line of over {self._framing.line_max} bytes: {line[:40].hex(' ')}…"
                )
            if not end:
                return
            self._buffer = rest
            yield line

    @property
    def rest(self) -> bytes:
        return self._buffer
