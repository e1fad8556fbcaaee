"""What the Ultra 2 brings to the conformance kit: a meter on a cable, and samples. Pure; no check stands here."""

from collections.abc import Iterable
from decimal import Decimal

from drivers.testing.subject import Act, DeviceClock
from drivers.vendor.onetouch_ultra2.codec import FRAMING, checksum, decode_record, encode_record
from drivers.vendor.onetouch_ultra2.session import DRIVER
from drivers.vendor.onetouch_ultra2.sim import Manners, Ultra2Peer, record
from gateway.sdk import Driver, Profile, Quantity, Read, Received, Subscribe, Write

SERIAL = "HAXGR4PV"
TWICE, MMOL = "answers twice", "display in mmol/L"


class Ultra2Specimen:
    """A meter that keeps its memory, whatever it is told but `DMZ`."""

    def __init__(self, clock: DeviceClock, manners: Manners) -> None:
        """Its memory is empty."""
        self._clock = clock
        self._peer = Ultra2Peer(SERIAL, clock.shows, manners)

    def speak(self) -> Iterable[Received]:
        """Nothing: it is asked."""
        return ()

    def hear(self, command: Subscribe | Write | Read) -> Iterable[Received]:
        """Answers as lines."""
        return self._peer.hear(command)

    def delivered(self, told: Received) -> None:
        """Nothing: a cable confirms nothing."""

    def hung_up(self) -> None:
        """Half a command is forgotten."""
        self._peer.unplugged()

    def measure(self, act: Act) -> None:
        """Raises ValueError for what its columns can't hold."""
        taken = None if act.raw_time is not None else self._clock.shows()
        part = act.parts["value"]
        self._peer.store(record(part, taken, raw_time=act.raw_time or "", marks=act.marks))

    def reset_battery(self) -> None:
        """Its memory is kept."""
        self._clock.reset()

    @property
    def remembered(self) -> int:
        """Records in its memory."""
        return self._peer.remembered


class Ultra2Subject:
    """The driver, its device's side, and what that can measure."""

    driver: Driver = DRIVER

    def specimen(self, _profile: Profile, clock: DeviceClock, manner: str) -> Ultra2Specimen:
        """A meter; one that answers twice, or shows mmol/L, where asked for."""
        display = "MMOL/L" if manner == MMOL else "MG/DL "
        return Ultra2Specimen(clock, Manners(copies=2 if manner == TWICE else 1, display=display))

    def sample(self, number: int, unit: str) -> Act:
        """Every fifth with a parity fault in memory."""
        marks = frozenset(() if (number + 1) % 5 else {"memory_parity"})
        return Act({"value": Quantity(Decimal(90 + number), unit)}, marks)

    def echo(self, raw: bytes) -> bytes:
        """One line of memory."""
        return encode_record(decode_record(raw)).removesuffix(FRAMING.end)

    def sealed(self, _channel: str, data: bytes) -> bytes:
        """The sum behind the last blank of each line."""
        return FRAMING.end.join(map(_summed, data.split(FRAMING.end)))


def _summed(line: bytes) -> bytes:
    text, blank, _ = line.rpartition(b" ")
    return text + blank + b"%04X" % checksum(text) if blank else line


SUBJECT = Ultra2Subject()
