"""Standard output that loses a line rather than the process: what a command does never ends with who hears of it."""

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

UNHEARD_EXIT = 1  # as typer has it where a pipe was closed
OUTPUT_EXIT = 74  # EX_IOERR of sysexits.h


class Outlet(io.RawIOBase):
    """The bytes of standard output on their way out. Says once, on standard error, where they no longer go."""

    def __init__(self, descriptor: int) -> None:
        """Write to this descriptor, which stays open."""
        self._inner = io.FileIO(descriptor, "w", closefd=False)
        self._fault: int | None = None

    def write(self, data: "ReadableBuffer", /) -> int | None:
        """Give it on, or lose it."""
        try:
            return self._inner.write(data)
        except OSError as fault:
            self._lost(fault.errno or errno.EIO)
            return memoryview(data).nbytes

    def status(self, own: int) -> int:
        """The exit status of a command whose own would be `own`."""
        if own or self._fault is None:
            return own
        return UNHEARD_EXIT if self._fault == errno.EPIPE else OUTPUT_EXIT

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Standard output's own."""
        return self._inner.fileno()

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self._inner.isatty()

    def _lost(self, fault: int) -> None:
        if self._fault is None:
            self._fault = fault
            if fault != errno.EPIPE:
                told = f"{os.strerror(fault)}. What follows on it may be missing"
                with suppress(OSError):
                    sys.stderr.write(f"vitalgate: standard output: {told}\n")


@contextmanager
def kept_going() -> Generator[None]:
    """An Outlet below `sys.stdout` meanwhile, of which a SystemExit tells; none where a process has no standard output."""
    plain = sys.stdout
    if plain is not sys.__stdout__ or not isinstance(plain, io.TextIOWrapper):
        yield
        return
    outlet = Outlet(plain.fileno())
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=plain.encoding,
        errors=plain.errors,
        line_buffering=plain.line_buffering or plain.write_through,
    )
    try:
        yield
    except SystemExit as ended:
        sys.stdout.flush()
        if not isinstance(ended.code, int | None):
            raise
        raise SystemExit(outlet.status(ended.code or 0)) from None
    finally:
        sys.stdout.flush()
        sys.stdout = plain
