"""Observations of 0x2B8B and 0x2BDD both ways, and the segments that they come in. Pure; tables and sources: README.md.

Two public implementations differ in what the length counts, and in the width of the patient: read either way where only one
way fits, and refused where two do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from drivers.gatt.health_sensor.values import (
    ElapsedTime,
    Number,
    decode_time,
    encode_float,
    encode_time,
)
from gateway.sdk import Fields, PeerError

FIRST, LAST = 0x01, 0x02
COUNTER_END = 64
OCTETS_MAX = 4096  # of one observation; a sample array of a minute is less
HEAD_OCTETS = 3  # class and length
PATIENT_OCTETS = (1, 2)

_TYPE, _TIME, _DURATION, _STATUS, _OBJECT, _PATIENT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_LISTS = (0x40, 0x80, 0x100)  # supplemental, derived from, has member
_TLV = 0x200


class Class(IntEnum):
    """What an observation's value is made of."""

    NUMERIC = 1
    DISCRETE = 2
    STRING = 3
    SAMPLES = 4
    COMPOUND_DISCRETE = 5
    COMPOUND_STATE = 6
    COMPOUND = 7
    TLV = 8
    BUNDLE = 0xFF


_READ = frozenset({Class.NUMERIC, Class.COMPOUND})


@dataclass(frozen=True, slots=True)
class Measured:
    """One number: MDC code of what it is, MDC code of its unit."""

    type: int
    unit: int
    value: Number


