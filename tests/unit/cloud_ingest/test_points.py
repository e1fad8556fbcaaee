"""From a stored reading to a point, and from a point to a line."""

import pytest

from cloud_ingest.points import UnrenderableError, render
from cloud_ingest.stores.fate import Fate
from cloud_ingest.stores.line import TIME_US_MAX, encode, refusal
from cloud_ingest.stores.series import Point
from gateway.model.observation import Part

FATE = Fate(outcome="stored", subject="p1", time_us=1_773_000_000_000_001)


def test_a_point_has_each_part_as_a_float_in_its_stored_unit(make) -> None:
    seen = make.bp(192, 124)
    point = render(seen, FATE)
    assert point == Point(
        "blood_pressure",
        "p1",
        make.cuff,
        1_773_000_000_000_001,
        {"systolic": 192.0, "diastolic": 124.0, "key": seen.key, "time_known": True},
    )
    assert all(isinstance(point.fields[part], float) for part in seen.parts)


def test_lo_is_a_word_even_where_its_bound_is_known(make) -> None:
    point = render(make.lo("20"), FATE)
    assert point.fields["value_beyond"] == "below"
    assert "value" not in point.fields


def test_an_unknown_time_is_said(make) -> None:
    assert render(make.bp(120, 80, known=False), FATE).fields["time_known"] is False


@pytest.mark.parametrize("value", [None, "", "abc", "nan", "inf", "1e999", "12,5"])
def test_a_value_that_is_no_number_is_named_and_not_guessed(make, value: str | None) -> None:
    seen = make.observation("glucose", {"value": Part(unit="mg/dL", value=value)}, device="d")
    with pytest.raises(UnrenderableError, match="value is"):
        render(seen, FATE)


def test_a_part_that_calls_itself_key_does_not_take_the_identitys_place(make) -> None:
    seen = make.observation("glucose", {"key": Part(unit="mg/dL", value="1")}, device="d")
    assert render(seen, FATE).fields["key"] == seen.key


def test_a_part_that_calls_itself_beyond_spoils_no_later_lo(make) -> None:
    parts = {"value": Part(unit="mg/dL", value="99"), "value_beyond": Part(unit="1", value="3")}
    with pytest.raises(UnrenderableError, match="'value_beyond'"):
        render(make.observation("glucose", parts, device="d"), FATE)


def test_a_part_that_calls_itself_time_known_is_named_and_not_left_out(make) -> None:
    parts = {"value": Part(unit="mg/dL", value="99"), "time_known": Part(unit="1", value="3")}
    with pytest.raises(UnrenderableError, match="'time_known'"):
        render(make.observation("glucose", parts, device="d"), FATE)


def test_a_line_has_its_separators_escaped() -> None:
    point = Point("a b,c", "s=1 ,", "d,1", 5, {"f =,": 1.0, "key": 'q"\\', "time_known": False})
    assert refusal(point) is None
    assert (
        encode(point)
        == rb'a\ b\,c,device=d\,1,subject=s\=1\ \, f\ \=\,=1.0,key="q\"\\",time_known=false 5'
    )


def test_a_whole_number_is_written_as_a_float() -> None:
    # An integer without a point would fix the field's type as float too, but `1i` would not: never write one.
    assert b"value=100.0 " in encode(Point("g", "s", "d", 1, {"value": 100}))


@pytest.mark.parametrize(
    "point",
    [
        Point("", "s", "d", 1, {"key": "k"}),
        Point("g", "", "d", 1, {"key": "k"}),
        Point("g", "s", "", 1, {"key": "k"}),
        Point("g", "s\n", "d", 1, {"key": "k"}),
        Point("g", "s", "d\\", 1, {"key": "k"}),
        Point("#g", "s", "d", 1, {"key": "k"}),
        Point("g", "s", "d", TIME_US_MAX, {"key": "k"}),
        Point("g", "s", "d", 1, {}),
        Point("g", "s", "d", 1, {"": 1.0}),
        Point("g", "s", "d", 1, {"time": 1.0, "key": "k"}),
        Point("g", "s", "d", 1, {"value": float("inf")}),
        Point("g", "s", "d", 1, {"key": "x" * 70_000}),
        Point("g", "s", "d", 1, {"key": "a\nb"}),
        Point("g" * 2_000, "s", "d", 1, {"key": "k"}),
    ],
)
def test_what_no_line_can_hold_is_refused_in_words(point: Point) -> None:
    assert refusal(point)
