"""Drivers that may not run: those that raised twice running, and those in which the agent twice came to a stop."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gateway.runtime.errors import StoreError

RAISED_MAX = 2  # visits running in which a driver raised anything but PeerError
STOPPED_MAX = 2  # restarts within one boot of the machine that found a driver's name still noted
FILE = "drivers.json"
FILE_BYTES_MAX = 100_000


class _Notes(msgspec.Struct):
    """What outlives the process: the third-party driver that is being called, and how often a restart found one so."""

    calling: dict[str, int] = {}
    stopped: dict[str, int] = {}
    boot: str = ""


@dataclass(slots=True)
class Quarantine:
    """One agent's judgement of its drivers. A driver of ours leaves no note on disk; a third party's does."""

    _path: Path
    _notes: _Notes
    _raised: dict[str, int] = field(default_factory=dict[str, int])
    _why: dict[str, str] = field(default_factory=dict[str, str])
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def open(cls, data_dir: Path, boot: str = "") -> "Quarantine":
        """Read the notes of the run before; `boot` says in which boot of the machine this is. Raises StoreError.

        A driver that was being called when that run ended is counted, unless the machine went down with it: a power cut
        is nobody's fault.
        """
        path = data_dir / FILE
        notes = _read(path)
        if notes.boot == boot:
            for driver in notes.calling:
                notes.stopped[driver] = notes.stopped.get(driver, 0) + 1
        notes.calling, notes.boot = {}, boot
        quarantine = cls(path, notes)
        quarantine._write()
        return quarantine

    def why_not(self, driver: str) -> str | None:
        """Why a driver may not run; None where it may."""
        stopped = self._notes.stopped.get(driver, 0)
        if stopped >= STOPPED_MAX:
            return f"the agent came to a stop in driver {driver} {stopped} times: mend it, then delete {self._path}"
        return self._why.get(driver)

    @asynccontextmanager
    async def turn(self, driver: str) -> AsyncGenerator[None]:
        """Hold this during a visit. Drivers under suspicion go one at a time, so that the next stop names the one that it is."""
        if self._notes.stopped.get(driver):
            async with self._alone:
                yield
        else:
            yield

    @contextmanager
    def loading(self, driver: str, *, third_party: bool) -> Generator[None]:
        """Hold this while a driver's code is imported: an import that never ends stops the agent as a visit does. Raises StoreError."""
        self.begin(driver, third_party=third_party)
        try:
            yield
        finally:
            self._leave(driver, third_party=third_party)

    def begin(self, driver: str, *, third_party: bool) -> None:
        """A visit by this driver begins: on disk before its code runs, where it isn't ours. Raises StoreError."""
        if not third_party:
            return
        self._notes.calling[driver] = self._notes.calling.get(driver, 0) + 1
        try:
            self._write()
        except StoreError:
            # It is not called: the next note that does fit must not say that it was.
            self._forget(driver)
            raise

    def end(self, driver: str, bug: Exception | None, *, third_party: bool) -> None:
        """A visit by this driver ended by itself; `bug`: what it raised that was no PeerError."""
        self._notes.stopped.pop(driver, None)
        self._leave(driver, third_party=third_party)
        if bug is None:
            self._raised.pop(driver, None)
            return
        self._raised[driver] = self._raised.get(driver, 0) + 1
        if self._raised[driver] >= RAISED_MAX:
            self._why[driver] = (
                f"driver {driver} raised {type(bug).__name__} {RAISED_MAX} visits running"
            )

    def _leave(self, driver: str, *, third_party: bool) -> None:
        if not third_party:
            return
        self._forget(driver)
        # A note that stays counts as one stop at most; what the visit brought must not be lost over it.
        with suppress(StoreError):
            self._write()

    def _forget(self, driver: str) -> None:
        left = self._notes.calling.pop(driver, 1) - 1
        if left:
            self._notes.calling[driver] = left

    def bar(self, driver: str, why: str) -> None:
        """A driver that could not be loaded, or may not run."""
        self._why[driver] = why

    def _write(self) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            fresh.write_bytes(msgspec.json.encode(self._notes))
            fresh.replace(self._path)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}", retry=True) from error


def _read(path: Path) -> _Notes:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=_Notes)
    except FileNotFoundError:
        return _Notes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", retry=False) from error
    except msgspec.MsgspecError:
        return (
            _Notes()
        )  # torn by a power cut: a driver that stops the agent is noted again soon enough
