"""What the weight scale brings to the conformance kit: a scale that forgets what was confirmed, and samples. Pure; no check stands here."""

from collections.abc import Mapping
from decimal import Decimal

from drivers.gatt.subject import BONDED, Indicating, IndicatingSpecimen
from drivers.gatt.weight_scale.codec import decode_weighing, encode_weighing
from drivers.gatt.weight_scale.session import COMPOSITION_FEATURE, DRIVER, WEIGHT, WEIGHT_FEATURE
from drivers.gatt.weight_scale.sim import frame
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import Driver, Profile, Quantity, StoredTime

VALUES: Mapping[str, bytes] = {
    "serial_number": b"5181200001\0",
    "model": b"UC-352BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"WSP001_201",
    "system_id": bytes.fromhex("debc9afeff563412"),
    WEIGHT_FEATURE: bytes.fromhex("2f000000"),
    COMPOSITION_FEATURE: bytes.fromhex("ff2f0000"),
}


class WeightSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> IndicatingSpecimen:
        """A scale; `bonded` is the other manner."""
        kind = Indicating(WEIGHT, _frame, VALUES)
        return IndicatingSpecimen(profile, clock, kind, bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Upwards by the display's steps; every third with BMI and height, every other with a user, every tenth not successful."""
        slot = str(1 + number % 4) if number % 2 else None
        if number % 10 == 9:  # noqa: PLR2004 every tenth
            return Act({}, slot=slot)
        shown = Decimal("61.70") + Decimal(number) * (
            Decimal("0.05") if unit == "kg" else Decimal("0.2")
        )
        parts = {"weight": Quantity(shown.quantize(Decimal("0.01")), unit)}
        if (number + 1) % 3 == 0:
            parts["bmi"] = Quantity(Decimal("24.1") + Decimal(number) / 10, "kg/m2")
            tall = ("1.665", "m") if unit == "kg" else ("65.5", "in")
            parts["height"] = Quantity(Decimal(tall[0]), tall[1])
        return Act(parts, slot=slot)

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_weighing(decode_weighing(raw))


def _frame(act: Act, time: StoredTime) -> bytes:
    return frame(act.parts, time, slot=None if act.slot is None else int(act.slot))


SUBJECT = WeightSubject()
