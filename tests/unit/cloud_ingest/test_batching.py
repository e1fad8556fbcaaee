"""The queue between the broker and the store: order, limits, nothing dropped."""

import threading
from datetime import UTC, datetime

from cloud_ingest.batching import (
    DELIVERIES_MAX,
    READINGS_MAX,
    WAITING_MAX,
    Arrival,
    Inbox,
    readings_in,
)
from cloud_ingest.stores.records.types import Delivery

AT = datetime(2026, 3, 14, tzinfo=UTC)


def arrival(n: int, readings: int = 1, payload: bytes = b"x") -> Arrival:
    return Arrival(Delivery("t", payload, AT), n, 1, 1, readings)


def test_a_single_delivery_is_taken_at_once() -> None:
    inbox = Inbox()
    inbox.put(arrival(1))
    assert [at.mid for at in inbox.take()] == [1]


def test_what_waits_is_taken_together_and_in_order() -> None:
    inbox = Inbox()
    for n in range(50):
        inbox.put(arrival(n))
    assert [at.mid for at in inbox.take()] == list(range(50))


def test_a_batch_ends_before_it_has_too_many_readings() -> None:
    inbox = Inbox()
    for n in range(5):
        inbox.put(arrival(n, readings=900))
    sizes = [sum(at.readings for at in inbox.take()) for _ in range(2)]
    assert sizes == [2700, 1800]
    assert max(sizes) <= READINGS_MAX


def test_one_delivery_above_every_limit_is_still_taken() -> None:
    inbox = Inbox()
    inbox.put(arrival(1, readings=READINGS_MAX * 5, payload=b"x" * 9_000_000))
    assert len(inbox.take()) == 1


def test_a_batch_has_a_named_number_of_deliveries() -> None:
    inbox = Inbox()
    for n in range(DELIVERIES_MAX + 1):
        inbox.put(arrival(n, readings=0))
    assert len(inbox.take()) == DELIVERIES_MAX
    assert len(inbox) == 1


def test_a_full_inbox_says_so_and_still_keeps_what_comes() -> None:
    inbox = Inbox()
    for n in range(WAITING_MAX):
        assert not inbox.full
        inbox.put(arrival(n))
    assert inbox.full
    inbox.put(arrival(WAITING_MAX))
    assert len(inbox) == WAITING_MAX + 1


def test_a_taker_waits_for_what_comes() -> None:
    inbox = Inbox()
    taken: list[int] = []
    taker = threading.Thread(target=lambda: taken.extend(at.mid for at in inbox.take()))
    taker.start()
    inbox.put(arrival(7))
    taker.join(5)
    assert taken == [7]


def test_a_closed_inbox_lets_its_taker_go_with_nothing() -> None:
    inbox = Inbox()
    inbox.put(arrival(1))
    inbox.close()
    assert not inbox.take()


def test_an_envelope_says_how_many_readings_it_holds(make) -> None:
    seen = [make.bp(120, 80, sequence=n) for n in range(3)]
    assert readings_in(make.payload(1, *seen)) == 3
    assert readings_in(b"garbage") == 1
