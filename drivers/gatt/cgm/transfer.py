"""What a sensor tells in one visit, asked for or by itself: records by their minute, each once. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drivers.gatt.cgm.codec import Record, read_measurement
from gateway.sdk import Command, Event, PeerError, Received, Refused, Subscribe

MEASUREMENT = "measurement"
RECORDS_MAX = 25_000  # held at once; 15 days of a record a minute are 21,600


@dataclass(frozen=True, slots=True)
class Told:
    """A record as it came."""

    record: Record
    raw: bytes

    @property
    def minute(self) -> int:
        """Its place in its session."""
        return self.record.offset_min


class Transfer:
    """Gathers records for the control point, and those that come by themselves meanwhile; both come on one channel.

    A record that can't be read costs no other: its packet stands in `fault`. `window`: the minutes that were asked for.
    """

    def __init__(self, *, e2e: bool) -> None:
        """Nothing has come."""
        self._e2e = e2e
        self._come: dict[bytes, Told] = {}
        self.window = range(0)
        self.fault: PeerError | None = None
        self.counted = False
        """Whether the sensor announced how many records the last report would bring."""

    @property
    def frames(self) -> int:
        """Records of the window that came, and packets that can't be read."""
        return sum(told.minute in self.window for told in self._come.values()) + bool(self.fault)

    def hear(self, event: Event) -> bool:
        """Take an event. Raises PeerError where the sensor refuses to tell, or tells without end."""
        match event:
            case Received(_, channel, data) if channel == MEASUREMENT:
                self._take(data)
            case Refused(_, Subscribe(channel), code) if channel == MEASUREMENT:
                raise PeerError(f"refuses to tell (ATT error 0x{code:02X}); is it paired?")
            case _:
                return False
        return True

    def _take(self, data: bytes) -> None:
        records, fault = read_measurement(data, e2e=self._e2e)
        for record, raw in records:
            self._come.setdefault(raw, Told(record, raw))
        if fault is not None:
            self.fault = PeerError(f"{MEASUREMENT} {data.hex()}: {fault}")
        if len(self._come) > RECORDS_MAX:
            raise PeerError(f"over {RECORDS_MAX} records before any could be put on disk")

    def restart(self) -> None:
        """It will come again; what came by itself will not, and is kept: a record that comes twice counts once."""
        self.fault = None

    def expect(self, announced: int | None) -> None:
        """Only of a sensor that counts does a report say by itself that nothing of it was lost."""
        self.counted = announced is not None

    def spill(self) -> Iterator[Command]:
        """Nothing: a window is told when it has ended."""
        return iter(())

    def records(self) -> Sequence[Told]:
        """All that came and was not dropped, by minute."""
        return sorted(self._come.values(), key=lambda told: told.minute)

    def drop(self, told: Sequence[Told]) -> None:
        """These are dealt with."""
        for one in told:
            self._come.pop(one.raw, None)
