"""What a soak cost: which losses a death explains, and whether memory stayed flat. Pure; the numbers that decide have names here."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from demo.findings import Finding

# A cuff that deletes on confirmation has forgotten a reading that the agent, killed now, has not written down yet.
WINDOW_S_MAX = 0.25
# The ward notes a confirmation when it has crossed the virtual air, and by then its agent may be dead. No new one is at work so soon.
UNDER_WAY_S_MAX = 0.25
GROWTH_MIB_MAX = 8.0  # of the median, from the first third of the samples to the last
THIRDS = 3


@dataclass(frozen=True, slots=True)
class Loss:
    """A measurement that is missing. `before_s`: how long before the nearest death of the agent it was confirmed, if it was."""

    finding: Finding
    before_s: float | None

    @property
    def excused(self) -> bool:
        """Whether it fell into the window that no agent can close."""
        return self.before_s is not None and -UNDER_WAY_S_MAX < self.before_s < WINDOW_S_MAX

    def __str__(self) -> str:
        """One line for a person."""
        if self.before_s is None:
            return f"{self.finding}: never confirmed, or no agent died"
        side = "before" if self.before_s >= 0 else "after"
        return f"{self.finding}: confirmed {abs(self.before_s) * 1000:.0f} ms {side} a death of the agent"


@dataclass(frozen=True, slots=True)
class Growth:
    """Medians of a process's memory in MiB."""

    first: float
    last: float

    @property
    def flat(self) -> bool:
        """Whether it grew by no more than GROWTH_MIB_MAX."""
        return self.last - self.first <= GROWTH_MIB_MAX

    def __str__(self) -> str:
        """One line for a person."""
        word = "flat" if self.flat else f"GROWS: over {GROWTH_MIB_MAX:.0f} MiB"
        return f"{self.first:.1f} → {self.last:.1f} MiB ({self.last - self.first:+.1f}): {word}"


def losses(
    found: Iterable[Finding], confirmed: Mapping[str, datetime], deaths: Sequence[float]
) -> list[Loss]:
    """Each missing measurement. `deaths`: of the agent, POSIX seconds just before each."""
    return [
        Loss(finding, _before(confirmed.get(finding.who), deaths))
        for finding in found
        if finding.what == "missing"
    ]


def growth(samples: Sequence[float]) -> Growth:
    """First third against last third of at least three samples."""
    part = len(samples) // THIRDS
    return Growth(statistics.median(samples[:part]), statistics.median(samples[-part:]))


def _before(at: datetime | None, deaths: Sequence[float]) -> float | None:
    if at is None:
        return None
    return min((death - at.timestamp() for death in deaths), key=abs, default=None)
