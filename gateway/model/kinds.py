"""The kinds of measurement: their parts, and the one unit in which each part is stored. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# 1 kPa in mmHg, and the molar mass of glucose in g/mol: the constants of the shared code map (codes.json, UCUM).
MMHG_PER_KPA = Decimal("7.50062")
MGDL_PER_MMOLL = Decimal("18.0156")
# Exact by definition: the international avoirdupois pound (1959), and the jin (市斤, market catty) of mainland China.
KG_PER_LB = Decimal("0.45359237")
KG_PER_JIN = Decimal("0.5")


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
# Beta-hydroxybutyrate, which meters show in mmol/L; it has another molar mass than glucose, so nothing converts it to mg/dL.
KETONE = Kind("ketone", {"value": "mmol/L"})
BODY_WEIGHT = Kind("body_weight", {"weight": "kg"})

KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (BLOOD_PRESSURE, GLUCOSE, KETONE, BODY_WEIGHT)
}

# (unit as a device names it, stored unit) -> factor. A factor of 1 is a respelling, not a conversion.
FACTORS: Mapping[tuple[str, str], Decimal] = {
    ("mmHg", "mm[Hg]"): Decimal(1),
    ("kPa", "mm[Hg]"): MMHG_PER_KPA,
    ("/min", "/min"): Decimal(1),
    ("mg/dL", "mg/dL"): Decimal(1),
    ("mmol/L", "mmol/L"): Decimal(1),
    ("mmol/L", "mg/dL"): MGDL_PER_MMOLL,
    ("kg/L", "mg/dL"): Decimal(100_000),
    ("mol/L", "mg/dL"): MGDL_PER_MMOLL * 1000,
    ("kg", "kg"): Decimal(1),
    ("lb", "kg"): KG_PER_LB,
    ("jin", "kg"): KG_PER_JIN,
}
