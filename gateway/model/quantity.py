"""Numbers with units, and what lies beyond a device's range. Pure; nothing here rounds."""

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class Limit(Enum):
    """What a device shows instead of a number when the value lies outside its range: LO or HI."""

    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with the digits that the device displayed (`36.50` stays `36.50`), and its unit as the device names it."""

    number: Decimal
    unit: str
