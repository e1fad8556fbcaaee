"""A visit on disk as it was heard, one line at a time: a capture that can be replayed. Judges nothing, removes nothing."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

from gateway.contract.capture import (
    LINES_MAX,
    Capture,
    CaptureError,
    Heard,
    digest,
    dump,
    event_line,
    parse,
)
from gateway.contract.profile import Profile
from gateway.contract.session import Opened
from gateway.runtime.clock import Clock, iso
from gateway.runtime.errors import StoreError

FOLDER_BYTES_MAX = 500_000_000  # of captures in one folder; beyond it nothing more is recorded
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # it holds measurements, and who the device is
AT_DIGITS = 6


class Tape:
    """One visit's file. It is there from the first thing that the device said; a visit that heard nothing leaves none."""

    def __init__(self, path: Path, header: Mapping[str, str]) -> None:
        """Nothing is written yet."""
        self.path = path
        self._header, self._lock = header, threading.Lock()
        self._held: list[Heard] = []
        self._began: float | None = None
        self._lines = 0

    @property
    def begun(self) -> bool:
        """Whether there is a file."""
        return self._lines > 0

    def put(self, event: Heard) -> None:
        """Write it down: on disk when this returns. Times count from the first event. Raises StoreError."""
        with self._lock:
            self._began = event.at if self._began is None else self._began
            self._held.append(replace(event, at=round(event.at - self._began, AT_DIGITS)))
            if isinstance(event, Opened):
                return
            try:
                self._write()
            except OSError as error:
                raise StoreError(f"{self.path}: {error.strerror}", retry=False) from error

    def finish(self, facts: Mapping[str, str]) -> None:
        """The visit is over: header with firmware and hash. What was heard stands there already. Raises StoreError."""
        with self._lock:
            if not self.begun:
                return
            try:
                told = parse(self.path.read_text(encoding="utf-8").splitlines())
                said = {"firmware": facts.get("firmware", ""), "sha256": digest(told)}
                self._replace(Capture({**told.header, **said}, told.heard))
            except (OSError, CaptureError) as error:
                raise StoreError(f"{self.path}: {error}", retry=False) from error

    def _write(self) -> None:
        lines = [event_line(event) for event in self._held]
        if not self.begun:
            lines.insert(0, json.dumps({"capture": 1, **self._header}))
        if self._lines + len(lines) > LINES_MAX:
            raise StoreError(f"{self.path}: over {LINES_MAX} lines", retry=False)
        flags = os.O_WRONLY | os.O_APPEND | (0 if self.begun else os.O_CREAT | os.O_EXCL)
        with open(os.open(self.path, flags, PRIVATE_FILE), "w", encoding="utf-8") as file:  # noqa: PTH123 no Path method opens for this user alone
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        self._lines += len(lines)
        self._held.clear()

    def _replace(self, capture: Capture) -> None:
        new = self.path.with_suffix(".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with open(os.open(new, flags, PRIVATE_FILE), "w", encoding="utf-8") as file:  # noqa: PTH123 the same
            file.writelines(f"{line}\n" for line in dump(capture))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


class Shelf:
    """A folder of tapes."""

    def __init__(self, folder: Path, clock: Clock, version: str) -> None:
        """Make it, if need be. `version`: of what records. Raises StoreError."""
        self._folder, self._clock, self._version = folder, clock, version
        self._count = count(1)
        try:
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}", retry=False) from error

    def tape(self, profile: Profile, cursor: str | None) -> Tape:
        """For a visit that begins now. Raises StoreError where the folder is full."""
        try:
            held = sum(path.stat().st_size for path in self._folder.glob("*.jsonl"))
        except OSError as error:
            raise StoreError(f"{self._folder}: {error.strerror}", retry=False) from error
        if held > FOLDER_BYTES_MAX:
            why = f"{self._folder} holds {held} bytes of captures; {FOLDER_BYTES_MAX} fit"
            raise StoreError(why, retry=False)
        now = self._clock.now()
        name = f"{profile.id.replace('/', '-')}-{now:%Y%m%dT%H%M%S}.{now.microsecond:06}-{next(self._count)}.jsonl"
        header = {
            "driver": profile.driver,
            "profile": profile.id,
            "firmware": "",
            "origin": f"recorded by vitalgate {self._version}",
            "began": iso(now),
            "licence": "",
            "unit": "",
            "scrubbed": "",
            **({"cursor": cursor} if cursor else {}),
        }
        return Tape(self._folder / name, header)
