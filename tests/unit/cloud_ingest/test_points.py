"""From a stored reading to a point, and from a point to a line."""

import pytest

from cloud_ingest.points import UnrenderableError, render
from cloud_ingest.stores.fate import Fate
from cloud_ingest.stores.line import TIME_US_MAX, encode, refusal
from cloud_ingest.stores.series import Point
from gateway.model.observation import PARTS_MAX, Beyond, Part

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


@pytest.mark.parametrize("name", ["key", "time_known", "value_beyond", "key:part"])
def test_a_part_with_a_name_of_ours_stands_beside_the_mark_of_that_name(make, name: str) -> None:
    parts = {"value": Part(unit="mg/dL", value="99"), name: Part(unit="1", value="3")}
    seen = make.observation("glucose", parts, device="d")
    assert render(seen, FATE).fields == {
        "value": 99.0,
        f"{name}:part": 3.0,
        "key": seen.key,
        "time_known": True,
    }


def test_a_part_that_calls_itself_beyond_spoils_no_later_lo(make) -> None:
    lo, number = Part(unit="1", beyond=Beyond.BELOW), Part(unit="1", value="3")
    parts = {"value": lo, "value_beyond": number, "key": lo, "key_beyond": number}
    fields = render(make.observation("glucose", parts, device="d"), FATE).fields
    assert {name for name in fields if name.endswith("_beyond")} == {
        "value_beyond",
        "key:part_beyond",
    }
    assert fields["value_beyond"] == fields["key:part_beyond"] == "below"
    assert fields["value_beyond:part"] == fields["key_beyond:part"] == 3.0


def test_no_two_parts_have_one_field(make) -> None:
    ends = ("", "_beyond", ":part")
    names = {f"{name}{a}{b}{c}" for name in ("key", "v") for a in ends for b in ends for c in ends}
    for part in (Part(unit="1", value="3"), Part(unit="1", beyond=Beyond.ABOVE)):
        parts = dict.fromkeys(sorted(names)[:PARTS_MAX], part)
        fields = render(make.observation("glucose", parts, device="d"), FATE).fields
        assert len(fields) == len(parts) + 2


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
