"""What Beurer's cuff brings to the conformance kit: a cuff with its frames, and samples. Pure; no check stands here."""

from dataclasses import replace
from decimal import Decimal

from drivers.gatt.blood_pressure.codec import Measurement
from drivers.gatt.blood_pressure.subject import cuff
from drivers.gatt.subject import BONDED, IndicatingSpecimen
from drivers.testing.subject import Act, DeviceClock
from drivers.vendor.beurer_bm.codec import encode_again, encode_frame, without_mean
from drivers.vendor.beurer_bm.session import DRIVER
from gateway.sdk import Driver, Profile, Quantity


def _encode(told: Measurement) -> bytes:
    # The user in front of the cuff is always one of its two; a status is always sent.
    return encode_frame(replace(without_mean(told), status=told.status or 0))


class BmSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> IndicatingSpecimen:
        """A cuff that forgets what the radio has confirmed; `bonded` is the other manner."""
        return IndicatingSpecimen(profile, clock, cuff(_encode), bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Two users by turns; every fifth with an irregular pulse, every seventh without its rate."""
        step = Decimal(1) if unit == "mmHg" else Decimal("0.1")
        pressures = {"systolic": 100 + number, "diastolic": 50 + number // 2}
        parts = {name: Quantity(shown * step, unit) for name, shown in pressures.items()}
        if number % 7 != 6:  # noqa: PLR2004 every seventh
            parts["pulse_rate"] = Quantity(Decimal(60 + number % 40), "/min")
        marks = frozenset(() if (number + 1) % 5 else {"irregular_pulse"})
        return Act(parts, marks, slot=str(number % 2))

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_again(raw)


SUBJECT = BmSubject()
