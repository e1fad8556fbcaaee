"""Counters that a process keeps of itself; they leave with its status. Names are `area.event`."""

from collections import Counter
from collections.abc import Mapping


class Counters:
    """What has happened so far, by name."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._counts: Counter[str] = Counter()

    def add(self, name: str, by: int = 1) -> None:
        """Count."""
        self._counts[name] += by

    def snapshot(self) -> Mapping[str, int]:
        """A copy, sorted by name."""
        return dict(sorted(self._counts.items()))
