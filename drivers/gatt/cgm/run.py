"""Which session of a sensor its records belong to, what of it is on disk, and by which start they are named. Pure.

Minutes count from a session's start, which another client may write anew, and a new session counts from 0 again (README).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from drivers.gatt.cgm.codec import Start, decode_start, encode_start
from gateway.sdk import PeerError

TOLD_MAX = 64  # records beyond what is proven; a visit that has told more ends
# Two starts in UTC that lie so near each other are one start, written twice.
REWRITTEN_WITHIN = timedelta(minutes=2)
# So far may the box's clock put the start of one session at two visits: whole minutes, drift, a box that was corrected.
SAME_WITHIN_S = 300.0
# By so much the minutes in the status may lag behind those of a record.
LAG_MIN = 10

_VERSION, _UNKNOWN = "c1", "-"
_FINGERPRINT_BYTES = 4
_CURSOR = re.compile(
    r"c1\|([0-9T:-]*)\|([0-9a-f]{18})\|(-?\d{1,12})\|(-?\d{1,6})\|((?:\d{1,5}:[0-9a-f]{8},?)*)"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One session of a sensor, and what of it is on disk.

    `named`: the start that its records are named by, as it stood when the session was first read; None where none was known.
    `start`: as the sensor shows it now. `began_s`: when that was by the box's clock. All records up to minute `proven` are
    on disk (-1: none); `told` are those beyond, with fingerprints.
    """

    named: datetime | None
    start: Start
    began_s: int
    proven: int = -1
    told: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))

    def has(self, offset_min: int, raw: bytes) -> bool:
        """Whether this record is on disk."""
        return offset_min <= self.proven or self.told.get(offset_min) == fingerprint(raw)

    def with_told(self, offset_min: int, raw: bytes) -> "Run":
        """One more is on its way to the disk."""
        return replace(self, told={**self.told, offset_min: fingerprint(raw)})

    def proven_to(self, offset_min: int) -> "Run":
        """All up to that minute are on their way to the disk."""
        proven = max(self.proven, offset_min)
        return replace(
            self, proven=proven, told={at: fp for at, fp in self.told.items() if at > proven}
        )

    def __str__(self) -> str:
        """As it lies on disk."""
        named = _UNKNOWN if self.named is None else self.named.isoformat(timespec="seconds")
        told = ",".join(f"{at}:{fp}" for at, fp in sorted(self.told.items()))
        start = encode_start(self.start, e2e=False).hex()
        return f"{_VERSION}|{named}|{start}|{self.began_s}|{self.proven}|{told}"


def run_of(text: str | None) -> Run | None:
    """None for none, or one that another driver wrote: then all is asked for."""
    found = _CURSOR.fullmatch(text or "")
    if found is None:
        return None
    named, start, began, proven, told = found.groups()
    try:
        return Run(
            named=None if named == _UNKNOWN else datetime.fromisoformat(named),
            start=decode_start(bytes.fromhex(start)),
            began_s=int(began),
            proven=int(proven),
            told={int(at): fp for at, fp in (one.split(":") for one in told.split(",") if one)},
        )
    except (ValueError, PeerError):
        return None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a sensor shows of its session at a visit. `counts`: the minutes still run, as far as is known."""

    start: Start
    offset_min: int
    at: float
    counts: bool = True

    @property
    def began_s(self) -> int:
        """When the session began, by the box's clock."""
        return int(self.at) - 60 * self.offset_min


def run_now(known: Run | None, shown: Shown) -> Run:
    """The session that runs now: the known one, or a new one of which nothing is on disk.

    A start that another client has written anew does not rename it. A sensor that counts from 0 again and still shows the
    old start shows a start that isn't this session's: then none is known.
    """
    start = shown.start
    if known is None:
        return Run(start.time.naive, start, shown.began_s)
    if shown.offset_min + LAG_MIN >= known.proven and _is_same(known, shown):
        # A start that became known meanwhile names what is told from now on.
        learnt = start.time.naive if start != known.start else None
        return replace(known, named=known.named or learnt, start=start)
    return restarted(known, shown)


def restarted(known: Run, shown: Shown) -> Run:
    """A new session behind the known one. The old start, still shown, is not its own."""
    start = shown.start
    return Run(None if start == known.start else start.time.naive, start, shown.began_s)


def is_doubtful(run: Run, shown: Shown) -> bool:
    """Whether a record beyond the minute that is shown is on disk: the status lags behind, or a new session is still young."""
    return shown.offset_min < run.proven


def _is_same(known: Run, shown: Shown) -> bool:
    unchanged, start = known.start == shown.start, shown.start
    if unchanged and start.time.naive is not None and known.named is not None:
        return True
    was, now = known.start.utc, start.utc
    if was is not None and now is not None and not unchanged:
        return abs(was - now) <= REWRITTEN_WITHIN
    if abs(shown.began_s - known.began_s) <= SAME_WITHIN_S:
        return True
    # Minutes that stand still say nothing of when they began.
    return not shown.counts and (start.time.naive is None or unchanged)


def fingerprint(raw: bytes) -> str:
    """Of a record, that another one of the same minute is told from."""
    return hashlib.blake2b(raw, digest_size=_FINGERPRINT_BYTES).hexdigest()
