"""Rows that stood in the way of others: each waits before it goes again, longer each time. Pure; bounded."""

from collections import OrderedDict
from collections.abc import Iterable

WAIT_S_FIRST = 30.0  # as long as an envelope without a receipt waits at most: a row that was set back for nothing loses little
WAIT_S_MAX = 3_600.0
ROWS_MAX = 1_000  # the longest set back is forgotten first


class SetBack:
    """Who waits, and until when (monotonic). Nothing is forgotten for good: a row goes again when its time comes."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._rows: OrderedDict[int, tuple[float, float]] = OrderedDict()

    def add(self, ids: Iterable[int], now: float) -> None:
        """These did not get through."""
        for row in ids:
            _, before_s = self._rows.pop(row, (0.0, WAIT_S_FIRST / 2))
            wait_s = min(before_s * 2, WAIT_S_MAX)
            self._rows[row] = (now + wait_s, wait_s)
        while len(self._rows) > ROWS_MAX:
            self._rows.popitem(last=False)

    def waiting(self, now: float) -> frozenset[int]:
        """Rows whose time has not come."""
        return frozenset(row for row, (until, _) in self._rows.items() if until > now)
