"""The scale's side: weighings and body compositions as the octets that it indicates. Pure."""

from collections.abc import Mapping

from drivers.gatt.weight_scale.codec import (
    KIND,
    UNKNOWN_USER,
    UNSUCCESSFUL,
    Weighing,
    encode_weighing,
    mass_steps,
    stature_steps,
    steps,
)
from drivers.gatt.weight_scale.composition import (
    BODY_FAT,
    Composition,
    encode_composition,
    raw_values,
)
from gateway.sdk import Limit, Quantity, StoredTime

_IMPERIAL = {"lb", "in"}
_METRIC = {"kg", "m"}


def frame(
    parts: Mapping[str, Quantity | Limit],
    stored_time: StoredTime | None = None,
    *,
    slot: int | None = None,
) -> bytes:
    """The 0x2A9D octets of a weighing; one without a weight was not successful.

    Raises ValueError for a limit, unit or number that the characteristic can't hold.
    """
    shown = _numbers(parts)
    if unknown := shown.keys() - {"weight", "bmi", "height"}:
        raise ValueError(f"{KIND} has no {', '.join(sorted(unknown))}")
    bmi, height = shown.get("bmi"), shown.get("height")
    return encode_weighing(
        Weighing(
            imperial=_is_imperial(shown),
            weight=mass_steps(shown["weight"]) if "weight" in shown else UNSUCCESSFUL,
            time=stored_time,
            user=_user(slot),
            bmi=None if bmi is None else steps(bmi, 10),
            height=None if height is None else stature_steps(height),
        )
    )


def composition_frame(
    parts: Mapping[str, Quantity | Limit],
    stored_time: StoredTime | None = None,
    *,
    slot: int | None = None,
) -> bytes:
    """The 0x2A9C octets of a body composition; without body fat it was not successful. Raises ValueError, also for 0: that is no measurement."""
    shown = _numbers(parts)
    values = dict(raw_values(shown))
    if stubs := sorted(name for name, raw in values.items() if not raw):
        raise ValueError(f"{', '.join(stubs)} of 0: what was not measured stands so")
    return encode_composition(
        Composition(
            imperial=_is_imperial(shown),
            body_fat=values.pop(BODY_FAT, UNSUCCESSFUL),
            time=stored_time,
            user=_user(slot),
            fields=values,
        )
    )


def _numbers(parts: Mapping[str, Quantity | Limit]) -> dict[str, Quantity]:
    shown = {name: part for name, part in parts.items() if isinstance(part, Quantity)}
    if len(shown) < len(parts):
        raise ValueError("a scale has no LO and no HI")
    return shown


def _is_imperial(shown: Mapping[str, Quantity]) -> bool:
    units = {part.unit for part in shown.values()} & (_IMPERIAL | _METRIC)
    if units & _IMPERIAL and units & _METRIC:
        raise ValueError(f"{sorted(units)} in one frame; kg and m, or lb and in")
    return bool(units & _IMPERIAL)


def _user(slot: int | None) -> int | None:
    if slot is not None and not 0 <= slot <= UNKNOWN_USER:
        raise ValueError(f"user {slot}; 0 to {UNKNOWN_USER} fit")
    return slot
