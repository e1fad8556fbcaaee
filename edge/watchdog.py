"""Signs of life for the service manager (sd_notify), which starts an agent anew that no longer gives any. Knows no agent."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"
STOPPING = b"STOPPING=1"
# To salvage a large outbox takes a small box minutes. Who is killed over it begins anew, and is killed again.
STARTING = b"EXTEND_TIMEOUT_USEC=60000000"
STARTING_EVERY_S = 10.0
STARTING_MAX = 360  # an hour; what takes longer hangs


def tell(sign: bytes) -> None:
    """Tell the service manager where there is one; without one, nothing happens. Never raises."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # An abstract address is written with @ for its leading zero octet.
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            channel.send(sign)
    except OSError:
        return  # a service manager that is gone needs no sign


@asynccontextmanager
async def starting() -> AsyncGenerator[None]:
    """Hold this while what takes long is done on another thread, before READY."""
    extending = asyncio.create_task(_extend())
    try:
        yield
    finally:
        extending.cancel()


async def _extend() -> None:
    for _ in range(STARTING_MAX):
        tell(STARTING)
        await asyncio.sleep(STARTING_EVERY_S)
