"""A broker that takes no large message and doesn't say so: it drops what it acknowledged, or hangs up. Readings get past it."""

import secrets
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from edge.exchange import Exchange
from edge.inflight import PATIENCE_S_MAX
from edge.outbox.port import AsyncOutbox
from edge.publish import BACKOFF_S_MAX, Heard
from gateway.model.observation import Observation
from gateway.runtime.clock import ManualClock
from gateway.runtime.counters import Counters
from gateway.wire.envelope import decode_header, envelope_hash
from gateway.wire.receipts import Answer, Receipt, decode_question, encode
from gateway.wire.topics import Down, Up

Make = Callable[..., Observation]
DEVICE = "d1" * 10
DROPS, HANGS_UP = "drops it", "hangs up"
TURNS_MAX = 200  # each as long as an envelope waits for its receipt at most, or the box for its next connection


class Broker:
    """One connection: what is larger than `takes` is dropped, or ends it. The cloud behind it receipts the rest."""

    packet_bytes_max = 250_000

    def __init__(self, takes: int, how: str) -> None:
        self._takes = takes
        self._how = how
        self.ended = False
        self.said: list[Heard] = []
        self.numbers: set[int] = set()

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:
        assert retain == (leaf is Up.STATUS)
        if self.ended:
            return True  # into a socket whose other end is closed
        if leaf is Up.OBSERVATIONS and len(payload) > self._takes:
            self.ended = self._how == HANGS_UP
        elif leaf is Up.OBSERVATIONS:
            self._receipt(payload)
        elif leaf is Up.LEDGER:
            nonce = decode_question(payload).nonce
            answer = Answer(nonce=nonce, agent="box-1", store="s", commit=1, epochs=[])
            self.said.append(Heard(Down.LEDGER, encode(answer)))
        return True

    def _receipt(self, payload: bytes) -> None:
        header, _ = decode_header(payload)
        self.numbers |= set(header.numbers)
        receipt = Receipt(
            envelope=envelope_hash(payload),
            agent="box-1",
            epoch=header.epoch,
            store="s",
            commit=1,
        )
        self.said.append(Heard(Down.RECEIPTS, encode(receipt)))


class Box:
    """An agent's exchange on a clock that is moved by hand, connected again whenever it is hung up on."""

    def __init__(self, outbox: AsyncOutbox, clock: ManualClock, make: Make) -> None:
        self.outbox = outbox
        self.counters = Counters()
        self._clock = clock
        self._make = make
        self._exchange = Exchange(outbox, "box-1", clock, self.counters, rng=Random(1), version="1")

    async def read(self, first: int, rows: int, size: int, *, live: bool = False) -> None:
        """Readings that nothing can squeeze."""
        told = [
            self._make(n, context={"pad": secrets.token_hex(size // 2)[:200]} | _padding(size))
            for n in range(first, first + rows)
        ]
        await self.outbox.accept(DEVICE, told, live=[live] * rows)

    async def pending(self) -> int:
        return (await self.outbox.status()).pending

    async def get_through(self, takes: int, how: str, leave: int = 0) -> int:
        """Go on until no more than `leave` wait; how many turns that took."""
        broker = await self._connect(takes, how)
        for turn in range(TURNS_MAX):
            await self._exchange.send(broker)
            while broker.said and not broker.ended:
                await self._exchange.hear(broker.said.pop(0))
                await self._exchange.send(broker)
            if await self.pending() <= leave:
                return turn
            if broker.ended:
                self._exchange.lost()
                broker = await self._connect(takes, how)
                self._clock.advance(BACKOFF_S_MAX)
                continue
            self._clock.advance(PATIENCE_S_MAX * 1.25)
        raise AssertionError(f"{await self.pending()} wait still")

    async def _connect(self, takes: int, how: str) -> Broker:
        await self._exchange.connected()
        return Broker(takes, how)


def _padding(size: int) -> dict[str, str]:
    return {f"p{n}": secrets.token_hex(100) for n in range(max(0, size // 200 - 1))}


@pytest.fixture
async def box(tmp_path: Path, observation: Make) -> AsyncIterator[Box]:
    clock = ManualClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    outbox = await AsyncOutbox.open(tmp_path / "outbox.sqlite", "box-1", clock)
    yield Box(outbox, clock, observation)
    await outbox.close()


@pytest.mark.parametrize("how", [DROPS, HANGS_UP])
async def test_envelopes_become_as_small_as_the_broker_takes(box: Box, how: str) -> None:
    await box.read(1, 300, 400)
    await box.get_through(3_000, how)


@pytest.mark.parametrize("how", [DROPS, HANGS_UP])
async def test_one_reading_that_is_too_large_stops_no_other(box: Box, how: str) -> None:
    await box.read(1, 1, 6_000)
    await box.read(2, 60, 400)
    await box.get_through(3_000, how, leave=1)


@pytest.mark.parametrize("how", [DROPS, HANGS_UP])
async def test_many_that_are_too_large_stop_no_fresh_one(box: Box, how: str) -> None:
    await box.read(1, 20, 6_000)
    await box.read(21, 5, 400)
    await box.get_through(3_000, how, leave=20)
    await box.read(26, 1, 400, live=True)
    assert await box.get_through(3_000, how, leave=20) == 0


@pytest.mark.parametrize("how", [DROPS, HANGS_UP])
async def test_what_was_set_back_goes_once_the_broker_takes_it(box: Box, how: str) -> None:
    await box.read(1, 1, 6_000)
    await box.read(2, 60, 400)
    await box.get_through(3_000, how, leave=1)
    await box.get_through(30_000, how)


async def test_a_fresh_reading_goes_again_at_once_after_connections_that_are_lost(box: Box) -> None:
    await box.read(1, 100, 400)
    await box.get_through(250_000, HANGS_UP)
    await box.read(101, 1, 400, live=True)
    for _ in range(10):
        with pytest.raises(AssertionError, match="1 wait still"):
            await box.get_through(0, HANGS_UP)
    assert await box.get_through(250_000, HANGS_UP) == 0
