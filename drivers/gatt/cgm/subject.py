"""What the glucose sensor brings to the conformance kit: a sensor that keeps its memory, and samples. Pure; no check stands here."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from drivers.gatt.cgm.codec import Start, decode_record, encode_record, encode_start, octets_of
from drivers.gatt.cgm.readings import PART, TREND
from drivers.gatt.cgm.session import DRIVER, FEATURE, RUN_TIME, START, STATUS
from drivers.gatt.cgm.sim import NEVER, PLAIN, SEALED, Manners, Sensor, SensorPeer, measured
from drivers.gatt.cgm.transfer import MEASUREMENT
from drivers.gatt.clocks import stored
from drivers.gatt.e2e_crc import OCTETS, sealed
from drivers.testing.subject import BEGINNING, Act, DeviceClock
from gateway.sdk import (
    Driver,
    Profile,
    Quantity,
    Read,
    Received,
    Refused,
    Subscribe,
    Write,
)

NO_CRC = "without CRC"
MANNERS: Mapping[str, Manners] = {
    "": Manners(),
    NO_CRC: Manners(),
    "knows no filter": Manners(filters=False),
    "counts nothing": Manners(counts=False),
    "several records in a packet": Manners(packs=True),
    "tells its newest unasked": Manners(tells=True),
}
FACTS: Mapping[str, bytes] = {
    "serial_number": b"00000001\0",
    "model": b"CGM 1",
    "manufacturer": b"Virtual Sensors",
    "firmware": b"1.0",
    "system_id": bytes.fromhex("debc9afeff563412"),
}
CHECKED = frozenset((MEASUREMENT, FEATURE, STATUS, START, RUN_TIME))
_UTC_PLUS_ONE = 4
_NOT_PERMITTED = 0x02


class SensorSpecimen:
    """A sensor and the phone that gave it the session's start, whose clock is the kit's.

    Without its battery it begins a new session, of which no start is known until the phone's clock is right again.
    """

    def __init__(self, profile: Profile, clock: DeviceClock, manner: str) -> None:
        """In a session that began with this minute, with no record yet: so that its minutes are those of the clock."""
        self._channels, self._clock, self._manners = profile.channels, clock, MANNERS[manner]
        self._sensor = Sensor(PLAIN if manner == NO_CRC else SEALED)
        shown = clock.shows()
        began = Start(stored(shown.replace(second=0)), _UTC_PLUS_ONE, 0)
        self._sensor.begin(clock.counts_s() - shown.second, began)
        self._dead_s = 0.0
        self._peer = self._at_rest()

    def speak(self) -> Iterable[Received]:
        """Nothing: it is asked, or subscribed to."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received | Refused]:
        """What its model has."""
        if command.channel not in self._channels:
            yield Refused(0.0, command, _NOT_PERMITTED)
            return
        yield from self._peer.hear(command)

    def delivered(self, told: Received) -> None:
        """Nothing: it keeps what it told."""

    def hung_up(self) -> None:
        """Subscriptions end with the link."""
        self._peer = self._at_rest()

    def measure(self, act: Act) -> None:
        """A record has no time but its minute, so that `raw_time` is never asked for."""
        if self._sensor.start == NEVER and self._ahead_s() != self._dead_s:
            told = Start(stored(self._clock.shows()), _UTC_PLUS_ONE, 0)
            octets = encode_start(told, e2e=self._sensor.feature.e2e)
            self._sensor.write_start(octets, self._clock.counts_s())
        self._sensor.store(self._clock.counts_s(), measured(act.parts, act.marks))

    def reset_battery(self) -> None:
        """A new session: its records are gone, and its minutes count from 0."""
        self._clock.reset()
        self._sensor.begin(self._clock.counts_s())
        self._dead_s = self._ahead_s()

    @property
    def remembered(self) -> int:
        """Records in its memory."""
        return len(self._sensor.records)

    def _ahead_s(self) -> int:
        shown = self._clock.shows() - timedelta(seconds=self._clock.counts_s())
        return round((shown - BEGINNING).total_seconds())

    def _at_rest(self) -> SensorPeer:
        return SensorPeer(self._sensor, FACTS, self._clock.counts_s, self._manners)


class SensorSubject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, profile: Profile, clock: DeviceClock, manner: str) -> SensorSpecimen:
        """A sensor of one of MANNERS."""
        return SensorSpecimen(profile, clock, manner)

    def sample(self, number: int, unit: str) -> Act:
        """Every fifth asks to be calibrated, every seventh has no value."""
        trend = Quantity(Decimal(number - 50) / 10, "mg/dL/min")
        marks = frozenset(() if (number + 1) % 5 else {"calibration_required"})
        shown = {PART: Quantity(Decimal(60 + number), unit), TREND: trend}
        if number % 7 == 6:  # noqa: PLR2004 every seventh
            del shown[PART]
        return Act(shown, marks)

    def echo(self, raw: bytes) -> bytes:
        """One record, with the CRC that it came with."""
        told = decode_record(raw)
        return encode_record(told, e2e=len(encode_record(told, e2e=False)) + OCTETS == len(raw))

    def sealed(self, channel: str, data: bytes) -> bytes:
        """The CRC behind each value that has one; a record also as long as its flags say."""
        if channel not in CHECKED or len(data) <= OCTETS:
            return data
        if channel != MEASUREMENT:
            return sealed(data[:-OCTETS])
        size = octets_of(data[1])
        record = sealed(bytes((size + OCTETS,)) + data[1:size].ljust(size - 1, b"\0"))
        return record + self.sealed(channel, data[size + OCTETS :])


SUBJECT = SensorSubject()
