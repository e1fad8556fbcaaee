"""What truly happened to each measurement of a world, beside what the product makes of it. No product code decides here."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random

from gateway.model.quantity import Limit, Quantity

Parts = dict[str, Quantity | Limit]
LOW_TRIES = 50
SYSTOLIC_CRISIS, DIASTOLIC_CRISIS, GLUCOSE_LOW = 180, 120, 54


@dataclass(eq=False)
class Measurement:
    """One act of measurement. `taken` is what the device stored; values are unlike those of any other of its device.

    `told`: how often a device said it to an agent that listened. `forgotten`: the device holds it no more, because of us.
    `excused`: why its loss is allowed, in words.
    """

    name: str
    serial: str
    kind: str
    at: datetime
    at_s: float
    taken: datetime
    dated: bool
    parts: Parts
    control: bool = False
    told: int = 0
    forgotten: bool = False
    excused: str = ""

    @property
    def signature(self) -> tuple[object, ...]:
        """By its values alone: whatever stands in the stores is compared by them."""
        return signature(self.kind, {name: _told(part) for name, part in self.parts.items()})

    @property
    def crosses(self) -> str | None:
        """The rule whose limit it crosses."""
        if self.control:
            return None
        if self.kind == "glucose":
            value = self.parts["value"]
            low = value is Limit.BELOW if isinstance(value, Limit) else value.number < GLUCOSE_LOW
            return "GLU-L2" if low else None
        systolic, diastolic = self.parts["systolic"], self.parts["diastolic"]
        assert isinstance(systolic, Quantity)
        assert isinstance(diastolic, Quantity)
        crisis = systolic.number >= SYSTOLIC_CRISIS or diastolic.number >= DIASTOLIC_CRISIS
        return "BP-CRISIS" if crisis else None


def signature(kind: str, parts: dict[str, str]) -> tuple[object, ...]:
    """Kind and the device's digits."""
    return (kind, *sorted(parts.items()))


def _told(part: Quantity | Limit) -> str:
    return part.value if isinstance(part, Limit) else f"{part.number}"


class Values:
    """Values for one device: no two of its measurements are alike."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._used: set[tuple[object, ...]] = set()

    def pressure(self, *, crisis: bool) -> Parts:
        """A cuff's; `crisis`: in the range that must page."""
        while True:
            systolic = self._rng.randint(180, 240) if crisis else self._rng.randint(95, 178)
            diastolic = self._rng.randint(60, 90)
            parts: Parts = {
                "systolic": Quantity(Decimal(systolic), "mmHg"),
                "diastolic": Quantity(Decimal(diastolic), "mmHg"),
                "mean_arterial_pressure": Quantity(
                    Decimal(diastolic + (systolic - diastolic) // 3), "mmHg"
                ),
                "pulse_rate": Quantity(Decimal(self._rng.randint(45, 120)), "/min"),
            }
            if self._is_new("blood_pressure", parts):
                return parts

    def glucose(self, *, low: bool) -> Parts:
        """A meter's in mg/dL; `low`: below level 2, as long as there are such values left."""
        for _ in range(LOW_TRIES):
            number = self._rng.randint(20, 53) if low else self._rng.randint(54, 600)
            parts: Parts = {"value": Quantity(Decimal(number), "mg/dL")}
            if low and self._rng.random() < 0.1:
                parts = {"value": Limit.BELOW}
            if self._is_new("glucose", parts):
                return parts
        return self.glucose(low=False)

    def _is_new(self, kind: str, parts: Parts) -> bool:
        made = signature(kind, {name: _told(part) for name, part in parts.items()})
        if made in self._used:
            return False
        self._used.add(made)
        return True


class Trace:
    """What happened, line by line: its hash tells two runs of one seed apart, its end is shown where one fails."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: Counter[str] = Counter()

    def note(self, at_s: float, who: str, what: str) -> None:
        """One line."""
        self.lines.append(f"{at_s:12.4f} {who:<10} {what}")
        self.counts[what.partition(" ")[0]] += 1
