"""What is remembered of a subject between readings: bounded, versioned MessagePack in the row that is locked while it is judged. Types only."""

from operator import attrgetter

import msgspec

from cloud_ingest.rules.window import NO_READINGS, ROW_BYTES, Recent, Window, windowed
from gateway.runtime.errors import StoreError

STATE_VERSION = 2
CROSSINGS_MAX = 32  # readings beyond a limit that wait for, or were, a second one
SLOTS_MAX = 1_000_000  # microseconds in the second that the slots share


class Crossing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reading beyond a rule's limit, whose measurement time is good enough to confirm another."""

    rule: str
    key: str
    at_us: int
    shown: str
    live: bool


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


EMPTY = SubjectState(v=STATE_VERSION)
_measured = attrgetter("at_us")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SubjectState).decode
_decode_v1 = msgspec.json.Decoder(_StateV1).decode
_JSON = b"{"


def encode_state(state: SubjectState) -> bytes:
    """MessagePack for the row."""
    return _encode(state)


def decode_state(data: bytes | None) -> SubjectState:
    """The state of a row, or the empty one. Raises StoreError for a row that this version can't read."""
    if data is None:
        return EMPTY
    try:
        state = _from_v1(_decode_v1(data)) if data.startswith(_JSON) else _decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a row of rule_state is damaged: {error}", retry=False) from error
    if state.v != STATE_VERSION:
        raise StoreError(
            f"a row of rule_state has version {state.v}; this program reads {STATE_VERSION}",
            retry=False,
        )
    if len(state.recent.rows) % ROW_BYTES:
        raise StoreError("a row of rule_state is damaged: its window is cut off", retry=False)
    return state


def crossed(entries: tuple[Crossing, ...], new: Crossing) -> tuple[Crossing, ...]:
    """With one more, at most CROSSINGS_MAX: the oldest measurement goes, never the one that just came."""
    if len(entries) >= CROSSINGS_MAX:
        oldest = entries.index(min(entries, key=_measured))
        entries = entries[:oldest] + entries[oldest + 1 :]
    return (*entries, new)


def _from_v1(old: _StateV1) -> SubjectState:
    version = STATE_VERSION if old.v == 1 else old.v
    return SubjectState(version, old.second, old.slots, windowed(old.recent), old.crossings)
