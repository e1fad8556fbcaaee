"""What is kept aside stays within its bound, also where the cloud parks much of what it gets."""

from datetime import UTC, datetime

from edge.outbox.records import OutboxLimits
from edge.outbox.store import Outbox
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import ManualClock
from gateway.wire.receipts import Parked, Receipt

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOLD = "2026-03-01T12:00:00.000Z"


def seen(number: int) -> Observation:
    return Observation(
        key=f"20260301-c-{number:032x}",
        device="d1" * 10,
        kind="body_weight",
        parts={"weight": Part(unit="kg", value="80")},
        time=Moment(utc=TOLD, method=TimeMethod.ARRIVAL),
        content=f"{number:032x}",
        source=Source.PUSHED,
        accepted=TOLD,
        driver="acme.scale",
        profile="acme/scale",
        transport="ble",
    )


def test_parked_rows_that_go_make_no_room_for_others() -> None:
    outbox = Outbox.in_memory(
        "box-1", ManualClock(NOON), OutboxLimits(aside_rows_max=3, parked_max=1)
    )
    for number in range(1, 21):
        outbox.accept("d1" * 10, [seen(2 * number), seen(2 * number + 1)], live=[False] * 2)
        batch = outbox.next_batch(9, live=False, skip=frozenset())
        assert batch is not None
        odd = (Parked(batch.first, "odd"),)
        outbox.settle(
            batch.ids,
            Receipt(
                envelope="e", agent="box-1", epoch=batch.epoch, store="s", commit=1, parked=odd
            ),
        )

    assert outbox.status().aside == 3
    assert len(outbox.status().parked) == 1
