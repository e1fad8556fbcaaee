"""The last readings of a subject, packed: looked through as bytes, unpacked only where one is equal to what comes. Pure.

Of a hundred readings two have an equal one behind them. For the others, eight readings would be made anew and thrown away.
"""

import struct
from binascii import unhexlify  # a third of what bytes.fromhex takes
from collections.abc import Iterable, Iterator, Sequence

import msgspec

WINDOW_MAX = 8  # readings to compare with for a suspected duplicate or a second reading
KEY_HEAD = 11  # `20261128-c-`; the rest of a key is hex
# at_us, low_us, high_us, the key's head and rest, content, teller, live.
_ROW = struct.Struct(">qqq11s16s16sB?")
ROW_BYTES = _ROW.size
_TIMES = struct.Struct(
    ">" + f"q{ROW_BYTES - 8}x" * WINDOW_MAX
)  # at_us of each row of a full window


class Teller(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What rows of one device and kind share."""

    device: str
    kind: str
    transport: str


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


class Window(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """At most WINDOW_MAX readings, in the order in which they came: `rows` are _ROW each, and name their teller by its place."""

    tellers: tuple[Teller, ...] = ()
    rows: bytes = b""

    def readings(self) -> Iterator[Recent]:
        """All of them, the last to come first."""
        for place in reversed(range(0, len(self.rows), ROW_BYTES)):
            at_us, low_us, high_us, head, rest, content, told, live = _ROW.unpack_from(
                self.rows, place
            )
            by, key = self.tellers[told], head.decode() + rest.hex()
            times = (at_us, low_us, high_us)
            yield Recent(key, by.device, by.kind, content.hex(), by.transport, *times, live)

    def alike(self, content: str) -> Sequence[Recent]:
        """Those with this content hash, the last to come first."""
        if unhexlify(content) not in self.rows:
            return ()
        return [one for one in self.readings() if one.content == content]

    def joined_by(self, new: Recent) -> "Window":
        """With one more: at the bound the oldest measurement goes, never the one that just came."""
        rows, by = self.rows, Teller(new.device, new.kind, new.transport)
        if len(rows) == _TIMES.size:
            times = _TIMES.unpack(rows)
            oldest = times.index(min(times)) * ROW_BYTES
            rows = rows[:oldest] + rows[oldest + ROW_BYTES :]
        if by in self.tellers:
            return Window(self.tellers, rows + _packed(new, self.tellers.index(by)))
        kept = reversed(list(Window(self.tellers, rows).readings()))
        return windowed((*kept, new))

    def without(self, key: str) -> "Window":
        """Without the reading of that key."""
        return windowed(one for one in reversed(list(self.readings())) if one.key != key)


def windowed(readings: Iterable[Recent]) -> Window:
    """These readings, the last to come last; at most WINDOW_MAX."""
    places: dict[Teller, int] = {}
    rows = [
        _packed(one, places.setdefault(Teller(one.device, one.kind, one.transport), len(places)))
        for one in readings
    ]
    return Window(tuple(places), b"".join(rows)) if rows else NO_READINGS


def _packed(one: Recent, teller: int) -> bytes:
    return _ROW.pack(
        one.at_us,
        one.low_us,
        one.high_us,
        one.key[:KEY_HEAD].encode(),
        unhexlify(one.key[KEY_HEAD:]),
        unhexlify(one.content),
        teller,
        one.live,
    )


NO_READINGS = Window()
