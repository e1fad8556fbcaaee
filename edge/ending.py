"""A signal to stop: an orderly end, and where some code keeps it up for too long, an end all the same. Knows no agent."""

import asyncio
import os
import signal
from contextlib import suppress
from types import FrameType

# An orderly end takes at most FAREWELL_S and HANG_UP_S (edge/drive.py), and what the disk needs; a service manager kills after 90.
END_S_MAX = 30.0
FORCED_EXIT = 70  # EX_SOFTWARE of sysexits.h


def when_told(stop: asyncio.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT; END_S_MAX after the first, end the process. Call this on the main thread, in the loop.

    What is on disk by then stays, as after a power cut. Only code that holds Python's interpreter for ever is not reached.
    """
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGALRM, _force)

    def told(_signal: int, _frame: FrameType | None) -> None:
        # Not the loop's own handler: a driver that never returns keeps the loop from its signals.
        if signal.getitimer(signal.ITIMER_REAL)[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, END_S_MAX)
        with suppress(RuntimeError):  # the loop is closed: it is at its end
            loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


def _force(_signal: int, frame: FrameType | None) -> None:
    place = f"{frame.f_code.co_filename}, line {frame.f_lineno}" if frame else "a thread"
    told = f"vitalgate: not at an end {END_S_MAX:g} s after SIGTERM or SIGINT: {place} never gave way\n"
    with suppress(OSError):
        os.write(2, told.encode())
    # Nothing less ends a process whose threads, or whose driver, never return.
    os._exit(FORCED_EXIT)
