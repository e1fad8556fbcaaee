"""The cloud's answer against what is kept: what goes again, once, and what is only said."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest

from edge.ledger_check import CommitWatch
from edge.outbox.ledger import AnswerError
from edge.outbox.records import OutboxLimits
from edge.outbox.store import Outbox
from gateway.model.identity import ledger_digest
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.wire.receipts import Answer, Held, HeldEpoch, Parked, Receipt

Make = Callable[..., Observation]
DEVICE = "d1" * 10
NOTHING: frozenset[int] = frozenset()


class Told:
    """An outbox with so many receipted rows, and answers about them."""

    def __init__(self, make: Make, rows: int, **limits: float) -> None:
        self.clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        bounds = OutboxLimits(**limits)  # type: ignore[arg-type]
        self.outbox = Outbox.in_memory("box-1", self.clock, bounds)
        told = [make(number) for number in range(1, rows + 1)]
        self.keys = dict(enumerate((one.key for one in told), 1))
        self.epoch = self.outbox.accept(DEVICE, told, live=[False] * rows).epoch

    def settle(self, parked: Iterable[int] = ()) -> None:
        while (batch := self.outbox.next_batch(100, live=False, skip=NOTHING)) is not None:
            mine = {row.number for row in batch.rows}
            self.outbox.settle(
                batch.ids,
                Receipt(
                    envelope="e",
                    agent="box-1",
                    epoch=batch.epoch,
                    store="s",
                    commit=1,
                    parked=[Parked(n, "odd") for n in parked if n in mine],
                ),
            )

    def held(self, first: int, last: int, *, without: Iterable[int] = (), wrong: int = 0) -> Held:
        told = [(n, self.keys[n]) for n in range(first, last + 1) if n not in without]
        return Held(first, last, f"{(ledger_digest(told) + wrong) % 2**64:016x}")

    def answer(self, *ranges: Held, **how: object) -> Answer:
        epoch = HeldEpoch(epoch=self.epoch, ranges=ranges, **how)  # type: ignore[arg-type]
        return Answer(nonce="", agent="box-1", store="s", commit=1, epochs=[epoch])

    def compare(self, *ranges: Held, **how: object):
        return self.outbox.compare(self.answer(*ranges, **how), self.outbox.settled_mark())

    def waiting(self) -> list[int]:
        found: list[int] = []
        skip = NOTHING
        while (batch := self.outbox.next_batch(100, live=False, skip=skip)) is not None:
            found += [row.number for row in batch.rows]
            skip |= batch.ids
        return found


@pytest.fixture
def told(observation: Make) -> Callable[..., Told]:
    def build(rows: int, **limits: float) -> Told:
        return Told(observation, rows, **limits)

    return build


def test_an_answer_that_agrees_in_any_split_owes_nothing(told: Callable[..., Told]) -> None:
    box = told(1_300)
    box.settle()
    for ranges in (
        [box.held(1, 1_300)],
        [box.held(1, 1), box.held(2, 700), box.held(701, 1_300)],
        [box.held(701, 1_300), box.held(1, 700)],
    ):
        verdict = box.compare(*ranges)
        assert (verdict.owed, verdict.lost, verdict.differs, verdict.unissued) == (0, (), (), False)


def test_numbers_that_the_cloud_lacks_are_owed_again_and_only_they(
    told: Callable[..., Told],
) -> None:
    box = told(10)
    box.settle()

    verdict = box.compare(box.held(1, 3), box.held(7, 9))

    assert verdict.owed == 4
    assert box.waiting() == [4, 5, 6, 10]
    assert box.outbox.status().aside == 6


def test_a_cloud_that_holds_nothing_of_this_box_is_sent_all_that_is_kept(
    told: Callable[..., Told],
) -> None:
    box = told(1_300)
    box.settle()
    empty = Answer(nonce="", agent="box-1", store="s", commit=1, epochs=[])

    assert box.outbox.compare(empty, box.outbox.settled_mark()).owed == 1_300
    assert box.outbox.status().pending == 1_300


def test_a_range_with_another_digest_is_owed_again(told: Callable[..., Told]) -> None:
    box = told(10)
    box.settle()

    verdict = box.compare(box.held(1, 4), box.held(5, 8, wrong=1), box.held(9, 10))

    assert (verdict.owed, box.waiting()) == (4, [5, 6, 7, 8])


def test_what_differs_after_a_receipted_resend_is_said_and_not_owed_until_a_new_era(
    told: Callable[..., Told],
) -> None:
    box = told(4)
    box.settle()
    assert box.compare(box.held(1, 2, wrong=1)).owed == 4
    box.settle()

    again = box.compare(box.held(1, 2, wrong=1))
    assert (again.owed, box.waiting()) == (0, [])
    assert again.differs == (f"{box.epoch}:3-3", f"{box.epoch}:4-4", f"{box.epoch}:1-2")

    box.outbox.next_era()
    assert box.outbox.last_commit() is None
    assert box.compare(box.held(1, 2, wrong=1)).owed == 4


def test_what_was_settled_after_the_question_is_left_alone(
    told: Callable[..., Told], observation: Make
) -> None:
    box = told(2)
    box.settle()
    mark = box.outbox.settled_mark()
    box.outbox.accept(DEVICE, [observation(3)], live=[False])
    box.settle()

    assert box.outbox.compare(box.answer(box.held(1, 2)), mark).owed == 0
    assert box.outbox.compare(box.answer(box.held(1, 2)), box.outbox.settled_mark()).owed == 1


def test_rows_that_wait_anyway_are_not_counted_as_owed(told: Callable[..., Told]) -> None:
    box = told(3)

    verdict = box.compare(box.held(1, 1))

    assert (verdict.owed, verdict.differs, box.waiting()) == (0, (), [1, 2, 3])


def test_parked_numbers_and_those_with_two_keys_are_summed_apart(
    told: Callable[..., Told],
) -> None:
    box = told(6)
    box.settle(parked=[2])
    held = box.held(1, 6, without=[2, 5])

    verdict = box.compare(held, parked=[2], two_keys=[5])
    assert (verdict.owed, verdict.differs) == (0, ())
    # Listed beside ranges that leave them out, too.
    verdict = box.compare(box.held(1, 1), box.held(3, 4), box.held(6, 6), parked=[2], two_keys=[5])
    assert (verdict.owed, verdict.differs) == (0, ())


def test_a_parked_number_that_the_cloud_forgot_is_owed_again(told: Callable[..., Told]) -> None:
    box = told(3)
    box.settle(parked=[2])

    assert box.compare(box.held(1, 1), box.held(3, 3)).owed == 1
    assert box.waiting() == [2]
    assert box.outbox.status().parked == ()


def test_removed_rows_are_still_checked_by_their_digest(
    told: Callable[..., Told], observation: Make
) -> None:
    box = told(250, keep_s=10.0)
    box.settle()
    box.clock.advance(11)
    box.outbox.accept(DEVICE, [observation(251), observation(252)], live=[False] * 2)
    box.keys |= {251: observation(251).key, 252: observation(252).key}
    box.settle()
    assert box.outbox.status().aside == 2

    assert box.compare(box.held(1, 252)).differs == ()
    # All that is kept of the range goes again, and then it is said.
    assert box.compare(box.held(1, 252, wrong=1)).owed == 2
    box.settle()
    assert box.compare(box.held(1, 252, wrong=1)).differs == (f"{box.epoch}:1-252",)


def test_numbers_that_are_lacking_and_no_longer_kept_are_named(
    told: Callable[..., Told], observation: Make
) -> None:
    box = told(5, keep_s=10.0)
    box.settle()
    box.clock.advance(11)
    box.outbox.accept(DEVICE, [observation(6)], live=[False])
    box.keys[6] = observation(6).key
    box.settle()

    verdict = box.compare(box.held(1, 3), box.held(6, 6))

    assert verdict.lost == (f"{box.epoch}:1-5 (2 of them)",)
    assert (verdict.owed, verdict.differs) == (0, ())


def test_numbers_of_the_current_epoch_that_were_never_given_here_are_seen(
    told: Callable[..., Told],
) -> None:
    box = told(3)
    box.settle()
    beyond = Held(4, 9, "0" * 16)
    assert box.compare(box.held(1, 3), beyond).unissued
    assert box.compare(box.held(1, 3), two_keys=[8]).unissued

    # Of an earlier epoch they do no harm any more, and of a stranger's none.
    box.outbox.new_epoch("test")
    assert not box.compare(box.held(1, 3), beyond).unissued


@pytest.mark.parametrize(
    "ranges",
    [
        [Held(1, 3, "00"), Held(3, 4, "00")],
        [Held(3, 2, "00")],
        [Held(0, 2, "00")],
        [Held(-5, 2, "00")],
        [Held(1, 2, "no hex")],
        [Held(n, n, "00") for n in range(1, 10_002)],
    ],
)
def test_an_answer_that_contradicts_itself_concludes_nothing(
    told: Callable[..., Told], ranges: list[Held]
) -> None:
    box = told(3)
    box.settle()
    with pytest.raises(AnswerError):
        box.compare(*ranges)

    assert (box.waiting(), box.outbox.status().aside) == ([], 3)
    # And rows are trimmed again afterwards.
    assert not box.outbox._comparing


def test_readings_are_accepted_while_a_long_comparison_goes_on(
    told: Callable[..., Told], observation: Make
) -> None:
    box = told(1_600)
    box.settle()
    mark = box.outbox.settled_mark()
    steps = box.outbox.compare_in_steps(box.answer(box.held(1, 100)), mark)
    next(steps)
    box.outbox.accept(DEVICE, [observation(9_001)], live=[True])
    verdict = None
    while verdict is None:
        try:
            next(steps)
        except StopIteration as end:
            verdict = end.value

    assert (verdict.owed, box.outbox.status().pending) == (1_500, 1_501)


def test_receipts_that_overtake_one_another_are_no_journey_into_the_past() -> None:
    watch = CommitWatch(None)
    told = [watch.went_back("s", commit, 100.0 + at) for at, commit in enumerate((5, 3, 9, 4, 8))]

    assert not any(told)


def test_a_commit_number_lower_than_one_of_a_minute_ago_is_one_and_is_told_once() -> None:
    watch = CommitWatch(None)
    for second in range(70):
        assert not watch.went_back("s", 100 + second, float(second))
    assert not watch.went_back("s", 109, 70.0)
    assert watch.went_back("s", 5, 70.0)
    assert not watch.went_back("s", 6, 71.0)
    assert not watch.went_back("s", 6, 200.0)
    assert watch.went_back("s", 5, 300.0)


def test_another_store_is_another_past_and_the_first_store_is_none() -> None:
    watch = CommitWatch(None)
    assert not watch.went_back("one", 7, 0.0)
    assert watch.went_back("two", 9, 1.0)
    assert not watch.went_back("two", 9, 2.0)


def test_what_an_earlier_run_of_the_box_saw_counts() -> None:
    assert CommitWatch(("s", 50)).went_back("s", 49, 0.0)
    assert not CommitWatch(("s", 50)).went_back("s", 50, 0.0)
    assert CommitWatch(("s", 50)).went_back("other", 90, 0.0)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (1, 3, 2)])
def test_rows_that_were_removed_piece_by_piece_are_checked_as_one_range(
    told: Callable[..., Told], order: tuple[int, int, int]
) -> None:
    box = told(4, aside_rows_max=0)
    for number in (*order, 4):
        batch = box.outbox.next_batch(9, live=False, skip=NOTHING)
        assert batch is not None
        mine = {row.number: row.id for row in batch.rows}
        while number not in mine:
            batch = box.outbox.next_batch(9, live=False, skip=frozenset(mine.values()) | batch.ids)
            assert batch is not None
            mine |= {row.number: row.id for row in batch.rows}
        receipt = Receipt(envelope="e", agent="box-1", epoch=box.epoch, store="s", commit=1)
        box.outbox.settle(frozenset({mine[number]}), receipt)

    assert box.outbox.status().aside == 0
    assert box.compare(box.held(1, 4)).differs == ()
    assert box.compare(box.held(1, 4, wrong=1)).differs == (f"{box.epoch}:1-4",)
