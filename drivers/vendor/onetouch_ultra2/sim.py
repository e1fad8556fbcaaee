"""The meter's side: memory, clock and answers. Pure: the one who asks brings the time."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from drivers.vendor.onetouch_ultra2.codec import (
    HIGHEST,
    LOWEST,
    RECORDS_MAX,
    UNIT,
    DisplayUnit,
    Header,
    Meal,
    Record,
    encode_clock,
    encode_header,
    encode_record,
    encode_serial,
    wrap,
)
from drivers.vendor.onetouch_ultra2.session import LINE
from gateway.sdk import Limit, Quantity, Read, Received, Subscribe, Write

HEARD_MAX = 64  # octets without an end are forgotten beyond that
NOT_PLUGGED_IN = b"\0"


@dataclass(frozen=True, slots=True)
class Manners:
    """`copies`: how often it answers each command. `plugged_in`: else a single 00 is all that comes. `display`: its unit."""

    copies: int = 1
    plugged_in: bool = True
    display: DisplayUnit = "MG/DL "


class Ultra2Peer:
    """A meter on a cable. `erased` counts how often it was told to forget everything."""

    def __init__(
        self, serial: str, clock: Callable[[], datetime], manners: Manners = Manners()
    ) -> None:
        """`clock`: what its clock shows now (naive)."""
        self._serial, self._clock, self._manners = serial, clock, manners
        self._memory: deque[Record] = deque(maxlen=RECORDS_MAX)
        self._heard = b""
        self.erased = 0

    @property
    def remembered(self) -> int:
        """How many records are in its memory."""
        return len(self._memory)

    def unplugged(self) -> None:
        """The cable was pulled: half a command is forgotten."""
        self._heard = b""

    def store(self, record: Record) -> Record | None:
        """Remember a measurement; the oldest one that had to go for it, if any."""
        full = len(self._memory) == RECORDS_MAX
        lost = self._memory[0] if full else None
        self._memory.append(record)
        return lost

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received]:
        """Answers as lines, on the channel on which it was asked."""
        if isinstance(command, Write) and command.channel == LINE:
            for answer in self.hear_octets(command.data):
                yield Received(0.0, LINE, answer)

    def hear_octets(self, data: bytes) -> Iterable[bytes]:
        """The same for a port: what it sends after `data`, line by line. A command may be cut anywhere."""
        if not self._manners.plugged_in:
            yield NOT_PLUGGED_IN
            return
        self._heard += data
        while b"\r" in self._heard:
            command, _, self._heard = self._heard.partition(b"\r")
            # 11 wakes the meter; what stands before it was noise.
            yield from self._answer(command.rpartition(b"\x11")[2].decode("latin-1"))
        self._heard = self._heard[-HEARD_MAX:]

    def _answer(self, command: str) -> Iterable[bytes]:
        for _ in range(self._manners.copies):
            yield from self._lines(command)

    def _lines(self, command: str) -> Iterable[bytes]:
        match command:
            case "DM@":
                yield encode_serial(self._serial)
            case "DMF":
                yield encode_clock(self._clock())
            case "DMSU?":
                yield wrap(f'SU?,"{self._manners.display}"')
            case "DM?":
                yield wrap("?P02.00.00 01/18/08")
            case "DMP":
                yield encode_header(Header(len(self._memory), self._serial, self._manners.display))
                yield from map(encode_record, reversed(self._memory))
            case "DMZ":
                self.erased += 1
                self._memory.clear()
                yield wrap("Z")
            case _:
                pass


def record(
    part: Quantity | Limit,
    taken: datetime | None,
    *,
    raw_time: str = "",
    marks: frozenset[str] = frozenset(),
    meal: Meal = "N",
) -> Record:
    """A measurement as the meter stores it. `raw_time` (ISO 8601) stands for a time that is no real moment.

    Raises ValueError for another unit than mg/dL, or a number that is none of the meter's.
    """
    return Record(
        raw_time=taken.isoformat(timespec="seconds") if taken else raw_time,
        value=_stored(part),
        taken=taken,
        control="control" in marks,
        parity_fault="memory_parity" in marks,
        meal=meal,
    )


def _stored(part: Quantity | Limit) -> int:
    if isinstance(part, Limit):
        return LOWEST - 1 if part is Limit.BELOW else HIGHEST + 1
    fits = part.unit == UNIT and LOWEST <= part.number <= HIGHEST
    if not fits or part.number != int(part.number):
        raise ValueError(f"{part}; whole {UNIT} from {LOWEST} to {HIGHEST}, LO and HI fit")
    return int(part.number)
