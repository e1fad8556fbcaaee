"""What the thermometer brings to the conformance kit: one that forgets what was confirmed, and samples. Pure; no check stands here."""

from collections.abc import Mapping
from decimal import Decimal

from drivers.gatt.subject import BONDED, Indicating, IndicatingSpecimen
from drivers.gatt.thermometer.codec import PART, decode_measurement, encode_measurement
from drivers.gatt.thermometer.session import DRIVER, INTERMEDIATE, INTERVAL, MEASUREMENT, SITE
from drivers.gatt.thermometer.sim import frame
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import Driver, Profile, Quantity, StoredTime

MEASURING = "measuring"
"""It shows the temperature that is rising before each that it tells."""

VALUES: Mapping[str, bytes] = {
    "serial_number": b"2010500001\0",
    "model": b"UT-201BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"HTP008_134",
    "system_id": bytes.fromhex("debc9afeff563412"),
    SITE: b"\x01",
    INTERVAL: b"\x00\x00",
}
_RISING = frame({PART: Quantity(Decimal("35.2"), "degC")})


def _frame(act: Act, time: StoredTime) -> bytes:
    return frame(act.parts, time, site=6)


class ThermometerSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> IndicatingSpecimen:
        """A thermometer; `bonded` and `measuring` are the other manners."""
        ahead = _RISING if manner == MEASURING else None
        kind = Indicating(MEASUREMENT, _frame, VALUES, INTERMEDIATE, ahead)
        return IndicatingSpecimen(profile, clock, kind, bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Tenths of a degree upwards; every third with two decimals, every tenth without a temperature."""
        if number % 10 == 9:  # noqa: PLR2004 every tenth
            return Act({})
        first = Decimal("35.0") if unit == "degC" else Decimal("95.0")
        shown = first + Decimal(number) / 10
        return Act({PART: Quantity(shown if number % 3 else shown.quantize(Decimal("0.01")), unit)})

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_measurement(decode_measurement(raw))


SUBJECT = ThermometerSubject()
