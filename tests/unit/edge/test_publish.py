"""The publisher against a real broker and a small cloud: what leaves, when, and what settles it. No mocks."""

# ruff: noqa: ANN401 the types of broker and cloud stand in conftest.py, which no test can import

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge.outbox.port import AsyncOutbox
from edge.outbox.records import OutboxStatus
from edge.publish import Connection, Publisher
from edge.settings import MqttSettings
from gateway.model.observation import Observation
from gateway.runtime.clock import SystemClock
from gateway.runtime.counters import Counters
from gateway.wire.envelope import Envelope
from gateway.wire.receipts import Answer, Parked, encode
from gateway.wire.status import Status, encode_status
from gateway.wire.topics import Branch, Down

Make = Callable[..., Observation]
TURN_S = 0.02


class Skewed(SystemClock):
    """This machine's clock, but for what a test lets pass."""

    skew_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.skew_s


@dataclass
class Box:
    outbox: AsyncOutbox
    publisher: Publisher
    clock: "Skewed"
    counters: Counters
    make: Make
    task: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.publisher.run())

    async def read(self, *numbers: int, live: bool = False, **how: Any) -> None:
        told = [self.make(number, **how) for number in numbers]
        await self.outbox.accept(told[0].device, told, live=[live] * len(told))
        self.publisher.wake()

    async def until(self, what: Callable[[OutboxStatus], bool]) -> OutboxStatus:
        async with asyncio.timeout(30):
            while not what(status := await self.outbox.status()):  # noqa: ASYNC110 a file has no event
                await asyncio.sleep(TURN_S)
        return status

    async def counted(self, name: str, least: int = 1) -> None:
        async with asyncio.timeout(30):
            while self.counters.snapshot().get(name, 0) < least:  # noqa: ASYNC110 nor has a counter
                await asyncio.sleep(TURN_S)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.inflight.PATIENCE_S", 0.3)
    monkeypatch.setattr("edge.inflight.PATIENCE_S_MAX", 0.5)
    monkeypatch.setattr("edge.publish.BACKOFF_S_FIRST", 0.05)
    monkeypatch.setattr("edge.publish.BACKOFF_S_MAX", 0.2)
    monkeypatch.setattr("edge.ledger_check.GAP_S", 0.1)


BuildBox = Callable[..., Awaitable[Box]]


@pytest.fixture
async def build_box(tmp_path: Path, observation: Make) -> AsyncIterator[BuildBox]:
    built: list[Box] = []

    async def build(port: int, **settings: Any) -> Box:
        clock, counters = Skewed(), Counters()
        outbox = await AsyncOutbox.open(tmp_path / f"outbox-{len(built)}.sqlite", "box-1", clock)
        told = MqttSettings(host="127.0.0.1", port=port, **settings)
        branch = Branch("demo", "box-1")
        publisher = Publisher(outbox, told, branch, clock, counters, version="test")
        built.append(Box(outbox, publisher, clock, counters, observation))
        return built[-1]

    yield build
    for box in built:
        await box.stop()
        await box.outbox.close()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_a_fresh_reading_reaches_the_cloud_within_a_second_and_is_settled(
    broker: Any, cloud: Any, build_box: BuildBox, protocol: str
) -> None:
    port = broker.v5 if protocol == "5" else broker.v4
    box = await build_box(port, protocol=protocol)
    box.start()
    await cloud.until(lambda c: c.questions == 1 and len(c.statuses) == 1)

    await box.read(1, live=True)
    await cloud.until(lambda c: len(c.held) == 1, within_s=1.0)

    status = await box.until(lambda s: s.pending == 0)
    assert (status.aside, status.issued) == (1, 1)


