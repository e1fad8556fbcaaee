"""One suite for the time series, over both: the embedded one and a real InfluxDB."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.influx import InfluxSeries, InfluxTarget
from cloud_ingest.stores.series import Point, Series

T0 = 1_773_000_000_000_000  # March 2026
SECOND = 1_000_000


@pytest.fixture(params=["embedded", pytest.param("influx", marks=pytest.mark.services)])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Series]:
    made: Series
    if request.param == "embedded":
        made = EmbeddedSeries(tmp_path / "series.sqlite")
    else:
        ready = request.getfixturevalue("influx_ready")
        token = Path(ready["token_file"]).read_text().strip()
        made = InfluxSeries(InfluxTarget(ready["url"], ready["org"], ready["bucket"], token))
        made.wipe()
    yield made
    made.close()


def a_point(
    at_us: int, subject: str = "p1", device: str = "d1", **fields: float | str | bool
) -> Point:
    told = {"systolic": 192.0, "key": f"key-{at_us}", "time_known": True, **fields}
    return Point("blood_pressure", subject, device, at_us, told)


def test_what_is_written_is_read(series: Series) -> None:
    points = [a_point(T0 + n * SECOND, diastolic=80.5 + n) for n in range(5)]
    assert not series.write(points)
    assert series.read("blood_pressure", "p1", T0, T0 + 10 * SECOND) == points


def test_points_come_oldest_first_whatever_order_they_went_in(series: Series) -> None:
    points = [a_point(T0 + n * SECOND) for n in (3, 1, 2)]
    series.write(points)
    read = series.read("blood_pressure", "p1", 0, T0 + 10 * SECOND)
    assert [point.time_us - T0 for point in read] == [SECOND, 2 * SECOND, 3 * SECOND]


def test_the_range_takes_its_beginning_and_leaves_its_end(series: Series) -> None:
    series.write([a_point(T0), a_point(T0 + 1), a_point(T0 + 2)])
    read = series.read("blood_pressure", "p1", T0, T0 + 2)
    assert [point.time_us for point in read] == [T0, T0 + 1]


def test_a_single_microsecond_keeps_two_readings_apart(series: Series) -> None:
    series.write([a_point(T0, systolic=120.0), a_point(T0 + 1, systolic=180.0)])
    read = series.read("blood_pressure", "p1", T0, T0 + SECOND)
    assert [point.fields["systolic"] for point in read] == [120.0, 180.0]


def test_two_devices_of_one_subject_may_measure_at_once(series: Series) -> None:
    series.write([a_point(T0, device="d1"), a_point(T0, device="d2")])
    read = series.read("blood_pressure", "p1", T0, T0 + 1)
    assert [point.device for point in read] == ["d1", "d2"]


def test_writing_again_changes_nothing(series: Series) -> None:
    points = [a_point(T0 + n) for n in range(3)]
    for _ in range(3):
        series.write(points)
    assert series.read("blood_pressure", "p1", T0, T0 + SECOND) == points


def test_a_value_of_another_subject_is_not_read(series: Series) -> None:
    series.write([a_point(T0, subject="p1"), a_point(T0, subject="p2")])
    assert [point.subject for point in series.read("blood_pressure", "p2", 0, T0 + 1)] == ["p2"]


def test_off_scale_is_a_word_and_no_number(series: Series) -> None:
    low = Point(
        "glucose", "p1", "m1", T0, {"value_beyond": "below", "key": "k", "time_known": False}
    )
    shown = Point("glucose", "p1", "m1", T0 + 1, {"value": 100.0, "key": "l", "time_known": True})
    series.write([low, shown])
    assert series.read("glucose", "p1", T0, T0 + SECOND) == [low, shown]


def test_exactly_the_erased_point_is_gone(series: Series) -> None:
    points = [a_point(T0), a_point(T0 + 1), a_point(T0 + 2), a_point(T0 + 1, device="d2")]
    series.write(points)
    series.erase([points[1]])
    kept = series.read("blood_pressure", "p1", T0, T0 + SECOND)
    assert [(point.time_us - T0, point.device) for point in kept] == [
        (0, "d1"),
        (1, "d2"),
        (2, "d1"),
    ]


def test_erasing_what_is_not_there_is_no_fault(series: Series) -> None:
    series.erase([a_point(T0)])
    assert series.read("blood_pressure", "p1", 0, T0 + 1) == []


def test_a_wiped_series_is_empty_and_takes_points_again(series: Series) -> None:
    series.write([a_point(T0)])
    series.wipe()
    assert series.scan("blood_pressure", None, 0, 10) == []
    series.write([a_point(T0)])
    assert series.scan("blood_pressure", None, 0, 10) == [a_point(T0)]


def test_a_scan_goes_by_time_over_subjects_and_stops_at_its_limit(series: Series) -> None:
    series.write([a_point(T0 + n, subject=f"p{n % 2}", device=f"d{n % 2}") for n in range(6)])
    assert [point.time_us - T0 for point in series.scan("blood_pressure", None, T0 + 1, 3)] == [
        1,
        2,
        3,
    ]
    assert [point.time_us - T0 for point in series.scan("blood_pressure", "d1", T0, 9)] == [1, 3, 5]


def test_refused_points_come_back_and_the_others_are_in(series: Series) -> None:
    good = [a_point(T0), a_point(T0 + 3)]
    bad = [a_point(T0 + 1, systolic=math.nan), Point("", "p1", "d1", T0 + 2, {"key": "k"})]
    refused = series.write([good[0], *bad, good[1]])
    assert [at.point.time_us for at in refused] == [T0 + 1, T0 + 2]
    assert all(at.why for at in refused)
    assert series.read("blood_pressure", "p1", 0, T0 + SECOND) == good


def test_a_name_that_would_open_another_line_is_refused(series: Series) -> None:
    evil = "d1,subject=p2 systolic=1 1\nblood_pressure,device=d9,subject=p9 systolic=300"
    refused = series.write([a_point(T0, device=evil)])
    assert [at.point.device for at in refused] == [evil]
    assert series.scan("blood_pressure", None, 0, 10) == []


def test_more_points_than_one_request_holds_are_written(series: Series) -> None:
    points = [a_point(T0 + n * SECOND) for n in range(12_000)]
    assert not series.write(points)
    assert len(series.scan("blood_pressure", None, 0, 20_000)) == 12_000
    assert series.read("blood_pressure", "p1", 0, T0 + 10**12) == points[:10_000]


def test_an_empty_or_upside_down_range_is_empty(series: Series) -> None:
    series.write([a_point(T0)])
    assert series.read("blood_pressure", "p1", T0, T0) == []
    assert series.read("blood_pressure", "p1", T0 + 1, T0) == []
    assert series.read("blood_pressure", "p1", -(10**30), 10**30) == [a_point(T0)]


printable = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=20
).filter(str.isprintable)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    names=st.tuples(printable, printable, printable),
    number=st.floats(allow_nan=False, allow_infinity=False),
    text=printable,
    at_us=st.integers(0, 4 * 10**15),
)
def test_whatever_is_not_refused_comes_back_as_it_went(
    series: Series, names: tuple[str, str, str], number: float, text: str, at_us: int
) -> None:
    kind, subject, device = names
    point = Point(kind, subject, device, at_us, {"value": number, "key": text, "time_known": True})
    if series.write([point]):
        assert series.scan(kind, None, at_us, 10) == [] or not kind
    else:
        assert point in series.read(kind, subject, at_us, at_us + 1)
        series.erase([point])
        assert series.read(kind, subject, at_us, at_us + 1) == []


@pytest.mark.parametrize("name", ["time", "device", "subject", "value", "table", "1", "x:y/z+.-"])
def test_a_field_of_any_name_is_stored_or_refused_in_words(series: Series, name: str) -> None:
    point = Point("odd_names", "p1", "d1", T0, {name: 1.5, "key": "k", "time_known": True})
    refused = series.write([point])
    assert series.read("odd_names", "p1", T0, T0 + 1) == ([] if refused else [point])
