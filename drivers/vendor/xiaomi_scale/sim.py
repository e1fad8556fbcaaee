"""What a scale advertises in the course of one weighing, from the first step on it to the last repeat. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from drivers.vendor.xiaomi_scale.codec import Weighing, encode_v1, encode_v2, raw_of
from gateway.sdk import Quantity, StoredTime

Format = Literal[1, 2]
NO_IMPEDANCE = 0xFFFD  # what stands in the field before the current was measured
_V1_ALWAYS, _V2_ALWAYS = 0x02, 0x04  # bits of unknown meaning that all published frames have set
_ENCODE = {1: encode_v1, 2: encode_v2}


@dataclass(frozen=True, slots=True)
class Frame:
    """One advertisement, and for how long it is repeated."""

    data: bytes
    for_s: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How long each part of a weighing takes."""

    settling_s: float = 3.0
    impedance_s: float = 6.0
    standing_s: float = 15.0
    removed_s: float = 3.0


def weigh(
    layout: Format, shown: Quantity, stood: datetime, impedance: int | None, pace: Pace
) -> Iterator[Frame]:
    """The frames of one weighing. `stood`: what its clock says when the weight stands still, which is told first.

    Raises ValueError for a weight that the scale can't show.
    """
    unit = shown.unit
    assert unit in ("kg", "lb", "jin"), "the units of its display"
    waiting = Weighing(
        raw=raw_of(shown), unit=unit, time=stamp(stood), stable=True,
        impedance=0 if layout == 1 else NO_IMPEDANCE,
        other=_V1_ALWAYS if layout == 1 else _V2_ALWAYS,
    )  # fmt: skip
    encode, final = _ENCODE[layout], waiting
    first = stamp(stood - timedelta(seconds=int(pace.settling_s)))
    settling = replace(waiting, stable=False, raw=waiting.raw * 9 // 10, time=first, impedance=0)
    yield Frame(encode(settling), pace.settling_s)
    if layout != 1 and impedance is not None:
        yield Frame(encode(waiting), pace.impedance_s)
        measured = stamp(stood + timedelta(seconds=int(pace.impedance_s)))
        final = replace(waiting, time=measured, has_impedance=True, impedance=impedance)
    yield Frame(encode(final), pace.standing_s)
    yield Frame(encode(replace(final, removed=True)), pace.removed_s)


def stamp(moment: datetime) -> StoredTime:
    """A moment of the scale's own clock."""
    return StoredTime(moment, moment.isoformat(timespec="seconds"))
