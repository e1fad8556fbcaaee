"""Body Composition Measurement 0x2A9C and Feature 0x2A9B, both ways. Pure; tables and sources: ../body_composition/README.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from drivers.gatt.clocks import encode_stored_time
from drivers.gatt.weight_scale.codec import (
    UNKNOWN_USER,
    UNKNOWN_USER_MARK,
    UNSUCCESSFUL,
    mass,
    mass_steps,
    resolutions,
    slot_of,
    stature,
    stature_steps,
    steps,
)
from gateway.sdk import Fields, Limit, Quantity, Reading, StoredTime

KIND = "body_composition"
BODY_FAT = "body_fat"

_IMPERIAL, _TIME, _USER, _SEVERAL = 0x0001, 0x0002, 0x0004, 0x1000
# Each two octets, in this order behind the user.
FIELDS: Mapping[str, int] = {
    "basal_metabolism": 0x0008,
    "muscle": 0x0010,
    "muscle_mass": 0x0020,
    "fat_free_mass": 0x0040,
    "soft_lean_mass": 0x0080,
    "body_water_mass": 0x0100,
    "impedance": 0x0200,
    "weight": 0x0400,
    "height": 0x0800,
}
_TENTHS: Mapping[str, str] = {BODY_FAT: "%", "muscle": "%", "impedance": "Ohm"}
_NO_VALUE = frozenset({0, UNSUCCESSFUL})
# Of what the scale was told of its user, not of a measurement: they stand also in a stub.
_NOT_MEASURED = frozenset({"basal_metabolism", "height"})


@dataclass(frozen=True, slots=True)
class Composition:
    """The fields of 0x2A9C as they stand, in steps of the field; `fields` holds those that the flags announce.

    `several`: the measurement has more than one packet, of which this is one.
    """

    imperial: bool
    body_fat: int
    time: StoredTime | None = None
    user: int | None = None
    fields: Mapping[str, int] = field(default_factory=dict[str, int])
    several: bool = False

    @property
    def values(self) -> Mapping[str, int]:
        """All that was measured, by part."""
        return {BODY_FAT: self.body_fat, **self.fields}

    @property
    def empty(self) -> bool:
        """A frame of zeros stands where nothing was measured (README, "Stubs")."""
        measured = {raw for name, raw in self.values.items() if name not in _NOT_MEASURED}
        return 0 in measured and measured <= {0, UNSUCCESSFUL}


def decode_composition(data: bytes) -> Composition:
    """Read 0x2A9C. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u16("flags")
    return Composition(
        imperial=bool(flags & _IMPERIAL),
        body_fat=fields.u16("body fat"),
        time=fields.date_time("time stamp") if flags & _TIME else None,
        user=fields.u8("user id") if flags & _USER else None,
        fields={name: fields.u16(name) for name, bit in FIELDS.items() if flags & bit},
        several=bool(flags & _SEVERAL),
    )


def encode_composition(told: Composition) -> bytes:
    """Write 0x2A9C."""
    flags, head = _IMPERIAL * told.imperial | _SEVERAL * told.several, b""
    if told.time is not None:
        flags, head = flags | _TIME, head + encode_stored_time(told.time)
    if told.user is not None:
        flags, head = flags | _USER, head + bytes((told.user,))
    for name, bit in FIELDS.items():
        if name in told.fields:
            flags, head = flags | bit, head + told.fields[name].to_bytes(2, "little")
    return flags.to_bytes(2, "little") + told.body_fat.to_bytes(2, "little") + head


def decode_resolution(data: bytes) -> dict[str, str]:
    """0x2A9B: the resolutions that the scale states. Raises PeerError."""
    return resolutions(int.from_bytes(Fields(data).take(4, "feature"), "little"), weight_bit=11)


def belong_together(one: Composition, other: Composition) -> bool:
    """Whether two packets are of one measurement: time and user are those of the first, and no field contradicts it.

    Body fat stands in each packet, also in one that has no value for it: that contradicts none.
    """
    told = one.values
    return (
        one.imperial == other.imperial
        and other.time in (None, one.time)
        and other.user in (None, one.user)
        and all(_agree(told.get(name, value), value) for name, value in other.values.items())
    )


def merged(packets: Sequence[Composition]) -> Composition:
    """One measurement of the packets that belong together."""
    values: dict[str, int] = {}
    for name, value in (told for packet in packets for told in packet.values.items()):
        if values.get(name, 0) in _NO_VALUE:
            values[name] = value
    return replace(packets[0], body_fat=values.pop(BODY_FAT), fields=values)


def _agree(one: int, other: int) -> bool:
    return one == other or not _NO_VALUE.isdisjoint((one, other))


def reading(told: Composition, data: bytes) -> Reading:
    """One measurement as a reading; `data` is what it was decoded from."""
    parts: dict[str, Quantity | Limit] = {}
    marks = {UNKNOWN_USER_MARK} if told.user == UNKNOWN_USER else set[str]()
    for name, raw in told.values.items():
        if raw in (0, UNSUCCESSFUL):
            # None of these can be 0 in a living body (README, "Stubs").
            marks.add(f"not_available:{name}")
        else:
            parts[name] = _quantity(name, raw, imperial=told.imperial)
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


def raw_values(parts: Mapping[str, Quantity]) -> Iterator[tuple[str, int]]:
    """The fields that show these parts. Raises ValueError where one doesn't fit exactly."""
    for name, part in parts.items():
        if name in _TENTHS:
            yield name, steps(part, 10)
        elif name == "basal_metabolism":
            yield name, steps(part, 1)
        elif name == "height":
            yield name, stature_steps(part)
        else:
            yield name, mass_steps(part)


def _quantity(name: str, raw: int, *, imperial: bool) -> Quantity:
    if name in _TENTHS:
        return Quantity(Decimal(raw).scaleb(-1), _TENTHS[name])
    if name == "basal_metabolism":
        return Quantity(Decimal(raw), "kJ/d")
    if name == "height":
        return stature(raw, imperial=imperial)
    return mass(raw, imperial=imperial)
