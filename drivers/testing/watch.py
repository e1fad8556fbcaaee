"""Watches what a driver calls while it answers: clocks, chance, files, sockets, threads, the environment. Judges only what was run."""

import gc
import sys
from collections.abc import Callable, Iterator
from random import Random
from types import BuiltinFunctionType, FrameType

from gateway.contract.session import Command, Driver, Event, Session, UnitInfo

# Modules that no driver needs (architecture, "Do no I/O"): by their own names, and those that they are written in.
IMPURE = frozenset((
    "asyncio", "builtins", "ctypes", "ftplib", "getpass", "http", "io", "logging", "mmap", "multiprocessing", "nt", "ntpath",
    "os", "pathlib", "posix", "posixpath", "queue", "random", "secrets", "select", "selectors", "shutil", "signal", "socket",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid", "_io", "_random", "_socket", "_thread",
))  # fmt: skip
# Of these two modules only some are.
IMPURE_BUILTINS = frozenset(("open", "print", "input", "breakpoint"))
IMPURE_STREAMS = frozenset(("open", "open_code", "FileIO"))
CLOCK_METHODS = frozenset(("now", "utcnow", "today"))
# What these do inside is theirs, and depends on nothing but what they are given.
TRUSTED = frozenset((
    "_strptime", "codecs", "dataclasses", "decimal", "encodings", "hashlib", "hmac", "importlib", "json", "locale", "re", "reprlib", "zoneinfo",
))  # fmt: skip

Found = Callable[[str], None]


class Watched:
    """A driver as it is; each call that is none of its business is told to `found`."""

    def __init__(self, inner: Driver, found: Found) -> None:
        """Watches from `open` on."""
        self._inner, self._found = inner, found
        self.id, self.contract = inner.id, inner.contract

    def open(self, unit: UnitInfo) -> Session:
        """The session, watched."""
        with _Watching(self._found):
            session = self._inner.open(unit)
        return _WatchedSession(session, self._found)


class _WatchedSession:
    def __init__(self, inner: Session, found: Found) -> None:
        self._inner, self._found = inner, found

    def on(self, event: Event) -> Iterator[Command]:
        with _Watching(self._found):
            answers = iter(self._inner.on(event))
        while True:
            with _Watching(self._found):
                command = next(answers, None)
            if command is None:
                return
            yield command


class _Watching:
    """The collector waits meanwhile: it would run another's finalizers under the driver's frames."""

    def __init__(self, found: Found) -> None:
        self._found, self._before, self._collects = found, sys.getprofile(), gc.isenabled()

    def __enter__(self) -> None:
        gc.disable()
        sys.setprofile(self._look)

    def __exit__(self, *_raised: object) -> None:
        sys.setprofile(self._before)
        if self._collects:
            gc.enable()

    def _look(self, frame: FrameType, event: str, told: object) -> None:
        match event:
            case "c_call":
                called, caller = _of_c(told), frame
            case "call":
                called, caller = _of_python(frame), frame.f_back
            case _:
                return
        if called and _is_the_drivers(caller):
            self._found(called)


def _of_c(called: object) -> str:
    if not isinstance(called, BuiltinFunctionType):
        return ""
    owner, name = called.__self__, called.__name__
    if isinstance(owner, Random):
        return f"random.{name}"
    if isinstance(owner, type):
        is_clock = owner.__module__ == "datetime" and name in CLOCK_METHODS
        return f"{owner.__module__}.{owner.__name__}.{name}" if is_clock else ""
    module = called.__module__ or ""
    if module == "builtins":
        return name if name in IMPURE_BUILTINS else ""
    if module in ("_io", "io"):
        return f"io.{name}" if name in IMPURE_STREAMS else ""
    return f"{module}.{name}" if module in IMPURE else ""


def _of_python(frame: FrameType) -> str:
    module = str(frame.f_globals.get("__name__", ""))
    return f"{module}.{frame.f_code.co_qualname}" if module.partition(".")[0] in IMPURE else ""


def _is_the_drivers(frame: FrameType | None) -> bool:
    """Whether a driver asked for it, not a part of Python that may."""
    while frame is not None:
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top in TRUSTED:
            return False
        if top not in sys.stdlib_module_names:
            return top != __name__.partition(".")[0] or frame.f_globals.get("__name__") != __name__
        frame = frame.f_back
    return False
