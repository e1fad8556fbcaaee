"""What the body composition scale brings to the conformance kit. Pure; no check stands here.

Its frames say when and whose they are. Those that don't, and are joined with a weight, stand in captures and tests: what one of
their octets says is of two measurements.
"""

from decimal import Decimal

from drivers.gatt.body_composition.session import DRIVER
from drivers.gatt.subject import BONDED, Indicating, IndicatingSpecimen
from drivers.gatt.weight_scale.codec import decode_weighing, encode_weighing
from drivers.gatt.weight_scale.composition import decode_composition, encode_composition
from drivers.gatt.weight_scale.session import COMPOSITION
from drivers.gatt.weight_scale.sim import composition_frame
from drivers.gatt.weight_scale.subject import VALUES
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import Driver, PeerError, Profile, Quantity, StoredTime


class CompositionSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> IndicatingSpecimen:
        """A scale; `bonded` is the other manner."""
        kind = Indicating(COMPOSITION, _frame, VALUES)
        return IndicatingSpecimen(profile, clock, kind, bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Upwards; every third with all that there is, every other with a user, every tenth without body fat."""
        tenths = Decimal(number) / 10
        parts = {
            "body_fat": Quantity(Decimal("18.4") + tenths, "%"),
            "impedance": Quantity(Decimal("452.0") + tenths, "Ohm"),
        }
        if number % 3 == 1:
            tall = ("1.830", "m") if unit == "kg" else ("72.0", "in")
            parts |= {
                "basal_metabolism": Quantity(Decimal(6879 + number), "kJ/d"),
                "muscle": Quantity(Decimal("40.7"), "%"),
                "muscle_mass": Quantity(Decimal("32.55"), unit),
                "fat_free_mass": Quantity(Decimal("64.45"), unit),
                "soft_lean_mass": Quantity(Decimal("61.18"), unit),
                "body_water_mass": Quantity(Decimal("43.25"), unit),
                "weight": Quantity(Decimal("79.96"), unit),
                "height": Quantity(Decimal(tall[0]), tall[1]),
            }
        if number % 10 == 9:  # noqa: PLR2004 every tenth
            del parts["body_fat"]
        return Act(parts, slot=str(1 + number % 4) if number % 2 else None)

    def echo(self, raw: bytes) -> bytes:
        """One indication, or those that one measurement came in; a weight stands beside it in a visit."""
        try:
            weighed = encode_weighing(decode_weighing(raw))
        except PeerError:
            weighed = b""
        return raw if weighed == raw else _packets(raw)


def _packets(raw: bytes) -> bytes:
    again = b""
    while len(again) < len(raw):
        again += encode_composition(decode_composition(raw[len(again) :]))
    return again


def _frame(act: Act, time: StoredTime) -> bytes:
    return composition_frame(act.parts, time, slot=None if act.slot is None else int(act.slot))


SUBJECT = CompositionSubject()
