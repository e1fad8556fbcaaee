"""Which envelopes wait for a receipt, when each goes again, and which rows a hash stands for. Pure; every part is bounded."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from gateway.runtime.clock import TimeBase

WINDOW_LIVE = 8  # envelopes without a receipt: fresh readings have places of their own, so that a backlog can't hold them up
WINDOW_BACKLOG = 8
PATIENCE_S = 5.0  # before an envelope without a receipt goes again; doubles with each try
PATIENCE_S_MAX = 30.0
PAST_MAX = 1_000  # envelopes of earlier connections whose receipt may still come


@dataclass(frozen=True, slots=True)
class Sent:
    """One envelope on its way. `ids` are the outbox rows that its receipt settles; `due` is monotonic.

    `base`, `off_s`: on what clock the rows' times rest, and how far off that was taken to be. `in_doubt`: the box doubted that
    clock, and nothing was known of it.
    """

    sha256: str
    epoch: str
    ids: frozenset[int]
    live: bool
    payload: bytes
    due: float = 0.0
    tries: int = 0
    base: TimeBase | None = None
    off_s: float | None = None
    in_doubt: bool = False


class Inflight:
    """The window of this connection, and what earlier ones sent. A receipt for any other hash means nothing."""

    def __init__(self, rng: Random) -> None:
        """`rng` gives the jitter: boxes that lost one ingester shall not all come again in step."""
        self._rng = rng
        self._window: dict[str, Sent] = {}
        self._past: OrderedDict[str, Sent] = OrderedDict()
        self.got_through = 0  # bytes of the largest envelope that a receipt came for

    def room(self, *, live: bool) -> bool:
        """Whether one more envelope may go."""
        same = sum(1 for sent in self._window.values() if sent.live is live)
        return same < (WINDOW_LIVE if live else WINDOW_BACKLOG)

    def ids(self) -> frozenset[int]:
        """Rows that are on their way."""
        return frozenset[int]().union(*(sent.ids for sent in self._window.values()))

    def went(self, sent: Sent, now: float) -> None:
        """It was handed to the broker's connection, for the first time or again."""
        patience_s = min(PATIENCE_S * 2**sent.tries, PATIENCE_S_MAX)
        due = now + patience_s * (0.75 + self._rng.random() / 2)
        self._window[sent.sha256] = replace(sent, due=due, tries=sent.tries + 1)

    def overdue(self, now: float) -> list[Sent]:
        """Those that no receipt came for in time, oldest first."""
        return [sent for sent in self._window.values() if sent.due <= now]

    def next_due(self) -> float | None:
        """When the next one is overdue."""
        return min((sent.due for sent in self._window.values()), default=None)

    def find(self, sha256: str) -> Sent | None:
        """What was sent under this hash, on this connection or an earlier one."""
        return self._window.get(sha256) or self._past.get(sha256)

    def settled(self, sha256: str) -> None:
        """Its receipt came. The hash stays known for a while: receipts come twice."""
        sent = self._window.pop(sha256, None)
        if sent is not None:
            self.got_through = max(self.got_through, len(sent.payload))
            self._remember(sent)

    def withdraw(self, sent: Sent) -> None:
        """Its rows are to be cut anew. Its receipt may still come, and settles them then."""
        self._window.pop(sent.sha256)
        self._remember(sent)

    def lost_connection(self) -> Sequence[Sent]:
        """Nothing is on its way any more; the outbox cuts what is left anew. Returns what was, oldest first."""
        lost = list(self._window.values())
        self._window.clear()
        for sent in lost:
            self._remember(sent)
        return lost

    def _remember(self, sent: Sent) -> None:
        self._past[sent.sha256] = replace(sent, payload=b"")
        self._past.move_to_end(sent.sha256)
        while len(self._past) > PAST_MAX:
            self._past.popitem(last=False)