@dataclass(frozen=True, slots=True)
class Observation:
    """What is told at once. `numbers` has one number of a numeric, several of a compound; none of a class that isn't read here."""

    kind: int
    type: int | None
    time: ElapsedTime | None
    numbers: tuple[Measured, ...]
    patient: int | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How an implementation writes: octets of a patient, and whether the length counts class and length too."""

    patient_octets: int = 1
    whole_length: bool = False


class TornError(PeerError):
    """An observation ended without its last segment. `whole`: the one that ended it, where that has a single segment."""

    def __init__(self, whole: bytes | None = None) -> None:
        """Another first segment came, or none any more."""
        super().__init__("an observation ended without its last segment")
        self.whole = whole


class Segments:
    """Puts an observation together from its segments. A bound holds for its octets.

    A segment that comes twice running counts once: an indication may, and the counter goes on with each that is another.
    """

    def __init__(self) -> None:
        """Nothing has come."""
        self._before = b""
        self._body: bytes | None = None
        self._counter = 0

    @property
    def is_open(self) -> bool:
        """Whether an observation was begun, and its last segment is to come."""
        return self._body is not None

    def feed(self, data: bytes) -> bytes | None:
        """The observation, with the last segment. Raises PeerError where one is missing; the rest of that observation is then passed over.

        A first segment begins an observation also where the one before has no end: that one is a TornError.
        """
        header = Fields(data).u8("segmentation header")
        first, last, counter = header & FIRST, header & LAST, header >> 2
        again, self._before = data == self._before, data
        if again and not (first and last):
            return None
        body, self._body = self._body, None
        if first:
            whole = self._keep(data[1:], counter, last=bool(last))
            if body is not None:
                raise TornError(whole)
            return whole
        if body is None or counter != self._counter:
            raise PeerError(f"segment {counter} of an observation without those before it")
        return self._keep(body + data[1:], counter, last=bool(last))

    def _keep(self, body: bytes, counter: int, *, last: bool) -> bytes | None:
        if len(body) > OCTETS_MAX:
            raise PeerError(f"an observation of over {OCTETS_MAX} octets")
        if last:
            return body
        self._body, self._counter = body, (counter + 1) % COUNTER_END
        return None


def segments(body: bytes, octets_max: int = 19, counter: int = 0) -> Iterator[bytes]:
    """The same the other way: an observation in packets."""
    pieces = [body[at : at + octets_max] for at in range(0, len(body), octets_max)] or [b""]
    for place, piece in enumerate(pieces):
        header = (FIRST if place == 0 else 0) | (LAST if place == len(pieces) - 1 else 0)
        yield bytes((header | (counter + place) % COUNTER_END << 2,)) + piece


def split_stored(body: bytes) -> tuple[int, bytes]:
    """Record number and observation of what 0x2BDD told. Raises PeerError."""
    fields = Fields(body)
    return int.from_bytes(fields.take(4, "record number"), "little"), fields.rest


def decode(data: bytes) -> Observation:
    """Read an observation. Raises PeerError where its length fits in no way that is known, or its patient in none or in two."""
    fields = Fields(data)
    kind, length = fields.u8("class"), fields.u16("length")
    if length not in (len(data) - HEAD_OCTETS, len(data)):
        what = "truncated" if len(data) - HEAD_OCTETS < length else "length"
        raise PeerError(f"{what}: {len(data)} octets; its length says {length}")
    body, found, fault = fields.rest, set[Observation](), PeerError("no way to read it")
    for octets in PATIENT_OCTETS:
        try:
            found.add(_body(kind, body, octets))
        except PeerError as why:
            fault = why
    if len(found) > 1:
        raise PeerError("its patient can be read in two ways")
    if not found:
        raise fault
    return found.pop()


def _body(kind: int, body: bytes, patient_octets: int) -> Observation:
    fields = Fields(body)
    flags = fields.u16("flags")
    type_ = int.from_bytes(fields.take(4, "type"), "little") if flags & _TYPE else None
    time = decode_time(fields) if flags & _TIME else None
    if flags & _DURATION:
        fields.float32("duration")
    status = fields.u16("status") if flags & _STATUS else None
    if flags & _OBJECT:
        fields.take(4, "object id")
    patient = None
    if flags & _PATIENT:
        patient = int.from_bytes(fields.take(patient_octets, "patient"), "little")
    for flag in _LISTS:
        if flags & flag:
            fields.take(4 * fields.u8("count of a list"), "list")
    if flags & _TLV:
        raise PeerError("values by type and length, which no public source describes")
    if kind == Class.BUNDLE:
        raise PeerError("a bundle: what measurements it holds, no public source describes")
    if kind not in _READ:
        # Nothing says where its value ends, so nothing says how wide its patient is; it is passed over.
        return Observation(kind, type_, time, ())
    return Observation(kind, type_, time, _numbers(kind, type_, fields), patient, status)


def _numbers(kind: int, type_: int | None, fields: Fields) -> tuple[Measured, ...]:
    if kind == Class.COMPOUND:
        numbers = tuple(_component(fields) for _ in range(fields.u8("count of components")))
    elif type_ is None:
        raise PeerError("a number of which nothing says what it is")
    else:
        numbers = (_number(type_, fields),)
    if fields.rest:
        raise PeerError(f"{len(fields.rest)} octets behind its value")
    return numbers


def _component(fields: Fields) -> Measured:
    type_ = int.from_bytes(fields.take(4, "component's type"), "little")
    kind = fields.u8("component's class")
    if kind != Class.NUMERIC:
        raise PeerError(f"a component of class {kind}; only numbers can be read")
    return _number(type_, fields)


def _number(type_: int, fields: Fields) -> Measured:
    return Measured(type_, fields.u16("unit"), fields.float32("value"))


def encode(told: Observation, layout: Layout = Layout()) -> bytes:
    """Write a numeric or compound observation. Raises ValueError or OverflowError for what it can't hold."""
    flags, head = 0, b""
    if told.type is not None:
        flags, head = flags | _TYPE, head + told.type.to_bytes(4, "little")
    if told.time is not None:
        flags, head = flags | _TIME, head + encode_time(told.time)
    if told.status is not None:
        flags, head = flags | _STATUS, head + told.status.to_bytes(2, "little")
    if told.patient is not None:
        flags |= _PATIENT
        head += told.patient.to_bytes(layout.patient_octets, "little")
    body = flags.to_bytes(2, "little") + head + _value(told.kind, told.numbers)
    length = len(body) + (HEAD_OCTETS if layout.whole_length else 0)
    return bytes((told.kind,)) + length.to_bytes(2, "little") + body


def layout_of(data: bytes) -> Layout:
    """How an observation that can be read is written."""
    told = decode(data)
    whole = int.from_bytes(data[1:HEAD_OCTETS], "little") == len(data)
    fits = [
        layout
        for octets in PATIENT_OCTETS
        if _same(told, layout := Layout(octets, whole_length=whole), data)
    ]
    return fits[0] if fits else Layout(whole_length=whole)


def _same(told: Observation, layout: Layout, data: bytes) -> bool:
    try:
        return encode(told, layout) == data
    except OverflowError:
        return False


def _value(kind: int, numbers: Sequence[Measured]) -> bytes:
    plain = [n.unit.to_bytes(2, "little") + encode_float(n.value) for n in numbers]
    if kind == Class.NUMERIC:
        (value,) = plain
        return value
    if kind != Class.COMPOUND:
        raise ValueError(f"class {kind}: only numbers are written")
    typed = (
        n.type.to_bytes(4, "little") + bytes((Class.NUMERIC,)) + value
        for n, value in zip(numbers, plain, strict=True)
    )
    return bytes((len(numbers),)) + b"".join(typed)


def numeric(one: Measured, time: ElapsedTime | None, patient: int | None = None) -> Observation:
    """An observation of one number."""
    return Observation(Class.NUMERIC, one.type, time, (one,), patient)
