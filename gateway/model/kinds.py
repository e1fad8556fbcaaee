"""The kinds of measurement: their parts, and the one unit in which each part is stored. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# 1 kPa in mmHg, and the molar mass of glucose in g/mol: the constants of the shared code map (codes.json, UCUM).
MMHG_PER_KPA = Decimal("7.50062")
MGDL_PER_MMOLL = Decimal("18.0156")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of measurement: part name -> UCUM unit in which it is stored."""

    name: str
    parts: Mapping[str, str]


BLOOD_PRESSURE = Kind(
    "blood_pressure",
    {
        "systolic": "mm[Hg]",
        "diastolic": "mm[Hg]",
        "mean_arterial_pressure": "mm[Hg]",
        "pulse_rate": "/min",
    },
)
GLUCOSE = Kind("glucose", {"value": "mg/dL"})

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (BLOOD_PRESSURE, GLUCOSE)}

# (unit as a device names it, stored unit) -> factor. A factor of 1 is a respelling, not a conversion.
FACTORS: Mapping[tuple[str, str], Decimal] = {
    ("mmHg", "mm[Hg]"): Decimal(1),
    ("kPa", "mm[Hg]"): MMHG_PER_KPA,
    ("/min", "/min"): Decimal(1),
    ("mg/dL", "mg/dL"): Decimal(1),
    ("mmol/L", "mg/dL"): MGDL_PER_MMOLL,
    ("kg/L", "mg/dL"): Decimal(100_000),
    ("mol/L", "mg/dL"): MGDL_PER_MMOLL * 1000,
}
