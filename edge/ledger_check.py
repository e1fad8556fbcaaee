"""When the cloud is asked what it holds of this box, and what its answer does. Sends nothing; the outbox compares."""

from collections import deque

import msgspec

from edge.cloud_time import CloudTime
from edge.outbox.ledger import AnswerError
from edge.outbox.port import AsyncOutbox
from gateway.runtime import log
from gateway.runtime.clock import Clock, random_hex
from gateway.runtime.counters import Counters
from gateway.wire.receipts import ANSWER, Question, decode_answer, encode

QUESTION_EVERY_S = 86_400.0
ANSWER_S = 60.0  # before an unanswered question is asked anew; doubles up to ANSWER_S_MAX
ANSWER_S_MAX = 3_600.0
GAP_S = 60.0  # between two questions that receipts gave rise to
SETTLED_S = 60.0  # receipts overtake one another for less than this
NONCE_BITS = 64
MARKS_MAX = 128

_log = log.get("ledger")


class CommitWatch:
    """Tells when the cloud is another, or has gone back in time: a commit number lower than one of a minute before."""

    def __init__(self, last: tuple[str, int] | None) -> None:
        """`last`: store and commit number that an earlier run of this box saw last."""
        self._store, self._old = last or (None, -1)
        # (whole second, highest commit so far); one a second at most.
        self._recent: deque[tuple[int, int]] = deque(maxlen=MARKS_MAX)

    def went_back(self, store: str, commit: int, now: float) -> bool:
        """Note what a receipt or an answer says; true where it speaks of another past than its forerunners."""
        while self._recent and self._recent[0][0] + 1 <= now - SETTLED_S:
            self._old = max(self._old, self._recent.popleft()[1])
        other = self._store not in (None, store)
        back = other or commit < self._old
        if back:
            self._recent.clear()
            self._old = -1
        self._store = store
        highest = max(commit, self._recent[-1][1] if self._recent else -1)
        if self._recent and self._recent[-1][0] == int(now):
            self._recent.pop()
        self._recent.append((int(now), highest))
        return back


class LedgerCheck:
    """One question at a time, each with its own nonce; an answer to any other is ignored."""

    def __init__(
        self,
        outbox: AsyncOutbox,
        agent: str,
        clock: Clock,
        counters: Counters,
        *,
        time: CloudTime,
    ) -> None:
        """Nothing is due before `connected`."""
        self._outbox = outbox
        self._agent = agent
        self._clock = clock
        self._counters = counters
        self._time = time
        self._watch: CommitWatch | None = None
        self._nonce: str | None = None
        self._mark = 0
        self._patience_s = ANSWER_S
        self._asked = float("-inf")
        self.due: float | None = None

    async def connected(self) -> None:
        """Ask at once: the broker or the cloud may have been replaced meanwhile."""
        if self._watch is None:
            self._watch = CommitWatch(await self._outbox.last_commit())
        self._patience_s = ANSWER_S
        self.due = self._clock.monotonic()

    async def question(self) -> bytes:
        """The question, as it travels."""
        self._mark = await self._outbox.settled_mark()
        self._nonce = random_hex(NONCE_BITS)
        self._asked = self._clock.monotonic()
        self.due = self._asked + self._patience_s
        self._patience_s = min(self._patience_s * 2, ANSWER_S_MAX)
        self._counters.add("ledger.asked")
        return encode(Question(nonce=self._nonce))

    async def receipted(self, store: str, commit: int) -> None:
        """Look at what a receipt says of the cloud's past; ask where it is another than before."""
        if await self._went_back(store, commit):
            self.due = max(self._clock.monotonic(), self._asked + GAP_S)

    async def answered(self, payload: bytes) -> bool:
        """Take an answer. True where it was taken: the cloud was asked, and has said. Raises StoreError."""
        try:
            answer = decode_answer(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._counters.add("ledger.garbage")
            _log.warning("ledger.garbage", size=len(payload))
            return False
        if answer.schema != ANSWER or answer.agent != self._agent or answer.nonce != self._nonce:
            self._counters.add("ledger.ignored")
            return False
        heard = self._clock.monotonic()
        timely = self._time.hear(answer.at, self._asked)
        await self._went_back(answer.store, answer.commit)
        try:
            verdict = await self._outbox.compare(answer, self._mark)
        except AnswerError as fault:
            self._counters.add("ledger.refused")
            _log.warning("ledger.refused", why=str(fault))
            return False
        self._nonce = None
        if timely:
            self._patience_s = ANSWER_S
            self.due = heard + QUESTION_EVERY_S
        else:
            # What it holds is taken; what the time is, is asked again, less and less often.
            self.due = heard + self._patience_s
        self._counters.add("ledger.owed", verdict.owed)
        if verdict.lost or verdict.differs:
            self._counters.add("ledger.differs", len(verdict.lost) + len(verdict.differs))
            _log.error("ledger.differs", lost=verdict.lost, differs=verdict.differs)
        if verdict.unissued:
            # The numbers were given by another life of this box: a disk image of it was put back.
            await self._outbox.new_epoch("the cloud holds numbers that were never given here")
            self._counters.add("ledger.new_epoch")
            _log.error("ledger.unissued")
        return True

    async def _went_back(self, store: str, commit: int) -> bool:
        assert self._watch is not None
        if not self._watch.went_back(store, commit, self._clock.monotonic()):
            return False
        await self._outbox.next_era()
        self._counters.add("ledger.new_era")
        _log.error("ledger.went_back", store=store, commit=commit)
        return True
