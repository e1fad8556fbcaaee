"""Blood Pressure Record 0x2B36: a stored measurement, cut into segments where it doesn't fit. Pure; table: README.md.

No device that sends one is known, and the standard's text leaves open whether each segment or only the last carries the
CRC: the last is taken to, over all segments as they stand (GSS). Nothing here asks for records.
"""

from dataclasses import dataclass, replace

from drivers.gatt.blood_pressure.codec import reading
from drivers.gatt.blood_pressure.enhanced import enhanced_reading
from drivers.gatt.e2e_crc import unsealed
from gateway.sdk import Fields, PeerError, Reading

_FIRST, _LAST, _COUNTER_SHIFT = 0x01, 0x02, 2
COUNTER_END = 64  # six bits, rolling
SEGMENTS_MAX = (
    COUNTER_END  # a record has 27 octets at most; more would be a device that never ends one
)
_READINGS = {0x2A35: reading, 0x2B34: enhanced_reading}


@dataclass(frozen=True, slots=True)
class Segment:
    """One notification. `value` still ends with the CRC where the last segment carries one."""

    first: bool
    last: bool
    counter: int
    sequence: int
    uuid: int
    value: bytes


def decode_segment(data: bytes) -> Segment:
    """Raises PeerError where its head is cut."""
    fields = Fields(data)
    header = fields.u8("segmentation header")
    return Segment(
        first=bool(header & _FIRST),
        last=bool(header & _LAST),
        counter=header >> _COUNTER_SHIFT,
        sequence=fields.u16("sequence number"),
        uuid=fields.u16("characteristic"),
        value=fields.rest,
    )


def encode_segment(told: Segment) -> bytes:
    """The device's side."""
    header = told.first * _FIRST | told.last * _LAST | told.counter << _COUNTER_SHIFT
    return (
        bytes((header,))
        + told.sequence.to_bytes(2, "little")
        + told.uuid.to_bytes(2, "little")
        + told.value
    )


class Joining:
    """Puts segments together. `sealed`: the cuff's features say that records end with a CRC (0x2A49).

    `unread`: segments that the last one heard put an end to, since it does not go on with them. Nothing was made of them.
    """

    def __init__(self, *, sealed: bool) -> None:
        """Nothing is under way."""
        self._sealed = sealed
        self._under_way: list[tuple[Segment, bytes]] = []
        self.unread: tuple[bytes, ...] = ()

    def hear(self, data: bytes) -> Reading | None:
        """One segment; the reading where it was the last. Raises PeerError where one is missing, foreign or altered.

        A first one begins a record, also where the one before has not come to its end.
        """
        self.unread = ()
        segment = decode_segment(data)
        before = [] if segment.first else self._under_way
        self.unread = tuple(octets for _, octets in self._under_way)
        self._under_way = []
        if not segment.first:
            self._go_on(before, segment)
        now = [*before, (segment, data)]
        if segment.last:
            return self._whole(now)
        self._under_way = now
        return None

    def _go_on(self, before: list[tuple[Segment, bytes]], segment: Segment) -> None:
        if not before:
            raise PeerError(f"segment of record {segment.sequence} is no first one, after none")
        _follows(before[-1][0], segment)
        if len(before) >= SEGMENTS_MAX:
            raise PeerError(f"record {segment.sequence} has over {SEGMENTS_MAX} segments")
        self.unread = ()

    def _whole(self, segments: list[tuple[Segment, bytes]]) -> Reading:
        head, value = segments[0][0], b"".join(segment.value for segment, _ in segments)
        if self._sealed:
            octets = b"".join(data for _, data in segments)
            unsealed(octets, f"record {head.sequence}")
            value = value[:-2]
        decode = _READINGS.get(head.uuid)
        if decode is None:
            raise PeerError(
                f"record {head.sequence} wraps 0x{head.uuid:04X}; 0x2A35 and 0x2B34 are known"
            )
        return replace(decode(value), sequence=head.sequence, raw=value, pushed=False)


def _follows(before: Segment, now: Segment) -> None:
    if (before.sequence, before.uuid) != (now.sequence, now.uuid):
        raise PeerError(f"record {before.sequence} has no last segment; {now.sequence} begins")
    due = (before.counter + 1) % COUNTER_END
    if now.counter != due:
        raise PeerError(f"segment {now.counter} of record {now.sequence} came where {due} was due")
