"""Heart Rate Measurement 0x2A37 and Body Sensor Location 0x2A38, both ways. Pure; tables and sources: README.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from drivers.gatt.streaming import Sample, Summing, Values, numbers, spread
from gateway.sdk import Fields, Limit, PeerError, Quantity

KIND = "heart_rate"
RATE, RR = "heart_rate", "rr_interval"

_WIDE, _CONTACT, _ENERGY, _RR = 0x01, 0x06, 0x08, 0x10
_CONTACT_SUPPORTED, _CONTACT_MADE = 0x04, 0x02
RATE_U8_MAX = 0xFF
ENERGY_SATURATED = 0xFFFF
RR_UNITS_A_SECOND = 1024
MS_PER_RR_UNIT = Decimal("0.9765625")  # 1000 / 1024, exactly
RR_STEP_MS = Decimal("0.001")  # a thousandth of what the field resolves
COMPUTED_STEP_MS = Decimal("0.01")

LOCATIONS: Mapping[int, str] = {
    0: "other", 1: "chest", 2: "wrist", 3: "finger", 4: "hand", 5: "ear_lobe", 6: "foot",
}  # fmt: skip

_computing = Context(prec=28)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The fields of 0x2A37 as they stand; None where the flags leave a field out.

    `contact`: None where the device can't tell. `rr`: in 1/1024 s, oldest first; empty where the flag stands and no beat was.
    `wide`: the rate has two octets. `other`: the contact bit of a device that can't tell, which says nothing.
    """

    rate: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr: tuple[int, ...] | None = None
    wide: bool = False
    other: bool = False


def decode_measurement(data: bytes) -> Measurement:
    """Read 0x2A37. Raises PeerError where a flagged field is cut, or half an interval stands at the end.

    The flag of intervals without one is no fault: straps set it in seconds without a beat. Reserved flags are ignored.
    """
    fields = Fields(data)
    flags = fields.u8("flags")
    rate = fields.u16("heart rate") if flags & _WIDE else fields.u8("heart rate")
    supported, made = bool(flags & _CONTACT_SUPPORTED), bool(flags & _CONTACT_MADE)
    return Measurement(
        rate=rate,
        contact=made if supported else None,
        energy_kj=fields.u16("energy expended") if flags & _ENERGY else None,
        rr=_intervals(fields) if flags & _RR else None,
        wide=bool(flags & _WIDE),
        other=made and not supported,
    )


def _intervals(fields: Fields) -> tuple[int, ...]:
    octets = fields.rest
    if len(octets) % 2:
        raise PeerError(f"truncated: {len(octets)} octets of RR intervals; each has two")
    return tuple(int.from_bytes(octets[at : at + 2], "little") for at in range(0, len(octets), 2))


def encode_measurement(told: Measurement) -> bytes:
    """Write 0x2A37. Raises OverflowError for what the fields can't hold."""
    wide = told.wide or told.rate > RATE_U8_MAX
    flags = _WIDE * wide | _CONTACT_MADE * (told.contact is True or told.other)
    flags |= _CONTACT_SUPPORTED * (told.contact is not None)
    tail = told.rate.to_bytes(2 if wide else 1, "little")
    if told.energy_kj is not None:
        flags, tail = flags | _ENERGY, tail + told.energy_kj.to_bytes(2, "little")
    if told.rr is not None:
        flags |= _RR
        tail += b"".join(interval.to_bytes(2, "little") for interval in told.rr)
    return bytes((flags,)) + tail


def decode_location(data: bytes) -> str:
    """Read 0x2A38: where it is worn, in a word; a reserved code keeps its number. Raises PeerError."""
    code = Fields(data).u8("body sensor location")
    return LOCATIONS.get(code, f"reserved_{code}")


def sample(data: bytes) -> Sample:
    """One notification as a sample. Raises PeerError."""
    told = decode_measurement(data)
    if told.contact is False:
        return Sample(unfit="no_contact", worn=False)
    if told.rate == 0:
        # It searches for a pulse: no heart rate, and none of zero.
        return Sample(unfit="searching")
    intervals = [(n * MS_PER_RR_UNIT).quantize(RR_STEP_MS) for n in told.rr or () if n]
    return Sample(
        values={RATE: (Decimal(told.rate),), RR: intervals},
        marks=frozenset({"energy_saturated"} if told.energy_kj == ENERGY_SATURATED else ()),
        context={} if told.energy_kj is None else {"energy_kj": str(told.energy_kj)},
    )


def _parts(values: Values) -> Mapping[str, Quantity | Limit]:
    parts = dict(spread(RATE, values.get(RATE, ()), "/min"))
    if intervals := numbers(values.get(RR, ())):
        parts |= dict(spread(RR, intervals, "ms"))
        # The mean of all intervals, as the field means it; the median is none that could be compared with others' figures.
        parts[RR] = Quantity(_mean(intervals).quantize(COMPUTED_STEP_MS), "ms")
        if len(intervals) > 1:
            parts["sdrr"] = Quantity(_deviation(intervals).quantize(COMPUTED_STEP_MS), "ms")
    return parts


def _context(values: Values) -> Mapping[str, str]:
    intervals = values.get(RR, ())
    return {"window_rr_intervals": str(len(intervals))} if intervals else {}


def _mean(of: Sequence[Decimal]) -> Decimal:
    return _computing.divide(sum(of, Decimal()), Decimal(len(of)))


def _deviation(of: Sequence[Decimal]) -> Decimal:
    """Of a sample: divided by n - 1."""
    mean = _mean(of)
    squares = sum(((number - mean) ** 2 for number in of), Decimal())
    return _computing.sqrt(_computing.divide(squares, Decimal(len(of) - 1)))


SUMMING = Summing(KIND, RATE, "median; rr_interval: mean", _parts, _context)
