"""The console's HTTP server: uvicorn on loopback. Logs no paths, since a path can hold a one-time link."""

import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from cloud_ingest.console.access import require_loopback
from gateway.runtime.errors import ConfigError

GRACE_S = 3
CONNECTIONS_MAX = 200
HEADER_BYTES_MAX = 16_384
BACKLOG = 128


class Server:
    """A console on its address. `bind` first, so that the link can name the port before the first request."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """Serve `app` at host and port (0: any free one). Raises ConfigError for an address beyond this machine."""
        require_loopback(host)
        self._app, self._host, self._port = app, host, port
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS_MAX,
                h11_max_incomplete_event_size=HEADER_BYTES_MAX,
                http="h11",
                ws="none",
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._socket: socket.socket | None = None

    def bind(self) -> int:
        """Take the port; the one that was taken. Raises ConfigError where another process has it."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self._port))
        except OSError as error:
            bound.close()
            raise ConfigError(
                where="settings of the ingester",
                key="console.port",
                why=f"{self._host}:{self._port} can't be taken: {error.strerror}",
                instead="a port that is free, or 0 for any",
            ) from error
        bound.listen(BACKLOG)
        self._socket = bound
        return bound.getsockname()[1]

    async def run(self) -> None:
        """Serve until `stop`. Signals stay with whoever runs the process."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None, "bind() gives a socket or raises"
        await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """End the event streams and let `run` return."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """None: the process that composes us decides what a signal means."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Browsers' event streams never end by themselves."""
        self.config.app.state.screens.close()  # pyright: ignore[reportAttributeAccessIssue,reportFunctionMemberAccess]  # our FastAPI
        await super().shutdown(sockets)