async def test_a_backlog_goes_in_envelopes_of_at_most_a_hundred_and_every_number_once(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    box = await build_box(broker.v4)
    await box.read(*range(1, 1_251))
    box.start()
    await box.until(lambda s: s.pending == 0)

    assert sorted(n for _, n in cloud.held) == list(range(1, 1_251))
    assert max(e.header.count for e in cloud.envelopes) == 100
    assert sum(e.header.count for e in cloud.envelopes) == 1_250


async def test_a_fresh_reading_passes_a_backlog_that_nobody_receipts(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    cloud.receipts_of = lambda _cloud, _envelope, _times: []
    box = await build_box(broker.v4)
    await box.read(*range(1, 1_501))
    box.start()
    await cloud.until(lambda c: len(c.envelopes) == 8)

    await box.read(9_999, live=True)
    await cloud.until(lambda c: len(c.envelopes) == 9, within_s=1.0)

    assert list(cloud.envelopes[-1].header.numbers) == [1_501]
    # The window is full: nothing more of the backlog has left.
    assert sum(e.header.count for e in cloud.envelopes) == 801


async def test_what_no_receipt_covers_goes_again_until_one_does(
    broker: Any, cloud: Any, build_box: BuildBox, quick: None
) -> None:
    def lost_twice(to: Any, envelope: Envelope, times: int) -> list[bytes]:
        to.keep(envelope)
        return [to.receipt(envelope)] if times == 3 else []

    cloud.receipts_of = lost_twice
    box = await build_box(broker.v4)
    await box.read(*range(1, 251))
    box.start()
    await box.until(lambda s: s.pending == 0)

    assert len(cloud.held) == len(cloud.keys) == 250
    assert box.counters.snapshot()["envelopes.resent"] >= 6


async def test_doubled_and_reordered_receipts_do_no_harm(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    held_back: list[bytes] = []

    def jumbled(to: Any, envelope: Envelope, _times: int) -> list[bytes]:
        to.keep(envelope)
        held_back.insert(0, to.receipt(envelope))
        return [*held_back, *held_back] if len(held_back) == 5 else []

    cloud.receipts_of = jumbled
    box = await build_box(broker.v4)
    await box.read(*range(1, 501))
    box.start()
    status = await box.until(lambda s: s.pending == 0)
    await box.counted("receipts.again", 500)

    assert (status.aside, box.counters.snapshot()["receipts.stored"]) == (500, 500)


async def test_a_broker_that_was_killed_and_restarted_costs_nothing(
    broker: Any, cloud: Any, build_box: BuildBox, quick: None
) -> None:
    # The first delivery is stored, but its receipt dies with the broker.
    cloud.receipts_of = lambda to, envelope, _times: to.keep(envelope) or []
    box = await build_box(broker.v4)
    box.start()
    await box.read(*range(1, 11), live=True)
    await cloud.until(lambda c: len(c.held) == 10)
    await asyncio.to_thread(broker.kill)
    await box.counted("mqtt.unreachable")
    await box.read(*range(11, 21), live=True)
    assert (await box.outbox.status()).pending == 20

    cloud.receipts_of = lambda to, envelope, _times: [to.keep(envelope) or to.receipt(envelope)]
    await asyncio.to_thread(broker.start)
    await box.until(lambda s: s.pending == 0)

    assert sorted(n for _, n in cloud.held) == list(range(1, 21))
    assert len(cloud.keys) == 20


async def test_parked_and_duplicate_numbers_are_settled_and_parked_ones_stay_visible(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    def judged(to: Any, envelope: Envelope, _times: int) -> list[bytes]:
        to.keep(envelope)
        parked = [Parked(2, "body: poison")]
        return [to.receipt(envelope, duplicates=[1], parked=parked)]

    cloud.receipts_of = judged
    box = await build_box(broker.v4)
    await box.read(1, 2, 3)
    box.start()
    status = await box.until(lambda s: s.pending == 0)

    assert [(row.why, row.number) for row in status.parked] == [("body: poison", 2)]
    assert status.aside == 2
    assert box.counters.snapshot()["receipts.duplicate"] == 1


async def test_a_receipt_that_asks_for_a_new_epoch_gets_one_and_only_one(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    def twice_new(to: Any, envelope: Envelope, _times: int) -> list[bytes]:
        to.keep(envelope)
        first = len({epoch for epoch, _ in to.held}) == 1
        return [to.receipt(envelope, new_epoch=first)] * 2

    cloud.receipts_of = twice_new
    box = await build_box(broker.v4)
    old = (await box.outbox.status()).epoch
    await box.read(1)
    box.start()
    status = await box.until(lambda s: s.epoch != old)
    await box.counted("receipts.again")
    await box.read(2)
    await box.until(lambda s: s.pending == 0)

    assert {(old, 1), (status.epoch, 1)} == set(cloud.held)
    assert box.counters.snapshot()["receipts.new_epoch"] == 1


async def test_garbage_and_receipts_for_others_are_counted_and_settle_nothing(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    def strange(to: Any, envelope: Envelope, _times: int) -> list[bytes]:
        return [
            b"\xff\x00garbage",
            b"[" * 100_000,
            b'{"schema":"vitalgate.receipt/1"}',
            to.receipt(envelope, agent="box-2"),
            to.receipt(envelope, epoch="0" * 16),
            to.receipt(envelope, envelope="0" * 64),
            to.receipt(envelope, schema="vitalgate.receipt/9"),
            to.receipt(envelope, duplicates=[77]),
            to.receipt(envelope, duplicates=[1], parked=[Parked(1, "both")]),
        ]

    cloud.receipts_of = strange
    box = await build_box(broker.v4)
    await box.read(1)
    box.start()
    await box.counted("receipts.refused", 2)
    cloud.say(Down.LEDGER, b"\x00\x01")
    await box.counted("ledger.garbage")

    counted = box.counters.snapshot()
    assert (await box.outbox.status()).pending == 1
    assert (counted["receipts.garbage"], counted["receipts.foreign"]) == (3, 2)
    assert (counted["receipts.unknown"], counted["receipts.unknown_schema"]) == (1, 1)
    assert box.task is not None
    assert not box.task.done()


async def test_an_envelope_is_cut_to_what_the_broker_takes_and_one_reading_that_is_too_big_stops_no_other(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    box = await build_box(broker.v4, packet_bytes_max=3_000)
    noise = {f"k{i}": f"{hash((i, 'x')):x}" for i in range(400)}
    await box.read(1, 2, 3)
    await box.read(4, context=noise)
    await box.read(*range(5, 60))
    box.start()
    status = await box.until(lambda s: s.pending == 1)

    assert {n for _, n in cloud.held} == set(range(1, 60)) - {4}
    assert status.pending == 1
    assert box.counters.snapshot()["envelopes.oversize"] == 1


async def test_something_that_is_no_broker_is_tried_again_and_again(
    build_box: BuildBox, quick: None
) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    box = await build_box(server.sockets[0].getsockname()[1])
    box.start()
    await box.counted("mqtt.unreachable", 3)

    assert box.task is not None
    assert not box.task.done()
    await box.stop()
    server.close()


async def test_status_is_retained_and_an_orderly_stop_says_so(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    box = await build_box(broker.v4)
    box.start()
    await box.read(1)
    await cloud.until(lambda c: any(s.issued == 1 and s.pending == 0 for s in c.statuses))
    assert cloud.statuses[0].online
    assert cloud.statuses[-1].version == "test"

    await box.stop()
    await cloud.until(lambda c: not c.statuses[-1].online)


async def test_the_last_will_speaks_for_a_box_that_vanishes(broker: Any, cloud: Any) -> None:
    will = encode_status(Status(agent="box-1", online=False, at="", version="gone"))
    settings = MqttSettings(host="127.0.0.1", port=broker.v4)
    connection = Connection(
        settings, Branch("demo", "box-1"), Counters(), will=will, changed=lambda: None
    )
    await connection.open()
    # As a power cut does: no word to the broker.
    connection.close()

    await cloud.until(lambda c: [s.version for s in c.statuses] == ["gone"])


async def test_a_cloud_that_went_back_in_time_is_sent_again_what_it_lost(
    broker: Any, cloud: Any, build_box: BuildBox, quick: None
) -> None:
    cloud.commit = 100
    box = await build_box(broker.v4)
    box.start()
    for number in range(1, 11):
        await box.read(number)
    await box.until(lambda s: s.pending == 0)
    # A backup is restored: seven readings and their commits are gone.
    with cloud.changed:
        for number in range(4, 11):
            cloud.held = {at: key for at, key in cloud.held.items() if at[1] != number}
        cloud.commit = 1
    box.clock.skew_s += 61.0
    await box.read(11)
    await cloud.until(lambda c: len(c.held) == 11)
    await box.until(lambda s: s.pending == 0 and s.aside == 11)

    assert box.counters.snapshot()["ledger.new_era"] >= 1


async def test_a_difference_that_stays_after_a_receipted_resend_is_reported_and_not_sent_for_ever(
    broker: Any, cloud: Any, build_box: BuildBox, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.ledger_check.QUESTION_EVERY_S", 0.2)

    def nothing_held(to: Any, nonce: str) -> bytes:
        return encode(
            Answer(nonce=nonce, agent="box-1", store=to.store, commit=to.commit, epochs=[])
        )

    cloud.answer_of = nothing_held
    box = await build_box(broker.v4)
    box.start()
    await box.read(1, 2, 3)
    await cloud.until(lambda c: c.questions >= 6)
    await box.until(lambda s: s.pending == 0)

    assert [e.header.count for e in cloud.envelopes] == [3, 3]
    assert box.counters.snapshot()["ledger.differs"] >= 3


async def test_numbers_that_were_never_given_here_make_a_new_epoch(
    broker: Any, cloud: Any, build_box: BuildBox
) -> None:
    box = await build_box(broker.v4)
    old = (await box.outbox.status()).epoch
    with cloud.changed:
        cloud.held[old, 1] = "20260301-c-somebody-else"
    box.start()
    status = await box.until(lambda s: s.epoch != old)
    await box.read(1)
    await box.until(lambda s: s.pending == 0)

    assert (status.epoch, 1) in cloud.held
