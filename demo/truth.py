"""What the virtual devices say they measured, read from the ward's files. No opinion here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Device:
    """One virtual device: `place` is its address or its port."""

    serial: str
    profile: str
    kind: str
    place: str
    link: str


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that a measurement completes: `how` is live or late."""

    condition: str
    how: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One act of measurement. `parts`: name -> (`182`, `mmHg`), or (`below`, ``) for LO."""

    id: str
    serial: str
    kind: str
    raw_time: str | None
    true_time: datetime
    parts: Mapping[str, tuple[str, str]]
    flags: frozenset[str]
    alert: Due | None
    marks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that the ward wrote. `confirmed`: id -> when the radio confirmed it."""

    devices: Sequence[Device]
    measured: Sequence[Measured]
    confirmed: Mapping[str, datetime]
    quiet: bool


def devices(ward: Path) -> list[Device]:
    """The devices on the air, from `ready.json`."""
    told = json.loads((ward / "ready.json").read_text())
    return [
        Device(
            serial=one["serial"],
            profile=one["profile"],
            kind=one["kind"],
            place=one.get("address") or one["port"],
            link=one["link"],
        )
        for one in told["devices"]
    ]


def radio(ward: Path) -> str:
    """Where the virtual radio listens."""
    return str(json.loads((ward / "ready.json").read_text())["radio"])


def read(ward: Path) -> Truth:
    """All that has been written so far; a half-written last line is left for the next look."""
    measured: list[Measured] = []
    confirmed: dict[str, datetime] = {}
    quiet = False
    for entry in _lines(ward / "truth.jsonl"):
        match entry["event"]:
            case "measured":
                measured.append(_measured(entry))
            case "confirmed":
                confirmed[entry["id"]] = datetime.fromisoformat(entry["at"])
            case "quiet":
                quiet = True
            case _:
                pass
    return Truth(devices(ward), measured, confirmed, quiet)


def _lines(path: Path) -> Iterator[dict[str, str]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _measured(entry: Mapping[str, object]) -> Measured:
    parts = entry["parts"]
    assert isinstance(parts, dict)
    alert = entry.get("alert")
    return Measured(
        id=str(entry["id"]),
        serial=str(entry["serial"]),
        kind=str(entry["kind"]),
        raw_time=None if entry["raw_time"] is None else str(entry["raw_time"]),
        true_time=datetime.fromisoformat(str(entry["true_time"])),
        parts={
            name: (told["limit"], "") if "limit" in told else (told["value"], told["unit"])
            for name, told in parts.items()
        },
        flags=frozenset(entry.get("flags") or ()),  # type: ignore[arg-type]
        alert=Due(alert["condition"], alert["how"]) if isinstance(alert, dict) else None,
        marks=frozenset(entry.get("marks") or ()),  # type: ignore[arg-type]
    )
