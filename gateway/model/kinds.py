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
M_PER_INCH = Decimal("0.0254")
# The thermochemical calorie, by which scales count.
KJ_PER_KCAL = Decimal("4.184")
DEGF_PER_CEL = Decimal("1.8")


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
BODY_WEIGHT = Kind("body_weight", {"weight": "kg", "bmi": "kg/m2", "height": "cm"})
BODY_COMPOSITION = Kind(
    "body_composition",
    {
        "body_fat": "%",
        "basal_metabolism": "kcal/d",
        "muscle": "%",
        "muscle_mass": "kg",
        "fat_free_mass": "kg",
        "soft_lean_mass": "kg",
        "body_water_mass": "kg",
        "impedance": "Ohm",
        "weight": "kg",
        "height": "cm",
    },
)
BODY_TEMPERATURE = Kind("body_temperature", {"temperature": "Cel"})
# `_lowest` and `_highest` stand in summaries of a stream only (docs/adr/0020).
PULSE_OXIMETRY = Kind(
    "pulse_oximetry",
    {
        "spo2": "%",
        "pulse_rate": "/min",
        "perfusion_index": "%",
        "spo2_lowest": "%",
        "spo2_highest": "%",
        "pulse_rate_lowest": "/min",
        "pulse_rate_highest": "/min",
    },
)
HEART_RATE = Kind(
    "heart_rate",
    {
        "heart_rate": "/min",
        "rr_interval": "ms",
        "heart_rate_lowest": "/min",
        "heart_rate_highest": "/min",
        "rr_interval_lowest": "ms",
        "rr_interval_highest": "ms",
        "sdrr": "ms",
    },
)
# Glucose of the interstitial fluid, which follows that of the blood by minutes: no blood glucose, and judged by rules of its own.
CONTINUOUS_GLUCOSE = Kind("continuous_glucose", {"value": "mg/dL", "trend": "mg/dL/min"})

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        BLOOD_PRESSURE,
        GLUCOSE,
        KETONE,
        BODY_WEIGHT,
        BODY_COMPOSITION,
        BODY_TEMPERATURE,
        PULSE_OXIMETRY,
        HEART_RATE,
        CONTINUOUS_GLUCOSE,
    )
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
    ("g", "kg"): Decimal("0.001"),
    ("kg/m2", "kg/m2"): Decimal(1),
    ("m", "cm"): Decimal(100),
    ("cm", "cm"): Decimal(1),
    ("in", "cm"): M_PER_INCH * 100,
    ("%", "%"): Decimal(1),
    ("Ohm", "Ohm"): Decimal(1),
    ("kJ/d", "kcal/d"): 1 / KJ_PER_KCAL,
    ("kcal/d", "kcal/d"): Decimal(1),
    ("ms", "ms"): Decimal(1),
    ("degC", "Cel"): Decimal(1),
    ("degF", "Cel"): 1 / DEGF_PER_CEL,
    ("mg/dL/min", "mg/dL/min"): Decimal(1),
}
# What a device shows where the stored unit has its zero, if that is not 0: taken off before the factor.
ZEROS: Mapping[tuple[str, str], Decimal] = {("degF", "Cel"): Decimal(32)}


def shown_as(stored: str) -> list[str]:
    """Units, as devices name them, that can become a stored one."""
    return sorted(shown for shown, becomes in FACTORS if becomes == stored)
