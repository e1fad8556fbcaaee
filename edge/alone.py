"""A device that a person pairs or reads now is left alone by the agent of this box: of two on one link, whoever hangs up ends it for both.

A lock on a file for each address, held exclusively for a visit and shared by a person. It ends with the process that holds it.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

FOLDER = "links"
WAIT_S_MAX = 30.0  # for the end of a visit: to one that is not paired it takes no longer
LOOK_EVERY_S = 0.5


@contextmanager
def visiting(data_dir: Path, address: str) -> Generator[bool]:
    """Whether the agent may visit it now; no person begins with it meanwhile. True where the disk keeps no lock."""
    handle = _open(data_dir, address)
    if handle is None:
        yield True
        return
    try:
        yield _takes(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


@asynccontextmanager
async def attending(data_dir: Path, address: str) -> AsyncGenerator[None]:
    """Keep the agent off it, once its visit is over. One that lasts longer than WAIT_S_MAX is not waited for.

    Where no agent has run, or its folder is another user's, nobody is kept off.
    """
    handle = _open(data_dir, address)
    if handle is None:
        yield
        return
    try:
        for _ in range(round(WAIT_S_MAX / LOOK_EVERY_S)):
            if _takes(handle, fcntl.LOCK_SH):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        yield
    finally:
        os.close(handle)


def _open(data_dir: Path, address: str) -> int | None:
    folder = data_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        name = folder / address.replace(":", "")
        return os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _takes(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
