"""What the cuff brings to the conformance kit: a cuff on a radio that confirms, and samples. Pure; no check stands here."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from drivers.gatt.blood_pressure.codec import (
    Measurement,
    decode_measurement,
    encode_measurement,
)
from drivers.gatt.blood_pressure.session import DRIVER, MEASUREMENT
from drivers.gatt.blood_pressure.sim import measured
from drivers.gatt.subject import BONDED, Indicating, IndicatingSpecimen
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import Driver, Profile, Quantity, StoredTime

FACTS: Mapping[str, bytes] = {
    "serial_number": b"5181100001\0",
    "model": b"UA-651BLE",
    "manufacturer": b"A&D Medical",
    "firmware": b"BLP009_001",
    "system_id": bytes.fromhex("debc9afeff563412"),
    "battery": b"\x42",
}


def cuff(encode: Callable[[Measurement], bytes]) -> Indicating:
    """A cuff by the frames that it sends."""

    def frame(act: Act, time: StoredTime) -> bytes:
        slot = None if act.slot is None else int(act.slot)
        return encode(measured(act.parts, time, slot=slot, marks=act.marks))

    return Indicating(MEASUREMENT, frame, FACTS)


class CuffSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> IndicatingSpecimen:
        """A cuff; `bonded` is the other manner."""
        return IndicatingSpecimen(profile, clock, cuff(encode_measurement), bonded=manner == BONDED)

    def sample(self, number: int, unit: str) -> Act:
        """Every third without a pulse, every fourth without a mean, every other with a user, every fifth with a mark."""
        step = Decimal(1) if unit == "mmHg" else Decimal("0.1")
        pressures = {"systolic": 100 + number, "diastolic": 50 + number // 2}
        if (number + 1) % 4:
            pressures["mean_arterial_pressure"] = 70 + number // 2
        parts = {name: Quantity(shown * step, unit) for name, shown in pressures.items()}
        if (number + 1) % 3:
            parts["pulse_rate"] = Quantity(Decimal(60 + number % 40), "/min")
        marks = frozenset(() if (number + 1) % 5 else {"irregular_pulse"})
        return Act(parts, marks, slot=str(1 + number % 3) if number % 2 else None)

    def echo(self, raw: bytes) -> bytes:
        """One indication."""
        return encode_measurement(decode_measurement(raw))


SUBJECT = CuffSubject()
