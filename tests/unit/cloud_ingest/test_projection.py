"""The projection over real records and a real series: order, moves, replays, refusals, rebuilds."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud_ingest.projection import REPLAY_ROWS, Projection, rebuild
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.records.projection import Tail
from cloud_ingest.stores.records.schema import journal, projection, repoints, unprojected
from cloud_ingest.stores.series import Point, RefusedPoint
from gateway.runtime.errors import StoreError

FOREVER = 10**16


@dataclass
class Fickle:
    """A series that can be away, refuse some values, or forget; else the embedded one."""

    inner: EmbeddedSeries
    away: bool = False
    refuses: float | None = None
    writes: list[int] = field(default_factory=list)
    name: str = "fickle"

    def write(self, points: Sequence[Point]) -> Sequence[RefusedPoint]:
        self._here()
        self.writes.append(len(points))
        bad = [p for p in points if p.fields.get("systolic") == self.refuses]
        self.inner.write([p for p in points if p not in bad])
        return [RefusedPoint(p, "type conflict") for p in bad]

    def erase(self, points: Sequence[Point]) -> None:
        self._here()
        self.inner.erase(points)

    def read(self, kind: str, subject: str, since_us: int, until_us: int) -> Sequence[Point]:
        self._here()
        return self.inner.read(kind, subject, since_us, until_us)

    def scan(self, kind: str, device: str | None, since_us: int, limit: int) -> Sequence[Point]:
        return self.inner.scan(kind, device, since_us, limit)

    def wipe(self) -> None:
        self._here()
        self.inner.wipe()

    def close(self) -> None:
        self.inner.close()

    def _here(self) -> None:
        if self.away:
            raise StoreError("the series is away", retry=True)


@dataclass
class Scene:
    """Records, a series, and what carries one to the other."""

    kit: object
    series: Fickle
    folder: Path

    def tail(self, writer: str = "embedded") -> Tail:
        return Tail(self.kit.records.engine, writer, self.kit.clock)

    def projection(self) -> Projection:
        return Projection(self.tail(), self.series, self.folder / "projection.lock", self.kit.clock)

    def points(self) -> list[Point]:
        return list(self.series.scan("blood_pressure", None, -FOREVER, 100_000))

    def catch_up(self, projecting: Projection | None = None) -> Projection:
        projecting = projecting or self.projection()
        while projecting.once():
            pass
        return projecting


@pytest.fixture
def scene(kit, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(kit, Fickle(EmbeddedSeries(tmp_path / "series.sqlite")), tmp_path)
    yield made
    made.series.close()


def systolics(points: Sequence[Point]) -> list[object]:
    return [point.fields["systolic"] for point in points]


def test_each_stored_reading_becomes_one_point(scene: Scene) -> None:
    kit = scene.kit
    seen = [kit.bp(120 + n, 80, ago=n * 10, sequence=n) for n in range(3)]
    kit.send(1, *seen)
    kit.send(4, seen[0])  # a duplicate under another number
    scene.catch_up()
    assert sorted(systolics(scene.points())) == [120.0, 121.0, 122.0]
    assert {point.subject for point in scene.points()} == {f"device:{kit.cuff}"}


def test_two_readings_of_one_second_are_two_points(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80, sequence=1), kit.bp(180, 80, sequence=2))
    scene.catch_up()
    assert sorted(systolics(scene.points())) == [120.0, 180.0]


def test_lag_counts_what_waits_and_ends_when_it_is_written(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80, sequence=1), kit.bp(121, 80, sequence=2))
    kit.clock.advance(7)
    projecting = scene.projection()
    state = projecting.state()
    assert (state.readings, state.lag_s) == (2, 7.0)
    scene.catch_up(projecting)
    state = projecting.state()
    assert (state.readings, state.lag_s) == (0, 0.0)


def test_a_series_that_is_away_costs_nothing_but_lag(scene: Scene) -> None:
    kit = scene.kit
    scene.series.away = True
    projecting = scene.projection()
    kit.send(1, kit.bp(120, 80))
    with pytest.raises(StoreError):
        projecting.once()
    kit.send(2, kit.bp(130, 80, ago=5))
    assert projecting.state().readings == 2
    scene.series.away = False
    scene.catch_up(projecting)
    assert sorted(systolics(scene.points())) == [120.0, 130.0]


def test_what_a_series_forgot_at_its_restart_is_written_again(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80))
    projecting = scene.catch_up()
    scene.series.away = True
    kit.send(2, kit.bp(130, 80, ago=5))
    with pytest.raises(StoreError):
        projecting.once()
    projecting._unwell("the series is away")
    scene.series.inner.wipe()
    scene.series.away = False
    scene.catch_up(projecting)
    assert sorted(systolics(scene.points())) == [120.0, 130.0]


def test_a_start_writes_the_last_rows_again(scene: Scene) -> None:
    kit = scene.kit
    for n in range(REPLAY_ROWS + 20):
        kit.clock.advance(10)
        kit.send(n + 1, kit.bp(100 + n % 100, 80, ago=n, sequence=n))
    scene.catch_up()
    scene.series.inner.wipe()
    scene.catch_up()
    assert len(scene.points()) == REPLAY_ROWS


def test_a_start_goes_back_a_minute_even_through_more_rows(scene: Scene) -> None:
    kit = scene.kit
    many = REPLAY_ROWS + 50
    for n in range(many):
        kit.send(n + 1, kit.bp(100 + n % 100, 80, ago=n, sequence=n))
    scene.catch_up()
    scene.series.inner.wipe()
    scene.catch_up()
    assert len(scene.points()) == many


def test_a_replay_does_not_move_the_mark_back(scene: Scene) -> None:
    kit = scene.kit
    for n in range(3):
        kit.send(n + 1, kit.bp(120, 80, ago=n * 5, sequence=n))
    scene.catch_up()
    projecting = scene.projection()
    assert projecting.once()
    assert scene.tail().mark() == 3
    assert not projecting.once()


def test_a_refused_point_is_kept_with_the_words_and_the_others_go_in(scene: Scene) -> None:
    kit = scene.kit
    scene.series.refuses = 180.0
    kit.send(
        1,
        kit.bp(120, 80, sequence=1),
        bad := kit.bp(180, 80, ago=3, sequence=2),
        kit.bp(121, 80, ago=6, sequence=3),
    )
    projecting = scene.catch_up()
    assert sorted(systolics(scene.points())) == [120.0, 121.0]
    (row,) = kit.rows(unprojected)
    assert (row["key"], row["why"], row["position"]) == (bad.key, "type conflict", 1)
    assert projecting.state().unwritten == 1
    assert scene.tail().mark() == 1


def test_a_refusal_is_forgotten_once_the_point_is_taken(scene: Scene) -> None:
    kit = scene.kit
    scene.series.refuses = 180.0
    kit.send(1, kit.bp(180, 80))
    scene.catch_up()
    assert len(kit.rows(unprojected)) == 1
    scene.series.refuses = None
    scene.catch_up()
    assert kit.rows(unprojected) == []
    assert systolics(scene.points()) == [180.0]


def test_a_refusal_stays_though_another_value_of_the_same_key_is_taken(scene: Scene) -> None:
    kit = scene.kit
    scene.series.refuses = 180.0
    refused = kit.bp(180, 80, 10)
    kit.send(1, refused)
    projecting = scene.catch_up()
    kit.send(2, kit.bp(121, 80, 10, key=refused.key))
    scene.catch_up(projecting)
    assert systolics(scene.points()) == [121.0]
    assert [(row["key"], row["journal"]) for row in kit.rows(unprojected)] == [(refused.key, 1)]


@pytest.mark.parametrize("apart", [False, True])
def test_two_values_of_one_key_that_are_both_refused_are_two(
    scene: Scene,
    apart: bool,  # noqa: FBT001 a case
) -> None:
    kit = scene.kit
    scene.series.refuses = 180.0
    first = kit.bp(180, 80, 10)
    told = first, kit.bp(180, 81, 10, key=first.key)
    for n, batch in enumerate([(one,) for one in told] if apart else [told]):
        kit.send(n + 1, *batch)
        projecting = scene.catch_up()
    assert [(row["key"], row["why"]) for row in kit.rows(unprojected)] == [
        (first.key, "type conflict")
    ] * 2
    assert projecting.state().unwritten == 2
    scene.series.refuses = None
    scene.catch_up()
    assert kit.rows(unprojected) == []


def test_an_assigned_reading_moves_with_its_measurement_time(scene: Scene) -> None:
    kit = scene.kit
    seen = kit.bp(150, 90)
    kit.send(1, seen)
    projecting = scene.catch_up()
    (before,) = scene.points()
    patient = kit.records.add_patient("Ann Example")
    kit.records.assign(seen.key, patient.id, "nurse")
    assert len(kit.rows(repoints)) == 1
    scene.catch_up(projecting)
    (after,) = scene.points()
    assert (before.subject, after.subject) == (f"device:{kit.cuff}", patient.id)
    assert after.time_us // 1_000_000 == before.time_us // 1_000_000
    assert kit.rows(repoints) == []


def test_a_move_before_the_first_projection_leaves_no_second_point(scene: Scene) -> None:
    kit = scene.kit
    seen = kit.bp(150, 90)
    kit.send(1, seen)
    patient = kit.records.add_patient("Ann Example")
    kit.records.assign(seen.key, patient.id, "nurse")
    scene.catch_up()
    assert [point.subject for point in scene.points()] == [patient.id]


def test_a_place_that_a_moved_reading_left_may_be_taken_by_the_next(scene: Scene) -> None:
    kit = scene.kit
    moved = kit.bp(150, 90, sequence=1)
    kit.send(1, moved)
    projecting = scene.catch_up()
    patient = kit.records.add_patient("Ann Example")
    kit.records.assign(moved.key, patient.id, "nurse")
    kit.send(2, kit.bp(151, 90, sequence=2))
    scene.catch_up(projecting)
    assert sorted((p.subject, p.fields["systolic"]) for p in scene.points()) == sorted(
        [(patient.id, 150.0), (f"device:{kit.cuff}", 151.0)]
    )


def test_a_damaged_journal_row_is_named_and_its_points_stay_as_they_were(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80))
    scene.catch_up()
    altered = kit.payload(1, kit.bp(199, 80))
    with kit.records.engine.begin() as connection:
        connection.execute(journal.update().values(payload=altered))
    kit.send(2, kit.bp(121, 80, ago=5))
    scene.catch_up()
    assert sorted(systolics(scene.points())) == [120.0, 121.0]
    assert "damaged" in kit.rows(unprojected)[0]["why"]


def test_poison_in_the_journal_is_passed_by(scene: Scene) -> None:
    kit = scene.kit
    header, _, _ = kit.payload(1, kit.bp(120, 80)).partition(b"\n")
    kit.ingest(header + b"\n" + b"poison")
    kit.send(2, kit.bp(121, 80, ago=5))
    projecting = scene.catch_up()
    assert systolics(scene.points()) == [121.0]
    assert projecting.state().readings == 0


def test_a_rebuild_gives_the_same_points(scene: Scene) -> None:
    kit = scene.kit
    seen = [kit.bp(120 + n % 40, 80, ago=n // 2, sequence=n) for n in range(60)]
    for n, one in enumerate(seen):
        kit.send(n + 1, one)
    patient = kit.records.add_patient("Ann Example")
    kit.records.assign(seen[5].key, patient.id, "nurse")
    scene.catch_up()
    before = scene.points()
    assert len(before) == 60
    scene.series.inner.write([Point("blood_pressure", "stray", "d", 1, {"systolic": 1.0})])
    told: list[tuple[int, int]] = []
    tail = scene.tail()
    rebuild(scene.projection(), tail, lambda: None, lambda done, last: told.append((done, last)))
    assert scene.points() == before
    assert told[-1] == (60, 60)


def test_a_rebuild_that_was_killed_is_finished_by_the_next_pass(scene: Scene) -> None:
    kit = scene.kit
    for n in range(5):
        kit.send(n + 1, kit.bp(120 + n, 80, ago=n * 5, sequence=n))
    scene.catch_up()
    before = scene.points()
    running = scene.projection()
    scene.catch_up(running)
    scene.series.inner.write([Point("blood_pressure", "stray", "d", 1, {"systolic": 1.0})])
    scene.tail().begin_anew()  # and here the rebuild is killed
    scene.catch_up(running)
    assert scene.points() == before


def test_a_rebuild_asked_for_during_a_pass_is_not_lost(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80))
    tail = scene.tail()
    work = tail.take(tail.mark(), 100)
    scene.tail().begin_anew()
    tail.done(work.rows[-1].id, repointed=[], unwritten=[], written=[])
    assert tail.mark() == -1


def test_one_process_at_a_time_has_its_turn(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80))
    first, second = scene.projection(), scene.projection()
    with first._alone() as alone:
        assert alone
        assert not second.once()
    assert second.once()


def test_another_series_begins_at_the_first_row(scene: Scene) -> None:
    kit = scene.kit
    kit.send(1, kit.bp(120, 80))
    scene.catch_up()
    assert scene.tail("influx http://h o/b").mark() == 0
    assert [row["writer"] for row in kit.rows(projection)] == ["influx http://h o/b"]


def test_batches_are_bounded(scene: Scene) -> None:
    kit = scene.kit
    for n in range(12):
        kit.send(
            n * 1000 + 1,
            *(kit.bp(120, 80, ago=i / 60, sequence=n * 1000 + i) for i in range(1000)),
        )
    scene.catch_up()
    assert max(scene.series.writes) == 5_000
    assert len(scene.points()) == 12_000


def test_the_thread_tells_of_a_series_that_is_away_and_catches_up(scene: Scene) -> None:
    kit = scene.kit
    scene.series.away = True
    kit.send(1, kit.bp(120, 80))
    projecting = scene.projection()
    projecting.start()
    try:
        wait_until(lambda: projecting.state().trouble == "the series is away")
        scene.series.away = False
        wait_until(lambda: systolics(scene.points()) == [120.0])
        wait_until(lambda: projecting.state().trouble == "")
    finally:
        projecting.stop()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
