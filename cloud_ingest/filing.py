"""One batch of arrivals → records, receipts, answers, in that order. Waits out a store that is away; speaks no MQTT."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from cloud_ingest.batching import Arrival
from cloud_ingest.live import News
from cloud_ingest.stores.records.types import Delivery, Verdict
from gateway.runtime import log
from gateway.runtime.counters import Counters
from gateway.runtime.errors import StoreError
from gateway.wire.receipts import (
    QUESTION,
    QUESTION_BYTES_MAX,
    Answer,
    Question,
    decode_question,
    encode,
)
from gateway.wire.status import STATUS, STATUS_BYTES_MAX, Status, decode_status
from gateway.wire.topics import Branch, Down, Up, sender

PAUSE_S_FIRST = 0.1
PAUSE_S_MAX = 5.0

T = TypeVar("T")


class Register(Protocol):
    """What filing needs of the records."""

    def ingest(self, deliveries: Sequence[Delivery]) -> list[Verdict]:
        """File what came, in one transaction."""
        ...

    def answer(self, agent: str, question: Question) -> Answer:
        """What is held of a box."""
        ...

    def note_status(self, agent: str, status: Status, payload: bytes) -> News:
        """Keep what a box has just said of itself."""
        ...

    def keep_status(self, agent: str, status: Status, payload: bytes) -> News:
        """Keep what a box said of itself last, whenever that was."""
        ...


class Post(Protocol):
    """The way back to the boxes. May be called from any thread; a message may be lost, and is then asked for again."""

    def send(self, topic: str, payload: bytes) -> None:
        """To a box, QoS 1, never retained."""
        ...


class StoppingError(Exception):
    """The process ends while the store is away: the batch stays with the broker."""


class Filing:
    """Files batches. `trouble` says in words why nothing is filed now; it is empty while all is well."""

    def __init__(
        self,
        register: Register,
        post: Post,
        counters: Counters,
        *,
        tell: Callable[[News], None],
        stored: Callable[[], None],
        stopping: threading.Event,
    ) -> None:
        """`tell` hears news, `stored` that there is something new in the journal."""
        self._register = register
        self._post = post
        self._counters = counters
        self._tell = tell
        self._stored = stored
        self._stopping = stopping
        self._log = log.get("intake")
        self.trouble = ""

    def file(self, batch: Sequence[Arrival]) -> None:
        """Return when everything in the batch is in the records, so that it may be acknowledged. Raises StoppingError."""
        letters: list[Delivery] = []
        questions: list[tuple[Branch, Question]] = []
        statuses: list[tuple[Branch, Status, Arrival]] = []
        for arrival in batch:
            delivery = arrival.delivery
            match _read(delivery):
                case (Branch() as branch, Question() as question):
                    questions.append((branch, question))
                case (Branch() as branch, Status() as status):
                    statuses.append((branch, status, arrival))
                case None if not delivery.payload:
                    self._counters.add("intake.empty")  # someone cleared a retained message
                case _:
                    letters.append(delivery)
        if letters:
            self._file_letters(letters)
        for branch, question in questions:
            answer = self._until_stored(
                lambda b=branch, q=question: self._register.answer(b.agent, q)
            )
            self._post.send(branch.down(Down.LEDGER), encode(answer))
            self._counters.add("intake.questions")
        for branch, status, arrival in statuses:
            take = self._register.keep_status if arrival.retained else self._register.note_status
            payload = arrival.delivery.payload
            news = self._until_stored(
                lambda t=take, b=branch, s=status, p=payload: t(b.agent, s, p)
            )
            self._tell(news)
            self._counters.add("intake.statuses")

    def _file_letters(self, letters: Sequence[Delivery]) -> None:
        verdicts = self._until_stored(lambda: self._register.ingest(letters))
        assert len(verdicts) == len(letters)
        for verdict in verdicts:
            if verdict.receipt is not None and verdict.branch is not None:
                self._post.send(verdict.branch.down(Down.RECEIPTS), encode(verdict.receipt))
                self._counters.add("intake.receipts")
            else:
                self._counters.add("intake.unanswerable")
            self._counters.add("intake.readings", verdict.readings)
            for news in verdict.news:
                self._tell(news)
        self._counters.add("intake.deliveries", len(letters))
        self._stored()

    def _until_stored(self, action: Callable[[], T]) -> T:
        """Try for as long as the process lives: without an acknowledgement the broker and the box keep everything."""
        pause_s = PAUSE_S_FIRST
        while True:
            try:
                result = action()
            except StoreError as fault:
                self._counters.add("intake.store_retries")
                if self.trouble != str(fault):
                    self._log.error("store.away", why=str(fault), retry=fault.retry)
                self.trouble = str(fault)
            else:
                if self.trouble:
                    self._log.info("store.back")
                self.trouble = ""
                return result
            if self._stopping.wait(pause_s):
                raise StoppingError
            pause_s = min(pause_s * 2, PAUSE_S_MAX)


def _read(delivery: Delivery) -> tuple[Branch, Question | Status] | None:
    """A question or a status that can be read; None for everything else, which is filed as a letter."""
    try:
        branch, leaf = sender(delivery.topic)
        match leaf:
            case Up.LEDGER if len(delivery.payload) <= QUESTION_BYTES_MAX:
                question = decode_question(delivery.payload)
                if question.schema == QUESTION:
                    return branch, question
            case Up.STATUS if len(delivery.payload) <= STATUS_BYTES_MAX:
                status = decode_status(delivery.payload)
                if status.schema == STATUS and status.agent == branch.agent:
                    return branch, status
            case _:
                pass
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return None
