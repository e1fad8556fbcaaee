"""A box whose clock is wrong, its outbox and a cloud, on clocks that are moved by hand: a live crisis pages, at its true time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from cloud_ingest.points import render
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.journal import JournalRow, read_rows
from cloud_ingest.stores.records.schema import alerts, journal
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery
from edge.exchange import Exchange
from edge.ledger_check import ANSWER_S, QUESTION_EVERY_S
from edge.outbox.port import AsyncOutbox
from edge.publish import Heard
from edge.sending import TIME_S_MAX
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod
from gateway.runtime.clock import ManualClock, iso
from gateway.runtime.counters import Counters
from gateway.wire.envelope import decode_header
from gateway.wire.receipts import Question, decode_question, encode
from gateway.wire.status import Status, decode_status
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


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.outbox.close()
    made.records.close()


async def test_a_clock_that_is_still_wrong_is_corrected_by_the_cloud_s(world: World) -> None:
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    assert world.line.of(Up.OBSERVATIONS) == []
    await world.answer(after_s=2.0)
    await world.arrive()

    world.must_page(measured)
    (payload,) = world.line.of(Up.OBSERVATIONS)
    assert decode_header(payload)[0].clock_off_s == pytest.approx(BEHIND_S)
    assert (await world.outbox.status()).pending == 0


async def test_a_step_between_accepting_and_sending_is_seen_without_the_cloud_s_help(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    world.pass_s(300)
    world.box.step(BEHIND_S)
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    world.must_page(measured)


async def test_an_agent_that_starts_anew_in_the_same_boot_knows_what_its_rows_rest_on(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    world.pass_s(60)
    await world.restart()
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()
    await world.arrive()

    world.must_page(measured)


async def test_after_a_boot_nothing_is_known_and_the_time_stays_as_it_was_told(
    world: World,
) -> None:
    await world.read()
    told = world.box.now() - timedelta(seconds=1)
    await world.restart(reboot=True)
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()
    await world.arrive()

    (row,) = world.rows()
    (seen,) = row.observations
    assert seen is not None
    assert seen.time.utc == iso(told)
    assert seen.time.box_off_s is None


async def test_a_reading_of_hours_ago_is_late_however_the_clock_ran(world: World) -> None:
    world.box.step(BEHIND_S + 86_400)  # a day ahead: by that clock nothing is ever old
    await world.read()
    measured = world.cloud.now()
    world.pass_s(3 * 3_600)
    await world.connect()
    await world.answer()
    await world.arrive()

    ((state, us),) = world.alerts()
    assert state == "late"
    assert abs(us / 1e6 - measured.timestamp()) < 12


@pytest.mark.parametrize("off_s", [0.0, 0.4, -29.0])
@pytest.mark.parametrize(("waits_s", "expected"), [(60, "open"), (3 * 3_600, "late")])
async def test_a_doubt_that_the_cloud_s_time_dispels_is_told_to_nobody(
    world: World, off_s: float, waits_s: int, expected: str
) -> None:
    """A clock once ran ahead, and the box booted with the right time: it shows less than it did, and is right all the same."""
    world.box.step(BEHIND_S - off_s)
    await world.read(in_doubt=True)
    measured = world.cloud.now()
    world.pass_s(waits_s)
    await world.connect()
    await world.answer()
    await world.arrive()

    ((state, us),) = world.alerts()
    assert state == expected
    assert abs(us / 1e6 - measured.timestamp()) < 12
    ((seen,),) = (row.observations for row in world.rows())
    assert seen is not None
    assert not seen.time.box_in_doubt


async def test_a_doubt_stands_while_the_cloud_has_not_said_the_time(world: World) -> None:
    world.box.step(BEHIND_S)
    await world.read(in_doubt=True)
    world.pass_s(3 * 3_600)
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["open"]  # rather a page too many


async def test_a_doubt_that_the_cloud_perhaps_never_had_is_dispelled_before_it_goes_again(
    world: World,
) -> None:
    world.box.step(BEHIND_S)
    await world.read(in_doubt=True)
    world.pass_s(3 * 3_600)
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)  # and is lost on its way
    world.line.up = [one for one in world.line.up if one[0] is Up.LEDGER]
    await world.answer(after_s=2.0)
    world.pass_s(20)
    await world.exchange.send(world.line)
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["late"]
    assert (await world.outbox.status()).pending == 0


async def test_no_answer_holds_readings_up_for_a_moment_only(world: World) -> None:
    world.box.step(BEHIND_S)
    await world.connect()
    await world.read()
    await world.exchange.send(world.line)
    assert world.line.of(Up.OBSERVATIONS) == []
    assert 0 < world.exchange.pause_s() <= TIME_S_MAX

    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    await world.arrive()

    assert [state for state, _ in world.alerts()] == ["open"]


async def test_what_the_cloud_perhaps_never_had_goes_again_with_the_time_that_is_known_by_now(
    world: World,
) -> None:
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)  # and is lost on its way
    world.line.up = [one for one in world.line.up if one[0] is Up.LEDGER]
    await world.answer(after_s=2.0)
    world.pass_s(20)
    await world.exchange.send(world.line)
    await world.arrive()

    world.must_page(measured)
    assert (await world.outbox.status()).pending == 0


async def test_rows_that_came_with_two_offsets_are_duplicates_and_no_conflicts(
    world: World,
) -> None:
    await world.read()
    await world.connect()
    world.pass_s(TIME_S_MAX)
    await world.exchange.send(world.line)
    first = list(world.line.up)
    await world.answer(after_s=2.0)
    world.pass_s(20)
    await world.exchange.send(world.line)
    assert len(set(world.line.of(Up.OBSERVATIONS))) == 2
    assert first[-1] in world.line.up
    await world.arrive()

    assert world.records.counts()["conflicts"] == 0
    assert world.records.counts()["ledger_apart"] == 0
    assert len(world.rows()) == 1
    assert (await world.outbox.status()).pending == 0


async def test_an_answer_that_comes_late_is_asked_for_again(world: World) -> None:
    await world.connect()
    await world.answer(after_s=30.0)
    assert decode_status(world.line.of(Up.STATUS)[-1]).clock_off_s is None

    world.pass_s(2 * ANSWER_S)
    await world.exchange.send(world.line)
    await world.answer()
    world.pass_s(10)
    await world.exchange.send(world.line)

    status: Status = decode_status(world.line.of(Up.STATUS)[-1])
    assert status.clock_off_s == pytest.approx(BEHIND_S)
    assert len(world.line.of(Up.LEDGER)) == 2
    assert world.exchange.pause_s() < QUESTION_EVERY_S


async def test_rows_from_before_and_after_a_step_travel_apart(world: World) -> None:
    await world.read(120)
    world.pass_s(60)
    await world.read(121)
    world.box.step(BEHIND_S)
    await world.read(122)
    await world.connect()
    await world.answer()

    headers = [decode_header(payload)[0] for payload in world.line.of(Up.OBSERVATIONS)]
    assert [(h.first, h.count, h.clock_off_s) for h in headers] == [
        (1, 2, pytest.approx(BEHIND_S)),
        (3, 1, None),
    ]


async def test_a_fresh_reading_goes_before_the_backlog_also_after_a_step(world: World) -> None:
    for mgdl in range(100, 103):
        await world.read(mgdl, Source.MEMORY)
    world.pass_s(3 * 3_600)
    await world.read(40)
    world.box.step(BEHIND_S)
    await world.connect()
    await world.answer()

    first = decode_header(world.line.of(Up.OBSERVATIONS)[0])[0]
    assert first.first == 4


async def test_a_reading_of_the_inbox_is_given_with_the_corrected_time(
    world: World,
) -> None:
    for binding in world.records.bindings():
        world.records.unbind(binding.patient, METER, at=TRUE - timedelta(minutes=30))
    await world.read()
    measured = world.cloud.now()
    await world.connect()
    await world.answer()
    await world.arrive()
    (waiting,) = world.records.unassigned()
    assert abs(waiting.measured_us / 1e6 - measured.timestamp()) < 12

    world.records.assign(waiting.key, world.records.patients()[0].id, "a person")

    world.must_page(measured)
