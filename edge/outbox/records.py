"""What goes into the outbox and what comes out: frozen records and the limits, each with its name. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.runtime.clock import TimeBase
from gateway.runtime.errors import StoreError

OBSERVATION_BYTES_MAX = 200_000  # one observation must fit an envelope by itself
BATCH_BYTES_MAX = (
    200_000  # decompressed; below what the wire takes even where nothing can be squeezed
)
BATCH_ROWS_MAX = 100
BASE_APART_S = 1.0  # rows of one envelope rest on clocks that differ by no more
BATTERY_LEVEL = re.compile(r"[0-9]|[1-9][0-9]|100")  # the fact "battery", in percent
LIVE_S = 7_200.0  # how long a live reading goes before the backlog; then it is backlog itself


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """The disk budget. `rows_max` and `bytes_max` bound what waits for a receipt: above them `accept` refuses.

    What a receipt covers is kept aside for `keep_s`, at most `aside_rows_max` rows of it. `parked_max`: parked rows that
    stay visible. `told_max`: measurements that are known again when a device repeats them. `free_bytes_min`: what readings leave
    of the disk, so that receipts can be noted there; it is twice what SQLite's log takes.
    """

    rows_max: int = 500_000
    bytes_max: int = 512 * 1024 * 1024
    aside_rows_max: int = 500_000
    keep_s: float = 7 * 86_400.0
    parked_max: int = 10_000
    told_max: int = 1_000_000
    free_bytes_min: int = 8 * 1024 * 1024


class OutboxFull(StoreError):  # noqa: N818 reads as what it says, at every `except`
    """The disk budget is used up: nothing of this call was taken, and the reading stays on its device."""

    def __init__(self, why: str) -> None:
        """Say which limit, with the value."""
        super().__init__(why, retry=True)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What `accept` did, durably: new ledger numbers of `epoch`, in order, and how many it had taken before."""

    epoch: str
    numbers: range
    known: int


@dataclass(frozen=True, slots=True)
class Row:
    """One numbered observation, encoded as it stands in an envelope's body. `id` names it across epochs."""

    id: int
    number: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows with contiguous numbers of one epoch, for one envelope. `base`: on what clock their times rest; None: unknown."""

    epoch: str
    rows: tuple[Row, ...]
    live: bool
    base: TimeBase | None = None

    @property
    def first(self) -> int:
        """The first ledger number."""
        return self.rows[0].number

    @property
    def ids(self) -> frozenset[int]:
        """The rows by name: what `settle` is told when the receipt comes."""
        return frozenset(row.id for row in self.rows)


@dataclass(frozen=True, slots=True)
class Settled:
    """What one receipt did: rows set aside by outcome. `again`: they had been settled before."""

    stored: int = 0
    duplicate: int = 0
    parked: int = 0
    again: int = 0


@dataclass(frozen=True, slots=True)
class LedgerVerdict:
    """What an answer of the cloud means for the rows that this box keeps.

    `owed`: rows that the cloud lacks, or holds otherwise, and that go again. `lost`: numbers that the cloud lacks and this
    box no longer keeps. `differs`: ranges that still differ after a receipted resend, or can't be checked. Both are
    `EPOCH:FIRST-LAST`. `unissued`: the cloud holds numbers of the current epoch that were never given here.
    """

    owed: int = 0
    lost: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    unissued: bool = False


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Which device stands at a place (address or port), and what it stated of itself."""

    place: str
    device: str
    profile: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device as the outbox knows it. Times are aware UTC; `readings` counts what was numbered."""

    device: str
    profile: str
    place: str
    facts: Mapping[str, str]
    last_heard: datetime | None
    last_reading: datetime | None
    readings: int
    trouble: str | None

    @property
    def battery(self) -> int | None:
        """Its battery's level in percent, as it told last; None where it never did."""
        told = self.facts.get("battery", "")
        return int(told) if BATTERY_LEVEL.fullmatch(told) else None


@dataclass(frozen=True, slots=True)
class WindowFigures:
    """How long something that must be short took, in milliseconds: a reading from arrival to fsync, say."""

    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A number that the cloud keeps as it came but could not file, with the cloud's reason."""

    epoch: str
    number: int
    key: str
    device: str
    why: str


@dataclass(frozen=True, slots=True)
class Running:
    """What a running agent last said of itself, and when."""

    at: datetime
    connected: bool
    window: WindowFigures
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """How the outbox stands. `issued`: the highest number of the current `epoch`. `aside`: receipted and still kept.

    `damaged`: rows whose bytes no longer match their checksum, as `EPOCH:N`; they are not sent. `used`: part of the disk
    budget, 0 to 1. `running`: None where no agent ever ran on it.
    """

    agent: str
    epoch: str
    issued: int
    pending: int
    pending_bytes: int
    used: float
    oldest_pending: datetime | None
    aside: int
    last_receipt: datetime | None
    devices: tuple[DeviceState, ...] = ()
    parked: tuple[ParkedRow, ...] = ()
    damaged: tuple[str, ...] = ()
    running: Running | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """A damaged database was moved aside to `moved_to`, and what could be read went into a new one under a new epoch.

    `lost` names what could not be read, as `EPOCH:FIRST-LAST`, or says that nothing could.
    """

    moved_to: str
    why: str
    rows: int
    lost: tuple[str, ...] = field(default=())
