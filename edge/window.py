"""Samples of a time that must stay short, and their figures: from arrival to fsync, a turn of the loop. No clock here."""

from collections import deque

from edge.outbox.records import WindowFigures

WINDOW_MAX_S = 0.25  # what a kill of the agent may cost of a device that deletes on confirmation
SAMPLES_MAX = 10_000  # the latest, from which p50 and p99 are taken


class Windows:
    """Samples of one agent: of the window in which a reading that its device has forgotten lives in memory alone, or of turns."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._latest_s: deque[float] = deque(maxlen=SAMPLES_MAX)
        self._highest_s = 0.0
        self._count = 0

    def add(self, seconds: float) -> None:
        """It took this long once."""
        self._latest_s.append(seconds)
        self._highest_s = max(self._highest_s, seconds)
        self._count += 1

    def figures(self) -> WindowFigures:
        """p50 and p99 over the latest SAMPLES_MAX, `max` and `count` over all; zeros where nothing is known."""
        if not self._latest_s:
            return WindowFigures()
        ranked = sorted(self._latest_s)
        return WindowFigures(
            p50=_milliseconds(ranked[len(ranked) // 2]),
            p99=_milliseconds(ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)]),
            max=_milliseconds(self._highest_s),
            count=self._count,
        )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
