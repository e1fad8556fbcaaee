"""What is remembered of a subject between readings: bounded, versioned MessagePack in the row that is locked while it is judged. Types only."""

import struct
from operator import attrgetter
from zlib import crc32

import msgspec

from cloud_ingest.rules.window import NO_READINGS, ROW_BYTES, Recent, Window, windowed
from gateway.runtime.errors import StoreError

STATE_VERSION = 3
CROSSINGS_MAX = 32  # readings beyond a limit that wait for, or were, a second one
SLOTS_MAX = 1_000_000  # microseconds in the second that the slots share


class Crossing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reading beyond a rule's limit, whose measurement time is good enough to confirm another.

    `told_us`: when it was told, where it pages by that, since nobody knows its age; else None.
    """

    rule: str
    key: str
    at_us: int
    shown: str
    live: bool
    told_us: int | None = None

    def fresh_from(self) -> int:
        """From when on its age counts."""
        return self.at_us if self.told_us is None else self.told_us


class SubjectState(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`second` is the newest second with a point, `slots` the last slot given to a point at or before it."""

    v: int
    second: int | None = None
    slots: int = 0
    recent: Window = NO_READINGS
    crossings: tuple[Crossing, ...] = ()


class _StateV1(msgspec.Struct, frozen=True):
    """How rows were written before readings were packed: as JSON."""

    v: int
    second: int | None = None
    slots: int = 0
    recent: tuple[Recent, ...] = ()
    crossings: tuple[Crossing, ...] = ()


class StateError(StoreError):
    """A row that can't be read: damaged, or of another program. The journal holds all that it was made from."""

    def __init__(self, why: str, subject: str = "") -> None:
        """Say why, and whose it is where that is known."""
        whose = f" of {subject}" if subject else ""
        super().__init__(f"what the rules remember{whose} can't be read: {why}", retry=False)
        self.why, self.subject = why, subject


EMPTY = SubjectState(v=STATE_VERSION)
_measured = attrgetter("at_us")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SubjectState).decode
_decode_v1 = msgspec.json.Decoder(_StateV1).decode
_JSON = b"{"  # version 1
_SUMMED = b"3"  # from version 3 on: this, the CRC-32 of the rest, the rest. SQLite has no checksum of its own.
_HEAD = struct.Struct(">cI")
_UNSUMMED = (1, 2)


def encode_state(state: SubjectState) -> bytes:
    """MessagePack for the row, behind its checksum."""
    body = _encode(state)
    return _HEAD.pack(_SUMMED, crc32(body)) + body


def decode_state(data: bytes | None) -> SubjectState:
    """The state of a row, or the empty one. Raises StateError for a row that is damaged, or that this version can't read."""
    if data is None:
        return EMPTY
    try:
        return _summed(data) if data.startswith(_SUMMED) else _unsummed(data)
    # What a changed octet makes of text and places in a window is none of the decoder's own errors.
    except (msgspec.MsgspecError, struct.error, ValueError, LookupError, TypeError) as error:
        raise StateError(f"{type(error).__name__}: {error}") from error


def _summed(data: bytes) -> SubjectState:
    if len(data) < _HEAD.size:
        raise StateError("it is cut off")
    body = memoryview(data)[_HEAD.size :]
    if _HEAD.unpack_from(data)[1] != crc32(body):
        raise StateError("it is not what was written")
    state = _decode(body)
    if state.v != STATE_VERSION:
        raise StateError(f"it has version {state.v}; this program reads {STATE_VERSION}")
    if len(state.recent.rows) % ROW_BYTES:
        raise StateError("its window is cut off")
    return state


def _unsummed(data: bytes) -> SubjectState:
    """Of version 1 or 2. Looked through as a whole, once: it has a checksum when it is written next."""
    if data.startswith(_JSON):
        old = _decode_v1(data)
        state = SubjectState(old.v, old.second, old.slots, windowed(old.recent), old.crossings)
    else:
        state = _decode(data)
    if state.v not in _UNSUMMED:
        raise StateError(f"it has version {state.v}; this program reads {STATE_VERSION}")
    if len(state.recent.rows) % ROW_BYTES:
        raise StateError("its window is cut off")
    for _ in state.recent.readings():
        pass
    return msgspec.structs.replace(state, v=STATE_VERSION)


def crossed(entries: tuple[Crossing, ...], new: Crossing) -> tuple[Crossing, ...]:
    """With one more, at most CROSSINGS_MAX: the oldest measurement goes, never the one that just came."""
    if len(entries) >= CROSSINGS_MAX:
        oldest = entries.index(min(entries, key=_measured))
        entries = entries[:oldest] + entries[oldest + 1 :]
    return (*entries, new)
