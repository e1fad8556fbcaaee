"""Frames that a device has forgotten and no driver could read: kept as they came, for a driver that can. Never judged."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from gateway.contract.session import Received
from gateway.runtime.errors import StoreError

FILE = "unread.jsonl"
FILE_BYTES_MAX = 20 * 1024 * 1024


class UnreadFrames:
    """A file of JSON lines beside the outbox (0600)."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is written before there is something to keep."""
        self._path = data_dir / FILE

    async def keep(self, place: str, profile: str, frames: Sequence[Received]) -> None:
        """Append frames; on disk on return. Raises StoreError where the file is full or can't be written."""
        if frames:
            lines = [_line(place, profile, frame) for frame in frames]
            await asyncio.to_thread(self._append, "".join(lines).encode())

    def _append(self, data: bytes) -> None:
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                held = os.fstat(fd).st_size
                if held + len(data) > FILE_BYTES_MAX:
                    raise StoreError(
                        f"{self._path} holds {held} bytes; the limit is {FILE_BYTES_MAX}",
                        retry=False,
                    )
                written = os.write(fd, data)
                if written < len(data):
                    os.ftruncate(fd, held)
                    raise StoreError(
                        f"{self._path}: the disk took {written} of {len(data)} bytes", retry=True
                    )
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(f"{self._path}: {error}", retry=True) from error


def _line(place: str, profile: str, frame: Received) -> str:
    told = {"at": frame.at, "channel": frame.channel, "hex": frame.data.hex()}
    return json.dumps({"place": place, "profile": profile, **told}) + "\n"
