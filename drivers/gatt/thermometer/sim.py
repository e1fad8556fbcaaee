"""The thermometer's side: a measurement as the octets that it indicates. Pure."""

from collections.abc import Mapping

from drivers.gatt.thermometer.codec import KIND, PART, Measurement, Number, Unit, encode_measurement
from gateway.sdk import Limit, Quantity, Special, StoredTime

UNITS: Mapping[str, Unit] = {"degC": "degC", "degF": "degF"}
_SPECIALS: Mapping[Limit, Special] = {Limit.ABOVE: Special.ABOVE, Limit.BELOW: Special.BELOW}


def frame(
    parts: Mapping[str, Quantity | Limit],
    stored_time: StoredTime | None = None,
    *,
    site: int | None = None,
    display: Unit = "degC",
) -> bytes:
    """The 0x2A1C octets of a measurement; without a temperature it is sent as NaN. `display`: the unit of what has no number.

    Raises ValueError for a unit or number that the characteristic can't hold.
    """
    part = parts.get(PART)
    unit = UNITS.get(part.unit) if isinstance(part, Quantity) else display
    if unit is None:
        raise ValueError(f"{KIND} in {part}; degC or degF fit")
    return encode_measurement(Measurement(unit, _number(part), stored_time, site))


def _number(part: Quantity | Limit | None) -> Number:
    match part:
        case None:
            return Special.NAN
        case Limit():
            return _SPECIALS[part]
        case Quantity(number):
            return number
