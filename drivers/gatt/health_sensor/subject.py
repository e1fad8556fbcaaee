"""What the health sensor brings to the conformance kit: a cuff and a glucose meter in one that speak this service, and samples. Pure; no check stands here."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from drivers.gatt.health_sensor.codec import Class, Layout, Observation, decode, encode, layout_of
from drivers.gatt.health_sensor.gathering import LIVE
from drivers.gatt.health_sensor.session import DRIVER
from drivers.gatt.health_sensor.sim import HealthSensor, HealthSensorPeer, Manners, observed
from drivers.gatt.health_sensor.terms import CONTROL_GLUCOSE
from drivers.gatt.health_sensor.values import ElapsedTime, time_of
from drivers.testing.subject import Act, DeviceClock
from gateway.sdk import Driver, Profile, Quantity, Read, Received, Refused, Subscribe, Write

MANNERS: Mapping[str, Manners] = {
    "": Manners(),
    "knows no combined report": Manners(combined=False),
    "knows no filter": Manners(filters=False),
    "patient of two octets": Manners(layout=Layout(patient_octets=2)),
    "length of the whole": Manners(layout=Layout(whole_length=True)),
    "tells its newest live too": Manners(live=True),
}
FACTS: Mapping[str, bytes] = {
    "serial_number": b"00000001\0",
    "model": b"GHS 1",
    "manufacturer": b"Virtual Sensors",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
}
_NOT_PERMITTED = 0x02


class HealthSensorSpecimen:
    """A sensor that stores all; one that tells its newest live does so until that is confirmed, as the profile says in doubt. It knows no time that is no moment: a clock that was lost is an earlier timeline."""

    def __init__(self, profile: Profile, clock: DeviceClock, manner: str) -> None:
        """Its memory is empty."""
        self._channels, self._clock = profile.channels, clock
        self._sensor = HealthSensor(MANNERS[manner])
        self._peer = self._at_rest()

    def speak(self) -> Iterable[Received]:
        """Nothing: it is asked."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What its model has."""
        if command.channel not in self._channels:
            yield Refused(0.0, command, _NOT_PERMITTED)
            return
        yield from self._peer.hear(command)

    def delivered(self, told: Received) -> None:
        """Upon its last segment the newest is told live no more; what is stored stays."""
        newest = self._sensor.unconfirmed
        if told.channel == LIVE and newest and told.data == [*self._sensor.live(newest)][-1]:
            self._sensor.unconfirmed = None

    def hung_up(self) -> None:
        """Subscriptions end with the link."""
        self._peer = self._at_rest()

    def measure(self, act: Act) -> None:
        """Raises ValueError for what has no code."""
        time = time_of(self._clock.shows(), act.offset)
        if act.raw_time is not None:
            time = ElapsedTime(0, time.steps)
        patient = None if act.slot is None else int(act.slot)
        kind = "glucose" if "value" in act.parts else "blood_pressure"
        told = observed(kind, act.parts, time, patient)
        self._sensor.store(_of_solution(told) if "control" in act.marks else told)

    def reset_battery(self) -> None:
        """Its memory is kept, and its numbers go on."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Records in its memory, and the one that waits to be told live."""
        return len(self._sensor.records) + (self._sensor.unconfirmed is not None)

    def _at_rest(self) -> HealthSensorPeer:
        return HealthSensorPeer(self._sensor, FACTS, lambda: time_of(self._clock.shows()))


class HealthSensorSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> HealthSensorSpecimen:
        """A sensor of one of MANNERS."""
        return HealthSensorSpecimen(profile, clock, manner)

    def sample(self, number: int, unit: str) -> Act:
        """Of two patients, a pressure or (in mg/dL) glucose; of pressures every third by a clock that shows UTC, with what is added to it for local time."""
        slot = f"{1 + number % 2}"
        if unit == "mg/dL":
            return Act({"value": Quantity(Decimal(90 + number), unit)}, slot=slot)
        shift = None if (number + 1) % 3 else timedelta(minutes=15 * (number % 25) - 180)
        told = {"systolic": 100 + number, "diastolic": 60 + number % 20, "pulse_rate": 50 + number}
        units = {"systolic": unit, "diastolic": unit, "pulse_rate": "/min"}
        digits = Decimal(1) if unit == "mmHg" else Decimal("0.1")
        return Act(
            {
                name: Quantity(
                    value * (digits if name != "pulse_rate" else Decimal(1)), units[name]
                )
                for name, value in told.items()
            },
            slot=slot,
            offset=shift,
        )

    def echo(self, raw: bytes) -> bytes:
        """One observation."""
        return encode(decode(raw), layout_of(raw))


def _of_solution(told: Observation) -> Observation:
    """The same number of control solution. Raises ValueError of a pressure."""
    if told.kind != Class.NUMERIC:
        raise ValueError("a cuff meets no control solution")
    numbers = tuple(replace(one, type=CONTROL_GLUCOSE) for one in told.numbers)
    return replace(told, type=CONTROL_GLUCOSE, numbers=numbers)


SUBJECT = HealthSensorSubject()
