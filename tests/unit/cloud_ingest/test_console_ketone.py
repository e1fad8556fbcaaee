"""Ketone on the console: in the meter's own unit, whatever unit was chosen for glucose; a trend that claims no limit."""

import pytest
from msgspec.structs import replace

from cloud_ingest.console.charts import _ends
from cloud_ingest.console.trends import LIMITS
from cloud_ingest.console.values import marks, show
from cloud_ingest.console.words import words
from cloud_ingest.stores.series import Point
from gateway.model.observation import Moment, Observation, Part, Source, TimeMethod

SEEN = Observation(
    key=f"20260314-r-{1:032x}", device="d1" * 10, kind="ketone",
    parts={"value": Part(unit="mmol/L", value="0.8")},
    time=Moment(utc="2026-03-14T07:01:14.000Z", method=TimeMethod.CORRECTED), content="0" * 32,
    source=Source.MEMORY, accepted="2026-03-14T07:01:15.000Z", driver="gatt.glucose",
    profile="generic/glucose", transport="ble",
)  # fmt: skip


@pytest.mark.parametrize("chosen", [None, "mg/dL", "mmol/L"])
def test_a_ketone_is_shown_as_on_the_meter(chosen: str | None) -> None:
    assert show(SEEN, words("en"), chosen).text == "0.8 mmol/L"


def test_a_ketone_is_charted_as_it_is_stored() -> None:
    point = Point("ketone", "p1", "d1", 10**6, {"value": 0.8})

    assert _ends(point, "mmol/L") == (0.8, None)
    assert LIMITS["ketone"].band is None
    assert LIMITS["ketone"].alert == ()


def test_it_has_a_name_in_both_languages() -> None:
    assert [words(lang).maybe("kind", "ketone") for lang in ("en", "zh")] == ["Ketone", "血酮"]


def test_a_mark_and_a_context_that_say_the_same_are_said_once_and_the_usual_is_left_unsaid() -> (
    None
):
    told = replace(
        SEEN,
        marks=("control",),
        context={"fluid": "control_solution", "location": "finger", "meal": "fasting"},
    )
    assert marks(told, words("en")) == ("control solution", "fasting")
