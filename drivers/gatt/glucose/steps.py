"""What is told of a transfer before it has ended, so that one that is cut off goes on where it was. Pure.

A step goes to disk with a cursor that says what it does not prove: that nothing was lost on the way. The next visit counts
(`Unproven`), and a transfer that ended whole proves all before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drivers.gatt.device_information import told_battery
from drivers.gatt.glucose.transfer import Join, Mark, Record, Transfer
from gateway.sdk import Command, Event, Flush, Report, Stored

STEP = 50  # records; about what a slow link tells in ten seconds

_VERSION, _ALL = "g1", "all"


@dataclass(frozen=True, slots=True)
class Unproven:
    """`told` records were told from number `base` on (None: from the oldest), up to the cursor's, both included."""

    base: int | None
    told: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The newest record that is on disk. `unproven`: the transfer that brought it had not ended."""

    mark: Mark
    unproven: Unproven | None = None

    def __str__(self) -> str:
        """As it lies on disk."""
        known = f"{_VERSION}:{self.mark.sequence}:{self.mark.fingerprint}"
        if self.unproven is None:
            return known
        base = _ALL if self.unproven.base is None else self.unproven.base
        return f"{known}:{base}:{self.unproven.told}"


def cursor(text: str | None) -> Cursor | None:
    """None for none, or one that another driver wrote: then all is asked for."""
    match (text or "").split(":"):
        case [version, number, fingerprint] if version == _VERSION and number.isdecimal():
            return Cursor(Mark(int(number), fingerprint))
        case [version, number, fingerprint, base, told] if (
            version == _VERSION
            and number.isdecimal()
            and told.isdecimal()
            and (base == _ALL or base.isdecimal())
        ):
            unproven = Unproven(None if base == _ALL else int(base), int(told))
            return Cursor(Mark(int(number), fingerprint), unproven)
        case _:
            return None


class Stepwise:
    """Gathers a transfer for the control point, and tells of it in steps where `begin` allows that."""

    def __init__(self, transfer: Transfer, join: Join) -> None:
        """No steps yet."""
        self._transfer, self._join = transfer, join
        self._start: Cursor | None = None
        self._announced: int | None = None
        self._allowed = self._twice = self._storing = False
        self._looked_at = 0
        self._told: set[bytes] = set()
        # What a device tells of itself in mid-transfer.
        self._aside: list[Command] = []

    def begin(self, start: Cursor | None, *, allowed: bool) -> None:
        """A report is asked for from that record on, or of all; what an earlier one brought counts no more."""
        self._transfer.restart()
        self._start, self._allowed, self._looked_at = start, allowed, 0
        self._twice = False

    @property
    def frames(self) -> int:
        """Measurements that came."""
        return self._transfer.frames

    def hear(self, event: Event) -> bool:
        """Take an event."""
        if isinstance(event, Stored):
            self._storing = False
        self._aside += told_battery(event)
        return self._transfer.hear(event)

    def again(self) -> None:
        """The same report is asked for once more: what did come is known, what did not is added."""
        self._twice = True
        self._transfer.again()

    def restart(self) -> None:
        """It will come again. What was told stays told, and what a first report brought stays known."""
        if self._twice:
            self._transfer.again()
        else:
            self._transfer.restart()
            self._looked_at = 0

    def expect(self, announced: int | None) -> None:
        """Only of a meter that counts can a later visit say whether something was lost."""
        self._announced = announced

    @property
    def proven(self) -> bool:
        """Whether as many came as the meter said that there would be. A copy proves nothing: it may stand for one that was lost."""
        return self._announced is not None and self._transfer.different >= self._announced

    def spill(self) -> Iterator[Command]:
        """One step at a time: the next only when the one before is durable."""
        aside, self._aside = self._aside, []
        yield from aside
        come = len(self._transfer.records)
        if not self._allowed or self._announced is None or self._storing:
            return
        if come - self._looked_at < STEP:
            return
        self._looked_at = come
        settled = self._settled()
        new = self.untold(settled[1:] if self._start else settled)
        if not new:
            return
        for reading in self._transfer.readings(new, self._join):
            yield Report(reading)
        self._told.update(record.raw for record in new)
        self._storing = True
        yield Flush(str(Cursor(settled[-1].mark, self._unproven(len(settled)))))

    def untold(self, records: Sequence[Record]) -> Sequence[Record]:
        """Those that no step has told."""
        return [record for record in records if record.raw not in self._told]

    def _settled(self) -> Sequence[Record]:
        settled = self._transfer.settled() if self._transfer.fault is None else ()
        begins = self._start is None or (settled and settled[0].mark == self._start.mark)
        return settled if begins else ()

    def _unproven(self, settled: int) -> Unproven:
        if self._start is None:
            return Unproven(None, settled)
        earlier = self._start.unproven
        if earlier is None:
            return Unproven(self._start.mark.sequence, settled)
        return Unproven(earlier.base, earlier.told + settled - 1)
