"""HTTP connections that wait for a bounded time in all, and take no strange page for an answer. Knows urllib3 alone.

urllib3's own limit is on each read of a socket: a server that sends a byte now and then would hold its caller for ever.
"""

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProtocolError

OK, NO_CONTENT = 200, 204
TABLE = "text/csv"


class LateError(HTTPError):
    """The whole exchange took longer than it may."""


class _Exchange:
    """What one thread has open while it waits, so that another may end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False
        self.late = False

    def uses(self, opened: socket.socket) -> None:
        with self._lock:
            self._sockets.append(opened)

    def end(self) -> None:
        """Its time is up: whoever reads from it reads the end."""
        with self._lock:
            if self._over:
                return
            self.late = True
            for opened in self._sockets:
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)

    def over(self) -> None:
        # Its connections are others' from here on.
        with self._lock:
            self._over = True


class _Here(threading.local):
    exchange: _Exchange | None = None


_here = _Here()


@contextmanager
def within(seconds: float) -> Generator[None]:
    """All exchanges inside, on this thread, over `bounded` connections, end in this time. Raises LateError."""
    exchange = _here.exchange = _Exchange()
    timer = threading.Timer(seconds, exchange.end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        exchange.over()
        timer.cancel()
        _here.exchange = None
        if exchange.late:
            # Whatever came out of it: an answer cut short may look like a whole one.
            raise LateError(f"no whole answer within {seconds:g} s")


def bounded(manager: PoolManager) -> None:
    """Make this pool's connections such that `within` ends them, and such that only an answer of ours counts as success."""
    pools: dict[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _SafePool}
    manager.pool_classes_by_scheme = pools


def _waits(opened: socket.socket | None) -> None:
    # From here on it only reads: connecting and sending have a limit in all already.
    if _here.exchange is not None and opened is not None:
        _here.exchange.uses(opened)


def _ours(answer: HTTPResponse) -> HTTPResponse:
    """Success is an empty 204 or a table: a page of something in between that says 200 stored nothing and read nothing."""
    kind = answer.headers.get("Content-Type", "")
    strange = answer.status != NO_CONTENT and not (answer.status == OK and kind.startswith(TABLE))
    if 200 <= answer.status < 300 and strange:  # noqa: PLR2004 RFC 9110 section 15.3: success
        answer.close()
        raise ProtocolError(
            f"answered {answer.status} {kind[:80]!r}, which InfluxDB does not: something stands in between"
        )
    return answer


class _Connection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:
        _waits(self.sock)
        return _ours(super().getresponse())


class _SafeConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:
        _waits(self.sock)
        return _ours(super().getresponse())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]  # as urllib3 sets its own


class _SafePool(HTTPSConnectionPool):
    ConnectionCls = _SafeConnection  # pyright: ignore[reportAssignmentType]  # the same
