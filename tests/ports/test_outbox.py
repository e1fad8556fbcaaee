"""The outbox port: one suite for the file and for its twin in memory."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from edge.outbox.records import (
    OBSERVATION_BYTES_MAX,
    Enrolled,
    OutboxFull,
    OutboxLimits,
    WindowFigures,
)
from edge.outbox.settling import ReceiptError
from edge.outbox.store import Outbox
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import ManualClock
from gateway.runtime.errors import StoreError
from gateway.wire.envelope import assemble, decode_envelope
from gateway.wire.receipts import Parked, Receipt

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTHING: frozenset[int] = frozenset()

Open = Callable[..., Outbox]


def seen(number: int, *, value: str = "120", note: str = "") -> Observation:
    return Observation(
        key=f"20260301-c-{number:032x}",
        device="d1" * 10,
        kind="blood_pressure",
        parts={"systolic": Part(unit="mm[Hg]", value=value)},
        time=Moment(utc="2026-03-01T08:00:00.000Z", method=TimeMethod.ASSUMED),
        content=f"{int(value):032x}",
        source=Source.MEMORY,
        accepted="2026-03-01T08:00:00.000Z",
        driver="gatt.blood_pressure",
        profile="generic/blood-pressure",
        transport="ble",
        context={"note": note} if note else {},
    )


def receipt(epoch: str, **how: object) -> Receipt:
    told = {"envelope": "e", "agent": "box-1", "epoch": epoch, "store": "s", "commit": 1}
    return Receipt(**{**told, **how})  # type: ignore[arg-type]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture(params=["file", "memory"])
def open_outbox(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[Open]:
    opened: list[Outbox] = []

    def build(**limits: float) -> Outbox:
        bounds = OutboxLimits(**limits)  # type: ignore[arg-type]
        if request.param == "file":
            opened.append(Outbox.open(tmp_path / "outbox.sqlite", "box-1", clock, bounds))
        else:
            opened.append(Outbox.in_memory("box-1", clock, bounds))
        return opened[-1]

    yield build
    for outbox in opened:
        outbox.close()


def take(outbox: Outbox, *numbers: int, live: bool = False, cursor: str | None = None):
    told = [seen(number) for number in numbers]
    return outbox.accept("d1" * 10, told, cursor, live=[live] * len(told))


def test_numbers_begin_at_one_and_have_no_gaps(open_outbox: Open) -> None:
    outbox = open_outbox()

    assert list(take(outbox, 7, 8).numbers) == [1, 2]
    assert list(take(outbox, 9).numbers) == [3]
    assert outbox.status().issued == 3


def test_what_was_accepted_before_is_known_and_not_numbered_again(open_outbox: Open) -> None:
    outbox = open_outbox()
    take(outbox, 1, 2)

    again = take(outbox, 2, 3, 3, 1)

    assert (list(again.numbers), again.known) == ([3], 3)
    assert outbox.status().devices[0].readings == 3


def test_an_equal_key_with_other_content_or_new_context_is_numbered_for_the_cloud_to_judge(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    told = [seen(1), seen(1, value="121"), seen(1, note="sitting"), seen(1, note="sitting")]

    accepted = outbox.accept("d1" * 10, told, live=[False] * 4)

    assert (len(accepted.numbers), accepted.known) == (3, 1)


def test_it_is_known_still_when_its_row_is_long_gone(open_outbox: Open, clock: ManualClock) -> None:
    outbox = open_outbox(keep_s=10.0)
    for number in (1, 2):
        take(outbox, number)
        batch = outbox.next_batch(100, live=False, skip=NOTHING)
        assert batch is not None
        outbox.settle(batch.ids, receipt(batch.epoch))
        clock.advance(11)

    assert outbox.status().aside == 1
    assert take(outbox, 1).known == 1


def test_the_cursor_moves_with_the_rows_and_none_leaves_it(open_outbox: Open) -> None:
    outbox = open_outbox()
    assert outbox.cursor("d1" * 10) is None
    take(outbox, 1, cursor="one")
    take(outbox, 2)
    assert outbox.cursor("d1" * 10) == "one"
    take(outbox, cursor="two")
    assert outbox.cursor("d1" * 10) == "two"


@pytest.mark.parametrize("limits", [{"rows_max": 2}, {"bytes_max": 2_000}])
def test_a_full_outbox_refuses_whole_calls_and_takes_again_after_a_receipt(
    open_outbox: Open, limits: dict[str, float]
) -> None:
    outbox = open_outbox(**limits)
    take(outbox, 1, 2, cursor="before")
    with pytest.raises(OutboxFull, match="it holds") as refused:
        take(outbox, 1, 3, cursor="after")
    assert refused.value.retry

    # Nothing half done; and what it knows already costs no room.
    assert (outbox.status().pending, outbox.cursor("d1" * 10)) == (2, "before")
    assert take(outbox, 1, 2).known == 2
    batch = outbox.next_batch(100, live=False, skip=NOTHING)
    assert batch is not None
    outbox.settle(batch.ids, receipt(batch.epoch))
    assert list(take(outbox, 1, 3).numbers) == [3]


def test_an_observation_that_no_envelope_could_carry_is_refused_and_nothing_with_it(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    huge = msgspec.structs.replace(seen(2), raw="00" * OBSERVATION_BYTES_MAX)
    with pytest.raises(StoreError, match="200000 fit"):
        outbox.accept("d1" * 10, [seen(1), huge], live=[False, False])

    assert outbox.status().issued == 0


def test_as_many_flags_as_observations_are_wanted(open_outbox: Open) -> None:
    with pytest.raises(ValueError, match="1 observations, 0 flags"):
        open_outbox().accept("d1" * 10, [seen(1)], live=[])


def test_a_batch_holds_contiguous_numbers_that_make_an_envelope(open_outbox: Open) -> None:
    outbox = open_outbox()
    take(outbox, *range(1, 6))
    batch = outbox.next_batch(3, live=False, skip=NOTHING)
    assert batch is not None

    payload = assemble("box-1", batch.epoch, batch.first, [row.body for row in batch.rows])

    assert list(decode_envelope(payload).header.numbers) == [1, 2, 3]
    assert list(decode_envelope(payload).observations) == [seen(1), seen(2), seen(3)]
    rest = outbox.next_batch(9, live=False, skip=batch.ids)
    assert rest is not None
    assert [row.number for row in rest.rows] == [4, 5]
    assert outbox.next_batch(9, live=False, skip=batch.ids | rest.ids) is None


def test_a_batch_stops_where_numbers_are_on_their_way_already_and_where_an_epoch_ends(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    take(outbox, 1, 2, 3)
    outbox.new_epoch("test")
    take(outbox, 4)
    whole = outbox.next_batch(9, live=False, skip=NOTHING)
    assert whole is not None
    assert [row.number for row in whole.rows] == [1, 2, 3]

    before_second = outbox.next_batch(9, live=False, skip=frozenset({whole.rows[1].id}))
    assert before_second is not None
    assert [row.number for row in before_second.rows] == [1]
    new = outbox.next_batch(9, live=False, skip=whole.ids)
    assert new is not None
    assert (new.first, new.epoch != whole.epoch) == (1, True)


def test_a_batch_keeps_to_its_bytes_but_for_a_row_alone(open_outbox: Open) -> None:
    outbox = open_outbox()
    take(outbox, 1, 2, 3)

    two = outbox.next_batch(9, live=False, skip=NOTHING, bytes_max=1_700)
    one = outbox.next_batch(9, live=False, skip=NOTHING, bytes_max=1)

    assert two is not None
    assert one is not None
    assert (len(two.rows), len(one.rows)) == (2, 1)


def test_live_rows_are_picked_alone_while_they_are_fresh(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox()
    take(outbox, 1)
    take(outbox, 2, live=True)

    fresh = outbox.next_batch(9, live=True, skip=NOTHING)
    assert fresh is not None
    assert [row.number for row in fresh.rows] == [2]
    clock.advance(2 * 3_600 + 1)
    assert outbox.next_batch(9, live=True, skip=NOTHING) is None
    assert outbox.next_batch(9, live=False, skip=NOTHING) is not None


def test_a_receipt_settles_its_rows_by_outcome_and_once(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox()
    take(outbox, 1, 2, 3)
    batch = outbox.next_batch(9, live=False, skip=NOTHING)
    assert batch is not None
    told = receipt(batch.epoch, duplicates=(1,), parked=(Parked(3, "poison"),), commit=9)

    first, again = outbox.settle(batch.ids, told), outbox.settle(batch.ids, told)

    assert (first.stored, first.duplicate, first.parked, first.again) == (1, 1, 1, 0)
    assert (again.stored, again.duplicate, again.parked, again.again) == (0, 0, 0, 3)
    status = outbox.status()
    assert (status.pending, status.aside, status.last_receipt) == (0, 2, clock.now())
    assert [(row.number, row.why) for row in status.parked] == [(3, "poison")]
    assert outbox.last_commit() == ("s", 9)


@pytest.mark.parametrize(
    "how",
    [
        {"duplicates": (4,)},
        {"parked": (Parked(4, "?"),)},
        {"duplicates": (1,), "parked": (Parked(1, "?"),)},
        {"epoch": "f" * 16},
    ],
)
def test_a_receipt_that_contradicts_its_envelope_settles_nothing(
    open_outbox: Open, how: dict[str, object]
) -> None:
    outbox = open_outbox()
    take(outbox, 1, 2)
    batch = outbox.next_batch(9, live=False, skip=NOTHING)
    assert batch is not None
    with pytest.raises(ReceiptError):
        outbox.settle(batch.ids, receipt(**{"epoch": batch.epoch, **how}))  # type: ignore[arg-type]

    assert (outbox.status().pending, outbox.status().last_receipt) == (2, None)


def test_settled_rows_are_kept_aside_for_their_time_and_not_longer(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox(keep_s=100.0)
    for number, kept in ((1, 1), (2, 2), (3, 2), (4, 2)):
        take(outbox, number)
        batch = outbox.next_batch(9, live=False, skip=NOTHING)
        assert batch is not None
        outbox.settle(batch.ids, receipt(batch.epoch))
        assert outbox.status().aside == kept
        clock.advance(60)


def test_no_more_than_its_bound_is_kept_aside_and_the_oldest_goes(open_outbox: Open) -> None:
    outbox = open_outbox(aside_rows_max=3)
    for number in range(1, 8):
        take(outbox, number)
        batch = outbox.next_batch(9, live=False, skip=NOTHING)
        assert batch is not None
        outbox.settle(batch.ids, receipt(batch.epoch))

    assert outbox.status().aside == 3
    assert outbox.status().issued == 7


def test_parked_rows_stay_visible_long_after_others_are_gone(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox(keep_s=10.0, parked_max=2)
    for number in range(1, 5):
        take(outbox, number)
        batch = outbox.next_batch(9, live=False, skip=NOTHING)
        assert batch is not None
        outbox.settle(batch.ids, receipt(batch.epoch, parked=(Parked(batch.first, "odd"),)))
        clock.advance(1_000)

    assert [row.number for row in outbox.status().parked] == [4, 3]


def test_a_new_epoch_begins_at_one_and_may_be_bound_to_the_one_it_replaces(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    old = take(outbox, 1).epoch
    new = outbox.new_epoch("test", instead_of=old)
    assert new is not None
    assert outbox.new_epoch("again", instead_of=old) is None

    accepted = take(outbox, 2)

    assert (accepted.epoch, list(accepted.numbers)) == (new, [1])
    assert len(new) == 16


def test_a_device_is_found_at_its_place_with_what_it_stated(open_outbox: Open) -> None:
    outbox = open_outbox()
    facts = {"serial_number": "S1", "model": "M"}
    assert outbox.enrolled("AA:BB") is None
    outbox.enrol("AA:BB", "dev-1", "any/cuff", facts)
    assert outbox.enrolled("AA:BB") == Enrolled("AA:BB", "dev-1", "any/cuff", facts)

    # It moved, and another came to where it was.
    outbox.enrol("CC:DD", "dev-1", "any/cuff", facts)
    outbox.enrol("AA:BB", "dev-2", "any/cuff", {})
    assert outbox.enrolled("CC:DD") == Enrolled("CC:DD", "dev-1", "any/cuff", facts)
    assert outbox.enrolled("AA:BB") == Enrolled("AA:BB", "dev-2", "any/cuff", {})


def test_enrolling_again_keeps_count_and_cursor(open_outbox: Open) -> None:
    outbox = open_outbox()
    take(outbox, 1, cursor="c")
    outbox.enrol("AA:BB", "d1" * 10, "any/cuff", {})

    assert outbox.cursor("d1" * 10) == "c"
    assert [(d.readings, d.place) for d in outbox.status().devices] == [(1, "AA:BB")]


def test_notes_of_a_device_keep_what_they_do_not_mention_and_clear_trouble(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    outbox.enrol("AA:BB", "dev-1", "any/cuff", {})
    outbox.note_device("dev-1", heard=NOON, trouble="it hung up")
    assert outbox.status().devices[0].trouble == "it hung up"
    later = NOON + timedelta(minutes=1)
    outbox.note_device("dev-1", reading=later)

    device = outbox.status().devices[0]
    assert (device.last_heard, device.last_reading, device.trouble) == (NOON, later, None)


def test_a_running_agent_leaves_what_it_says_of_itself(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox()
    assert outbox.status().running is None
    figures = WindowFigures(p50=1.5, p99=2.5, max=9.0, count=4)
    outbox.note_running(connected=True, window=figures, counters={"a.b": 1})

    running = outbox.status().running
    assert running is not None
    assert (running.at, running.connected) == (clock.now(), True)
    assert (running.window, dict(running.counters)) == (figures, {"a.b": 1})


def test_status_says_how_full_it_is_and_since_when_the_oldest_waits(
    open_outbox: Open, clock: ManualClock
) -> None:
    outbox = open_outbox(rows_max=4)
    take(outbox, 1)
    clock.advance(30)
    take(outbox, 2)

    status = outbox.status()
    assert (status.pending, status.used) == (2, 0.5)
    assert status.oldest_pending == NOON
    assert (status.agent, status.damaged) == ("box-1", ())
