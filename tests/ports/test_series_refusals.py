"""The time series says no, under the projection: the same outcome from the embedded one and from a real InfluxDB."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from cloud_ingest.projection import rebuild
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget
from cloud_ingest.stores.records.projection import refusals
from cloud_ingest.stores.series import Point, Series
from gateway.model.observation import Part
from gateway.runtime.errors import StoreError

CONFLICT = (
    'field type conflict: input field "diastolic" on measurement "blood_pressure" '
    "is type float, already exists as type string"
)


@pytest.fixture(params=["embedded", pytest.param("influx", marks=pytest.mark.services)])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Series]:
    made: Series
    if request.param == "embedded":
        made = EmbeddedSeries(tmp_path / "series.sqlite")
    else:
        buckets = request.getfixturevalue("buckets")
        name = uuid.uuid4().hex
        buckets.make(name)
        made = InfluxSeries(InfluxTarget(buckets.url, buckets.org, name, buckets.token))
    yield made
    made.close()


@pytest.fixture
def desk(series: Series, make_desk: Callable[[Series], object]):
    """Records that project into it."""
    return make_desk(series)


def a_word_for_a_number(at_us: int) -> Point:
    """Someone else's point, whose field is text where ours is a number."""
    return Point("blood_pressure", "other", "x", at_us, {"diastolic": "eighty", "key": "x"})


@dataclass
class Cut:
    """A series whose connection breaks after so many writes: what it was sent last is stored or lost, nobody knows."""

    inner: Series
    whole: int
    stores: bool
    name: str = "cut"

    def write(self, points: Sequence[Point]) -> Sequence[object]:
        self.whole -= 1
        if self.whole < 0:
            half = points if self.stores else points[: len(points) // 2]
            self.inner.write(half)
            raise StoreError("the connection broke", retry=True)
        return self.inner.write(points)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_a_type_conflict_parks_each_such_point_in_the_same_words_and_no_other(
    desk, series: Series
) -> None:
    series.write([a_word_for_a_number(desk.at_us())])
    desk.measure(101, 102, 103)
    projecting = desk.catch_up()
    assert len(desk.refused()) == 3
    assert all(CONFLICT in why for why in desk.refused().values())
    assert desk.systolics() == []
    state = projecting.state()
    assert (state.readings, state.unwritten, state.trouble) == (0, 3, "")


def test_the_others_of_a_batch_are_stored_and_exactly_the_refused_ones_are_parked(
    desk, series: Series
) -> None:
    series.write([Point("blood_pressure", "other", "x", desk.at_us(), {"pulse": "sixty"})])
    plain = [desk.reading(100 + n, timedelta(minutes=1 + n)) for n in range(60)]
    bad = (3, 4, 31, 59)
    for n in bad:
        plain[n] = replace(
            plain[n], parts={**plain[n].parts, "pulse": Part(unit="/min", value="70")}
        )
    desk.file(*plain)
    desk.catch_up()
    assert set(desk.refused()) == {plain[n].key for n in bad}
    assert all('input field "pulse"' in why for why in desk.refused().values())
    assert desk.systolics() == [100.0 + n for n in range(60) if n not in bad]


def test_a_rebuild_writes_what_was_refused_once_the_cause_is_mended(desk, series: Series) -> None:
    series.write([a_word_for_a_number(desk.at_us())])
    desk.measure(101, 102)
    desk.catch_up()
    assert len(desk.refused()) == 2
    rebuild(desk.projection(), desk.tail, lambda: None, lambda *_: None)
    assert desk.refused() == {}
    assert desk.systolics() == [101.0, 102.0]


def test_a_refused_reading_is_named_with_the_words_and_its_place(desk, series: Series) -> None:
    series.write([a_word_for_a_number(desk.at_us())])
    desk.measure(101)
    desk.catch_up()
    (told,) = refusals(desk.records.engine, 10)
    assert (told.journal, told.position) == (1, 0)
    assert CONFLICT in told.why
    assert refusals(desk.records.engine, 0) == []


@pytest.mark.parametrize("at_us", [9_223_372_036_854_775, -9_223_372_036_854_775, 10**18])
def test_a_place_where_no_point_can_be_is_refused_and_erased_without_fault(
    series: Series, at_us: int
) -> None:
    point = Point("blood_pressure", "p1", "d1", at_us, {"systolic": 101.0, "key": "k"})
    (refused,) = series.write([point])
    assert "outside the years 1678 to 2261" in refused.why
    series.erase([point])


@pytest.mark.parametrize("stores", [True, False])
def test_a_store_that_breaks_in_mid_batch_gets_it_whole_and_once(
    desk, series: Series, *, stores: bool
) -> None:
    for n in range(3):
        desk.measure(*range(100 + 10 * n, 110 + 10 * n), ago=timedelta(minutes=1 + n))
    desk.series = Cut(series, 0, stores)
    broken = desk.projection()
    with pytest.raises(StoreError):
        broken.once()
    assert desk.tail.mark() == 0
    assert desk.refused() == {}
    desk.series.whole = 100
    desk.catch_up(broken)
    assert desk.systolics() == [100.0 + n for n in range(30)]
    assert desk.tail.mark() == 3


def test_what_a_store_lost_of_its_last_acknowledged_points_is_written_again(
    desk, series: Series
) -> None:
    projecting = desk.projection()
    for n in range(3):
        desk.measure(*range(100 + 10 * n, 110 + 10 * n), ago=timedelta(minutes=1 + n))
        desk.catch_up(projecting)
    desk.series = Cut(series, 0, stores=False)
    desk.measure(200, ago=timedelta(minutes=9))
    going = desk.projection()
    with pytest.raises(StoreError):
        going.once()
    series.erase(series.scan("blood_pressure", None, 0, 100)[-10:])
    desk.series = series
    desk.catch_up()
    assert desk.systolics() == [*(100.0 + n for n in range(30)), 200.0]
