"""Which virtual devices there are, and what each measures when. Pure and seeded: no clock, no I/O."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from random import Random
from typing import Literal

from drivers.sim.truth import AlertDue
from gateway.model.quantity import Limit, Quantity

Kind = Literal[
    "blood_pressure",
    "glucose",
    "body_weight",
    "body_temperature",
    "pulse_oximetry",
    "heart_rate",
]
Rule = Literal["BP-CRISIS", "GLU-L2"]
Security = Literal["none", "just_works", "passkey"]

EVERY_S_MIN = 2.0
"""Devices store whole seconds, and each measurement of one device has a second of its own."""

_SYSTOLIC = range(100, 140)
_DIASTOLIC = range(60, 85)
_PULSE = range(55, 96)
_GLUCOSE = range(70, 250)
_WEIGHT = range(1000, 2200)  # twentieths of a kilogram, as scales show them

# Steps without a common divisor with the number of combinations, so that none comes twice before all came once.
_PRESSURE_STEP = 7919
_GLUCOSE_STEP = 77
_WEIGHT_STEP = 389
_SATURATION = range(94, 100)
_RATE = range(52, 131)
_SATURATION_STEP = 37
_RATE_STEP = 31
_TEMPERATURE = range(355, 375)  # tenths of a degree
_TEMPERATURE_STEP = 7


@dataclass(frozen=True, slots=True)
class Due:
    """What a measurement raises: the rules that it crosses by itself, and the alert that it completes, if any."""

    flags: tuple[Rule, ...] = ()
    alert: AlertDue | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One act of measurement. `at_s`: seconds after the ward's start; below 0 it lies in the device's memory."""

    at_s: float
    parts: Mapping[str, Quantity | Limit]
    marks: frozenset[str] = frozenset()
    due: Due = Due()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Normal measurements without end, all different as long as the kind allows; `seed` decides the values."""

    first_s: float
    every_s: float
    seed: str


@dataclass(frozen=True, slots=True)
class ClockPlan:
    """The device's clock at the start: `offset_s` ahead of local time; `dead`: stands at the reset epoch for ever."""

    offset_s: int = 0
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """One device and the person who wears it. `place`: address of what is on the air, port's name of what hangs on a cable.

    `acts` are told oldest first; `rhythm` goes on after them. `hangs_up`: ends its first transfer in the middle.
    `security`: how it wants to be paired before it tells anything.
    `story` says in a line what it is there to show.
    """

    serial: str
    maker: str
    model: str
    firmware: str
    profile: str
    kind: Kind
    place: str
    story: str
    acts: tuple[Act, ...] = ()
    rhythm: Rhythm | None = None
    clock: ClockPlan = ClockPlan()
    hangs_up: bool = False
    security: Security = "none"

    @property
    def history(self) -> tuple[Act, ...]:
        """What it measured before the ward began, oldest first."""
        return tuple(act for act in self.acts if act.at_s < 0)


def coming(device: Device) -> Iterator[Act]:
    """What the device will measure from the start on, in order; without end where it has a rhythm."""
    scripted = (act for act in device.acts if act.at_s >= 0)
    steady = _steady(device.kind, device.rhythm) if device.rhythm else iter(())
    return heapq.merge(scripted, steady, key=lambda act: act.at_s)


def _steady(kind: Kind, rhythm: Rhythm) -> Iterator[Act]:
    values = normal_values(kind, rhythm.seed)
    for turn, parts in zip(count(), values, strict=False):
        yield Act(rhythm.first_s + turn * rhythm.every_s, parts)


