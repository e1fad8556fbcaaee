"""The cuff's side: its memory and clock as octets for a simulated radio. Pure: the one who asks brings the time."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from drivers.gatt.blood_pressure.codec import (
    KIND,
    PULSE_RANGE_MARKS,
    STATUS_MARKS,
    UNKNOWN_USER,
    Measurement,
    Number,
    encode_measurement,
)
from drivers.gatt.clocks import (
    CLOCK_ADJUSTED_BY_HAND,
    decode_current_time,
    decode_date_time,
    encode_current_time,
)
from gateway.sdk import (
    Limit,
    PeerError,
    Quantity,
    Special,
    StoredTime,
    encode_date_time,
)

ClockFormat = Literal["date_time", "current_time"]

STATUS_BITS: Mapping[str, int] = {
    mark: bit for bit, mark in (*STATUS_MARKS.items(), *PULSE_RANGE_MARKS.items())
}
_SPECIALS: Mapping[Limit, Special] = {Limit.ABOVE: Special.ABOVE, Limit.BELOW: Special.BELOW}


class CuffClock:
    """A device's clock as what it is ahead of local time; writing it changes that, a dead one stands still."""

    def __init__(self, ahead: timedelta = timedelta(), stopped_at: datetime | None = None) -> None:
        """Ahead of the local time that the asker brings; `stopped_at`: stands there until it is set."""
        self._ahead, self._stopped_at = ahead, stopped_at

    def shows(self, local: datetime) -> datetime:
        """What it shows when it is `local` time (naive)."""
        return self._stopped_at or (local + self._ahead).replace(microsecond=0)

    def read(self, form: ClockFormat, local: datetime) -> bytes:
        """Its characteristic's value."""
        shown = self.shows(local)
        if form == "date_time":
            return encode_date_time(shown)
        by_itself = encode_current_time(shown)
        return by_itself[:-1] + bytes((by_itself[-1] & ~CLOCK_ADJUSTED_BY_HAND,))

    def write(self, form: ClockFormat, data: bytes, local: datetime) -> datetime | None:
        """Set it. None where `data` is no moment: a real device refuses that."""
        decode = decode_date_time if form == "date_time" else decode_current_time
        try:
            given = decode(data)
        except PeerError:
            return None
        if given is not None:
            self._ahead, self._stopped_at = given - local, None
        return given


class CuffMemory:
    """What is measured and not yet confirmed, oldest first, as indications. `kept_max`: the oldest goes when it is full."""

    def __init__(self, kept_max: int) -> None:
        """Empty."""
        self._kept: deque[tuple[str, bytes]] = deque(maxlen=kept_max)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._kept)

    def store(self, name: str, frame: bytes) -> str | None:
        """Remember a measurement under the asker's `name`; the name of the one that had to go, if any."""
        lost = self._kept[0][0] if len(self._kept) == self._kept.maxlen else None
        self._kept.append((name, frame))
        return lost

    @property
    def oldest(self) -> tuple[str, bytes] | None:
        """What is to be indicated next: name and octets."""
        return self._kept[0] if self._kept else None

    def confirmed(self, name: str) -> None:
        """The radio confirmed that indication: the record is gone. Another name's is kept."""
        if self._kept and self._kept[0][0] == name:
            self._kept.popleft()


def frame(
    parts: Mapping[str, Quantity | Limit],
    stored_time: StoredTime | None = None,
    *,
    slot: int | None = None,
    marks: frozenset[str] = frozenset(),
) -> bytes:
    """The 0x2A35 octets of a measurement. Raises ValueError for a kind, unit or number that the characteristic can't hold."""
    return encode_measurement(measured(parts, stored_time, slot=slot, marks=marks))


def measured(
    parts: Mapping[str, Quantity | Limit],
    stored_time: StoredTime | None = None,
    *,
    slot: int | None = None,
    marks: frozenset[str] = frozenset(),
) -> Measurement:
    """A measurement as a cuff stores it. A part that is missing is NaN; status bits stand where a mark needs them.

    Raises ValueError for a kind or unit that a cuff can't show.
    """
    units = {part.unit for part in parts.values() if isinstance(part, Quantity)} - {"/min"}
    if len(units) > 1 or not units <= {"mmHg", "kPa"}:
        raise ValueError(f"{KIND} in {sorted(units)}; mmHg or kPa fit, one at a time")
    if slot is not None and not 0 <= slot < UNKNOWN_USER:
        raise ValueError(f"user {slot}; 0 to {UNKNOWN_USER - 1} fit")
    status = sum(bit for mark, bit in STATUS_BITS.items() if mark in marks)
    return Measurement(
        unit="kPa" if "kPa" in units else "mmHg",
        systolic=_number(parts.get("systolic")),
        diastolic=_number(parts.get("diastolic")),
        mean=_number(parts.get("mean_arterial_pressure")),
        time=stored_time,
        pulse=_number(parts["pulse_rate"]) if "pulse_rate" in parts else None,
        user=slot,
        status=status or None,
    )


def _number(part: Quantity | Limit | None) -> Number:
    match part:
        case None:
            return Special.NAN
        case Limit():
            return _SPECIALS[part]
        case Quantity(number):
            return number
