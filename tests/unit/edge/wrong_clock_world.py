"""A box whose clock is wrong, its outbox and a cloud, on clocks that are moved by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import select

from cloud_ingest.points import render
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.journal import JournalRow, read_rows
from cloud_ingest.stores.records.schema import alerts, journal
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery
from edge.exchange import Exchange
from edge.outbox.port import AsyncOutbox
from edge.publish import Heard
from edge.sending import TIME_S_MAX
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import ManualClock, iso
from gateway.runtime.counters import Counters
from gateway.wire.receipts import Question, decode_question, encode
from gateway.wire.topics import Branch, Down, Up

TRUE = datetime(2026, 3, 14, 7, 5, tzinfo=UTC)
BEHIND_S = 25 * 3_600.0
METER = "a1" * 10
BRANCH = Branch("demo", "box-1")


class Line:
    """A connection: what is said on it waits until the test lets it through."""

    packet_bytes_max = 250_000

    def __init__(self) -> None:
        self.up: list[tuple[Up, bytes]] = []

    def send(self, leaf: Up, payload: bytes, *, retain: bool = False) -> bool:
        assert retain == (leaf is Up.STATUS)
        self.up.append((leaf, payload))
        return True

    def of(self, leaf: Up) -> list[bytes]:
        return [payload for one, payload in self.up if one is leaf]


class World:
    """One box and the cloud. Time passes for both alike; their wall clocks are their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.box = ManualClock(TRUE - timedelta(seconds=BEHIND_S))
        self.cloud = ManualClock(TRUE)
        self.records = Records.open(
            folder / "records.sqlite", "demo", self.cloud, default_thresholds(), sole_ingester=True
        )
        patient = self.records.add_patient("Wearer")
        self.records.bind(patient.id, METER, since=TRUE - timedelta(hours=1))
        self.line = Line()
        self._number = 0

    async def start(self) -> None:
        """The agent begins, on the outbox that it left."""
        self.counters = Counters()
        self.outbox = await AsyncOutbox.open(self.folder / "outbox.sqlite", "box-1", self.box)
        self.exchange = Exchange(
            self.outbox, "box-1", self.box, self.counters, rng=Random(1), version="1"
        )

    async def restart(self, *, reboot: bool = False) -> None:
        await self.outbox.close()
        if reboot:
            self.box.reboot()
        await self.start()

    def pass_s(self, seconds: float) -> None:
        self.box.advance(seconds)
        self.cloud.advance(seconds)

    async def read(
        self, mgdl: int = 40, source: Source = Source.PUSHED, *, in_doubt: bool = False
    ) -> None:
        """The meter tells of a measurement that it took a second ago, by a clock that the box may doubt."""
        self._number += 1
        at = self.box.now() - timedelta(seconds=1)
        parts = {"value": Part(unit="mg/dL", value=f"{mgdl}")}
        content = content_hash("glucose", parts)
        stamp = Stamp(Scheme.RECORD, at.replace(tzinfo=None), content, self._number)
        seen = Observation(
            key=observation_key(METER, "glucose", stamp, at.date()),
            device=METER,
            kind="glucose",
            parts=parts,
            time=Moment(
                utc=iso(at),
                method=TimeMethod.CORRECTED,
                early_s=2.0,
                late_s=2.0,
                box_in_doubt=in_doubt,
            ),
            content=content,
            source=source,
            accepted=iso(self.box.now()),
            driver="test",
            profile="test/one",
            transport="ble",
        )
        await self.outbox.accept(METER, [seen], live=[True])

    async def connect(self) -> None:
        """The broker is there."""
        self.line = Line()
        await self.exchange.connected()
        await self.exchange.send(self.line)

    async def answer(self, *, after_s: float = 0.0) -> None:
        """The cloud answers the last question, as of when half of that has passed."""
        nonce = decode_question(self.line.of(Up.LEDGER)[-1]).nonce
        self.pass_s(after_s / 2)
        told = encode(self.records.answer("box-1", Question(nonce=nonce)))
        self.pass_s(after_s / 2)
        await self.exchange.hear(Heard(Down.LEDGER, told))
        await self.exchange.send(self.line)

    async def arrive(self) -> None:
        """What was sent reaches the cloud, and is receipted."""
        for payload in self.line.of(Up.OBSERVATIONS):
            delivery = Delivery(BRANCH.up(Up.OBSERVATIONS), payload, self.cloud.now())
            (verdict,) = self.records.ingest([delivery])
            assert verdict.receipt is not None
            await self.exchange.hear(Heard(Down.RECEIPTS, encode(verdict.receipt)))

    async def lose_what_is_sent(self) -> None:
        """Nobody says the time, so readings go without it and are lost; then the cloud answers, and they go again."""
        self.pass_s(TIME_S_MAX)
        await self.exchange.send(self.line)
        self.line.up = [one for one in self.line.up if one[0] is Up.LEDGER]
        await self.answer(after_s=2.0)
        self.pass_s(20)
        await self.exchange.send(self.line)

    def rows(self) -> list[JournalRow]:
        with self.records.engine.connect() as connection:
            ids = list(connection.execute(select(journal.c.id)).scalars())
        return list(read_rows(self.records.engine, ids).values())

    def alerts(self) -> list[tuple[str, int]]:
        with self.records.engine.connect() as connection:
            found = connection.execute(select(alerts.c.state, alerts.c.measured_us))
            return [(state, us) for state, us in found]

    def must_page(self, measured: datetime) -> None:
        """One open alert, and journal, rules and series agree on when."""
        ((state, us),) = self.alerts()
        assert state == "open"
        assert abs(us / 1e6 - measured.timestamp()) < 12
        row = self.rows()[0]
        (seen,), (fate,) = row.observations, row.fates
        assert row.intact
        assert seen is not None
        assert abs((datetime.fromisoformat(seen.time.utc) - measured).total_seconds()) < 12
        assert abs(render(seen, fate).time_us / 1e6 - measured.timestamp()) < 12
