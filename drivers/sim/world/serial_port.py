"""A virtual serial instrument's end of the cable, on a pty: plug, unplug, hear, say.

May not know what is said. A pty never checks parity, data bits or speed, and has no modem lines.
"""

from __future__ import annotations

import asyncio
import os
import select
import tty
from collections.abc import Callable
from pathlib import Path

SAY_BYTES_MAX = 1 << 20
BITS_A_BYTE = 10
"""8N1: start bit, eight data bits, stop bit."""

BEAT_S = 0.01
"""How often the line is served while it speaks."""

REOPEN_POLL_S = 0.02
"""How often a port that no host has open is looked at."""

_READ_BYTES = 4096


class VirtualSerialPort:
    """One instrument's serial line, found by the host at `path` (a symlink to the pty).

    `hear` gets what the host writes. What is said while no host has the port open is lost on the
    wire, as with a real cable; order is kept and the loop never blocked.
    """

    def __init__(
        self,
        path: Path,
        hear: Callable[[bytes], None],
        *,
        baud: int = 9600,
        speed: float = 1.0,
    ) -> None:
        self._path = path
        self._hear = hear
        self._bytes_a_second = baud / BITS_A_BYTE * speed
        self._master: int | None = None
        self._device = ""
        self._unsaid = bytearray()
        self._allowance = 0.0
        self._last_beat_s = 0.0
        self._beat: asyncio.TimerHandle | None = None
        self._rearm: asyncio.TimerHandle | None = None
        self._silent = asyncio.Event()
        self._silent.set()

    @property
    def plugged(self) -> bool:
        """Whether the host can see the port."""
        return self._master is not None

    @property
    def opened(self) -> bool:
        """Whether a host has the port open."""
        return self._master is not None and not _state(self._master) & select.POLLHUP

    def plug(self) -> None:
        """Put the port there: a new pty, and the symlink swapped to it in one step."""
        if self._master is not None:
            return
        self._master, slave = os.openpty()
        try:
            tty.setraw(slave)
            self._device = os.ttyname(slave)
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._device)
        fresh.replace(self._path)
        self._arm()

    def unplug(self) -> None:
        """Pull the cable: the host gets EIO, the symlink goes, what was unsaid is lost."""
        if self._master is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        for timer in (self._beat, self._rearm):
            if timer is not None:
                timer.cancel()
        self._beat = self._rearm = None
        # Closed from the loop: a thread blocked in read() would keep the master alive unnoticed.
        os.close(self._master)
        self._master = None
        self._unsaid.clear()
        self._silent.set()
        if self._path.is_symlink() and str(self._path.readlink()) == self._device:
            self._path.unlink()

    def say(self, data: bytes) -> None:
        """Queue bytes for the host, paced at the line's speed.

        Raises BufferError past SAY_BYTES_MAX and RuntimeError when unplugged.
        """
        if self._master is None:
            message = f"{self._path} is unplugged: nobody can hear {len(data)} bytes"
            raise RuntimeError(message)
        held = len(self._unsaid)
        if held + len(data) > SAY_BYTES_MAX:
            message = f"{self._path} holds {held} unsaid bytes; the limit is {SAY_BYTES_MAX}"
            raise BufferError(message)
        if not data:
            return
        self._unsaid += data
        self._silent.clear()
        if self._beat is None:
            self._allowance = 1.0
            self._last_beat_s = asyncio.get_running_loop().time()
            self._on_beat()

    async def said(self) -> None:
        """Wait until all that was said is on the wire (or lost to an unplugged cable)."""
        await self._silent.wait()

    def _on_beat(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._allowance += (now_s - self._last_beat_s) * self._bytes_a_second
        self._last_beat_s = now_s
        self._transmit()
        if self._unsaid:
            self._beat = loop.call_later(BEAT_S, self._on_beat)
        else:
            self._beat = None
            self._silent.set()

    def _transmit(self) -> None:
        assert self._master is not None
        due = bytes(self._unsaid[: int(self._allowance)])
        if not due:
            return
        sent = len(due)
        if self.opened:
            try:
                sent = os.write(self._master, due)
            except BlockingIOError:
                sent = 0  # The host does not read; its driver's buffer is full.
            except OSError:
                pass  # The host closed between the look and the write: lost on the wire.
        del self._unsaid[:sent]
        # What could not be sent is not saved up: a line has no bursts.
        self._allowance = min(self._allowance - sent, self._bytes_a_second * BEAT_S + 1)

    def _arm(self) -> None:
        self._rearm = None
        assert self._master is not None
        state = _state(self._master)
        # A host may have opened, written and closed since the last look.
        if state & select.POLLIN or not state & select.POLLHUP:
            asyncio.get_running_loop().add_reader(self._master, self._on_readable)
        else:
            self._look_later()

    def _look_later(self) -> None:
        self._rearm = asyncio.get_running_loop().call_later(REOPEN_POLL_S, self._arm)

    def _on_readable(self) -> None:
        assert self._master is not None
        try:
            heard = os.read(self._master, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            heard = b""  # EIO while no host has it open, for as long: a reader would spin.
        if heard:
            self._hear(heard)
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self._look_later()


def _state(master: int) -> int:
    poll = select.poll()
    poll.register(master, select.POLLIN)
    return next((events for _, events in poll.poll(0)), 0)
