"""What is remembered of a subject between readings: bounded, versioned JSON in the row that is locked while it is judged. Types only."""

from operator import attrgetter
from typing import TypeVar

import msgspec

from gateway.runtime.errors import StoreError

STATE_VERSION = 1
RECENT_MAX = 8  # readings to compare with for a suspected duplicate or a second reading
CROSSINGS_MAX = 32  # readings beyond a limit that wait for, or were, a second one
SLOTS_MAX = 1_000_000  # microseconds in the second that the slots share


class Recent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reading that was judged. It was measured at `at_us`, within [`low_us`, `high_us`]."""

    key: str
    device: str
    kind: str
    content: str
    transport: str
    at_us: int
    low_us: int
    high_us: int
    live: bool


class Crossing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reading beyond a rule's limit, whose measurement time is good enough to confirm another."""

    rule: str
    key: str
    at_us: int
    shown: str
    live: bool


class SubjectState(msgspec.Struct, frozen=True, omit_defaults=True):
    """`second` is the newest second with a point, `slots` the last slot given to a point at or before it."""

    v: int
    second: int | None = None
    slots: int = 0
    recent: tuple[Recent, ...] = ()
    crossings: tuple[Crossing, ...] = ()


_Entry = TypeVar("_Entry", Recent, Crossing)
EMPTY = SubjectState(v=STATE_VERSION)
_measured = attrgetter("at_us")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SubjectState).decode


def encode_state(state: SubjectState) -> bytes:
    """JSON for the row."""
    return _encode(state)


def decode_state(data: bytes | None) -> SubjectState:
    """The state of a row, or the empty one. Raises StoreError for a row that this version can't read."""
    if data is None:
        return EMPTY
    try:
        state = _decode(data)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a row of rule_state is damaged: {error}", retry=False) from error
    if state.v != STATE_VERSION:
        raise StoreError(
            f"a row of rule_state has version {state.v}; this program reads {STATE_VERSION}",
            retry=False,
        )
    return state


def remembered(entries: tuple[Recent, ...], new: Recent) -> tuple[Recent, ...]:
    """With one more, at most RECENT_MAX: the oldest measurement goes, never the one that just came."""
    if len(entries) >= RECENT_MAX:
        entries = _without_oldest(entries)
    return (*entries, new)


def crossed(entries: tuple[Crossing, ...], new: Crossing) -> tuple[Crossing, ...]:
    """With one more, at most CROSSINGS_MAX: the oldest measurement goes, never the one that just came."""
    if len(entries) >= CROSSINGS_MAX:
        entries = _without_oldest(entries)
    return (*entries, new)


def _without_oldest(entries: tuple[_Entry, ...]) -> tuple[_Entry, ...]:
    oldest = entries.index(min(entries, key=_measured))
    return entries[:oldest] + entries[oldest + 1 :]
