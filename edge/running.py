"""What a running agent says of itself each second, beside the outbox, for `edge status`: a small file. Holds no reading."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from edge.outbox.records import WindowFigures

OUTBOX_FILE = "outbox.sqlite"
FILE = "agent.json"
FILE_BYTES_MAX = 1_000_000
FRESH_S = 10.0  # a note older than this is of an agent that no longer runs


class RunningNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`places`: trouble by place, of devices that may not be enrolled yet. `away_since`: the broker, while it is away.

    `turn`: how late a turn of the loop came. `ended`: the agent stopped in an orderly way. `clock_off_s`: what the box's clock
    lacks to the cloud's.
    """

    at: datetime
    ended: bool = False
    radio: str | None = None
    away_since: datetime | None = None
    places: Mapping[str, str] = {}
    recovery: str | None = None
    turn: WindowFigures = WindowFigures()
    clock_off_s: float | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RunningNote).decode


def write(data_dir: Path, note: RunningNote) -> None:
    """Replace the note in one step. Not fsynced: it is worth a second. Raises OSError."""
    fresh = data_dir / f"{FILE}.new"
    fresh.write_bytes(_encode(note))
    fresh.replace(data_dir / FILE)


def read(data_dir: Path) -> RunningNote | None:
    """The last note, or None where no agent left one that can be read."""
    try:
        with (data_dir / FILE).open("rb") as file:
            return _decode(file.read(FILE_BYTES_MAX))
    except (OSError, msgspec.MsgspecError):
        return None
