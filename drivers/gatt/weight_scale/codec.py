"""Weight Measurement 0x2A9D and Weight Scale Feature 0x2A9E, both ways. Pure; tables and sources: README.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.gatt.clocks import encode_stored_time
from gateway.sdk import Fields, Limit, Quantity, Reading, StoredTime

KIND = "body_weight"
UNKNOWN_USER = 0xFF
UNSUCCESSFUL = 0xFFFF  # in any field of two octets: the scale has no value for it
UNKNOWN_USER_MARK = "unknown_user"

_IMPERIAL, _TIME, _USER, _BMI_AND_HEIGHT = 0x01, 0x02, 0x04, 0x08
_FIELD_MAX = 0xFFFE
_HEIGHT_STEPS = {"m": 1000, "in": 10}
_MASS_STEPS = {"kg": 200, "lb": 100}

# Bits 3-6 and 7-9 of 0x2A9E: how fine the scale shows. They don't scale the fields (README, "Resolution").
WEIGHT_RESOLUTIONS: Mapping[int, str] = {
    1: "0.5 kg / 1 lb",
    2: "0.2 kg / 0.5 lb",
    3: "0.1 kg / 0.2 lb",
    4: "0.05 kg / 0.1 lb",
    5: "0.02 kg / 0.05 lb",
    6: "0.01 kg / 0.02 lb",
    7: "0.005 kg / 0.01 lb",
}
HEIGHT_RESOLUTIONS: Mapping[int, str] = {
    1: "0.01 m / 1 in",
    2: "0.005 m / 0.5 in",
    3: "0.001 m / 0.1 in",
}


@dataclass(frozen=True, slots=True)
class Weighing:
    """The fields of 0x2A9D as they stand, in steps of the field; None where the flags leave a field out."""

    imperial: bool
    weight: int
    time: StoredTime | None = None
    user: int | None = None
    bmi: int | None = None
    height: int | None = None


def decode_weighing(data: bytes) -> Weighing:
    """Read 0x2A9D. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return Weighing(
        imperial=bool(flags & _IMPERIAL),
        weight=fields.u16("weight"),
        time=fields.date_time("time stamp") if flags & _TIME else None,
        user=fields.u8("user id") if flags & _USER else None,
        bmi=fields.u16("bmi") if flags & _BMI_AND_HEIGHT else None,
        height=fields.u16("height") if flags & _BMI_AND_HEIGHT else None,
    )


def encode_weighing(told: Weighing) -> bytes:
    """Write 0x2A9D. Raises ValueError for a BMI without a height: one flag stands for both."""
    if (told.bmi is None) != (told.height is None):
        raise ValueError("bmi and height go together")
    flags, tail = _IMPERIAL if told.imperial else 0, b""
    if told.time is not None:
        flags, tail = flags | _TIME, tail + encode_stored_time(told.time)
    if told.user is not None:
        flags, tail = flags | _USER, tail + bytes((told.user,))
    if told.bmi is not None and told.height is not None:
        flags |= _BMI_AND_HEIGHT
        tail += told.bmi.to_bytes(2, "little") + told.height.to_bytes(2, "little")
    return bytes((flags,)) + told.weight.to_bytes(2, "little") + tail


def decode_resolution(data: bytes) -> dict[str, str]:
    """0x2A9E: the resolutions that the scale states. Raises PeerError."""
    return resolutions(int.from_bytes(Fields(data).take(4, "feature"), "little"), weight_bit=3)


def resolutions(feature: int, weight_bit: int) -> dict[str, str]:
    """Weight and height resolution of a feature word: four bits from `weight_bit`, then three."""
    weight = WEIGHT_RESOLUTIONS.get(feature >> weight_bit & 0x0F)
    height = HEIGHT_RESOLUTIONS.get(feature >> weight_bit + 4 & 0x07)
    told = {"weight_resolution": weight, "height_resolution": height}
    return {name: text for name, text in told.items() if text is not None}


def mass(raw: int, *, imperial: bool) -> Quantity:
    """Steps of 0.005 kg or 0.01 lb, exactly; a third decimal only where there is one."""
    if imperial:
        return Quantity(Decimal(raw).scaleb(-2), "lb")
    half, odd = divmod(raw, 2)
    exact = Decimal(raw * 5).scaleb(-3) if odd else Decimal(half).scaleb(-2)
    return Quantity(exact, "kg")


def stature(raw: int, *, imperial: bool) -> Quantity:
    """Steps of 0.001 m or 0.1 in."""
    return (
        Quantity(Decimal(raw).scaleb(-1), "in")
        if imperial
        else Quantity(Decimal(raw).scaleb(-3), "m")
    )


def steps(shown: Quantity, per_unit: int) -> int:
    """The field that shows this. Raises ValueError where none does exactly."""
    exact = shown.number * per_unit
    if exact != int(exact) or not 0 <= exact <= _FIELD_MAX:
        raise ValueError(
            f"{shown.number} {shown.unit} is no number of steps from 0 to {_FIELD_MAX}"
        )
    return int(exact)


def mass_steps(shown: Quantity) -> int:
    """The field of a mass. Raises ValueError."""
    return steps(shown, _MASS_STEPS[shown.unit])


def stature_steps(shown: Quantity) -> int:
    """The field of a height. Raises ValueError."""
    return steps(shown, _HEIGHT_STEPS[shown.unit])


def reading(data: bytes) -> Reading:
    """One indication as a reading. Raises PeerError."""
    told = decode_weighing(data)
    parts: dict[str, Quantity | Limit] = {}
    marks = {UNKNOWN_USER_MARK} if told.user == UNKNOWN_USER else set[str]()
    for name, quantity in _quantities(told):
        if quantity is None:
            marks.add(f"not_available:{name}")
        else:
            parts[name] = quantity
    return Reading(
        kind=KIND,
        parts=parts,
        taken=told.time.naive if told.time else None,
        raw_time=told.time.text if told.time and told.time.naive is None else None,
        slot=slot_of(told.user),
        marks=frozenset(marks),
        raw=data,
        pushed=True,
    )


def slot_of(user: int | None) -> str | None:
    """The user's slot; None where the scale doesn't know who it was."""
    return None if user in (None, UNKNOWN_USER) else str(user)


def _quantities(told: Weighing) -> Iterator[tuple[str, Quantity | None]]:
    # A weight of 0 is one that the scale shows; a BMI or height of 0 is one that it was never told (README).
    weight = mass(told.weight, imperial=told.imperial)
    yield "weight", None if told.weight == UNSUCCESSFUL else weight
    if told.bmi is not None:
        unknown = told.bmi in (0, UNSUCCESSFUL)
        yield "bmi", None if unknown else Quantity(Decimal(told.bmi).scaleb(-1), "kg/m2")
    if told.height is not None:
        unknown = told.height in (0, UNSUCCESSFUL)
        yield "height", None if unknown else stature(told.height, imperial=told.imperial)