def normal_values(kind: Kind, seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    """Normal measurements without end: 41,000 different ones of a cuff, 180 of a meter, 1,200 of a scale, 20 of a thermometer, then the same again."""
    match kind:
        case "blood_pressure":
            return _normal_pressures(seed)
        case "glucose":
            return _normal_glucose(seed)
        case "body_weight":
            return _normal_weights(seed)
        case "pulse_oximetry":
            return _normal_saturations(seed)
        case "heart_rate":
            return _normal_rates(seed)
        case "body_temperature":
            return _normal_temperatures(seed)


def _normal_pressures(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    variety = len(_SYSTOLIC) * len(_DIASTOLIC) * len(_PULSE)
    first = Random(seed).randrange(variety)  # noqa: S311 reproducible on purpose
    for turn in count():
        rest, systolic = divmod((first + turn * _PRESSURE_STEP) % variety, len(_SYSTOLIC))
        pulse, diastolic = divmod(rest, len(_DIASTOLIC))
        yield pressure(_SYSTOLIC[systolic], _DIASTOLIC[diastolic], _PULSE[pulse])


def _normal_glucose(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    first = Random(seed).randrange(len(_GLUCOSE))  # noqa: S311 reproducible on purpose
    for turn in count():
        yield glucose(_GLUCOSE[(first + turn * _GLUCOSE_STEP) % len(_GLUCOSE)])


def _normal_weights(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    first = Random(seed).randrange(len(_WEIGHT))  # noqa: S311 reproducible on purpose
    for turn in count():
        steps = _WEIGHT[(first + turn * _WEIGHT_STEP) % len(_WEIGHT)]
        yield weight(f"{Decimal(5 * steps).scaleb(-2)}", "kg")


def _normal_saturations(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    variety = len(_SATURATION) * len(_PULSE)
    first = Random(seed).randrange(variety)  # noqa: S311 reproducible on purpose
    for turn in count():
        spo2, pulse = divmod((first + turn * _SATURATION_STEP) % variety, len(_PULSE))
        yield saturation(_SATURATION[spo2], _PULSE[pulse])


def _normal_rates(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    first = Random(seed).randrange(len(_RATE))  # noqa: S311 reproducible on purpose
    for turn in count():
        yield heart_rate(_RATE[(first + turn * _RATE_STEP) % len(_RATE)])


def _normal_temperatures(seed: str) -> Iterator[Mapping[str, Quantity | Limit]]:
    first = Random(seed).randrange(len(_TEMPERATURE))  # noqa: S311 reproducible on purpose
    for turn in count():
        tenths = _TEMPERATURE[(first + turn * _TEMPERATURE_STEP) % len(_TEMPERATURE)]
        yield temperature(f"{Decimal(tenths).scaleb(-1)}", "degC")


def pressure(systolic: int, diastolic: int, pulse: int) -> Mapping[str, Quantity | Limit]:
    """What a cuff shows in mmHg; the mean is diastolic plus a third of the difference, as cuffs estimate it."""
    mean = diastolic + (systolic - diastolic) // 3
    return {
        "systolic": Quantity(Decimal(systolic), "mmHg"),
        "diastolic": Quantity(Decimal(diastolic), "mmHg"),
        "mean_arterial_pressure": Quantity(Decimal(mean), "mmHg"),
        "pulse_rate": Quantity(Decimal(pulse), "/min"),
    }


def kilopascals(
    systolic: str, diastolic: str, mean: str, pulse: int
) -> Mapping[str, Quantity | Limit]:
    """What a cuff shows that is set to kPa: one decimal."""
    return {
        "systolic": Quantity(Decimal(systolic), "kPa"),
        "diastolic": Quantity(Decimal(diastolic), "kPa"),
        "mean_arterial_pressure": Quantity(Decimal(mean), "kPa"),
        "pulse_rate": Quantity(Decimal(pulse), "/min"),
    }


def glucose(milligrams: int | Limit) -> Mapping[str, Quantity | Limit]:
    """What a meter shows: mg/dL, or LO and HI."""
    if isinstance(milligrams, Limit):
        return {"value": milligrams}
    return {"value": Quantity(Decimal(milligrams), "mg/dL")}


def millimoles(shown: str) -> Mapping[str, Quantity | Limit]:
    """What a meter shows that is set to mmol/L: one decimal."""
    return {"value": Quantity(Decimal(shown), "mmol/L")}


def weight(shown: str, unit: str) -> Mapping[str, Quantity | Limit]:
    """What a scale shows, in `kg`, `lb` or `jin`."""
    return {"weight": Quantity(Decimal(shown), unit)}


def saturation(spo2: int, pulse: int) -> Mapping[str, Quantity | Limit]:
    """What an oximeter shows of a spot check."""
    return {
        "spo2": Quantity(Decimal(spo2), "%"),
        "pulse_rate": Quantity(Decimal(pulse), "/min"),
    }


def heart_rate(rate: int) -> Mapping[str, Quantity | Limit]:
    """What is told of a strap that was worn for some seconds at an even rate: a summary (docs/adr/0020)."""
    even = Quantity(Decimal(rate), "/min")
    return dict.fromkeys(("heart_rate", "heart_rate_lowest", "heart_rate_highest"), even)


def temperature(shown: str, unit: str) -> Mapping[str, Quantity | Limit]:
    """What a thermometer shows, in `degC` or `degF`."""
    return {"temperature": Quantity(Decimal(shown), unit)}
