"""The kinds of the other standard services on the console: digits, units, what stands beside, bands; unknown kinds as they came."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_ingest.console.charts import build_chart
from cloud_ingest.console.pane import STREAM_ROWS_MAX, patient_pane, reading_facts
from cloud_ingest.console.times import Times
from cloud_ingest.console.trends import LIMITS, Trends, spark
from cloud_ingest.console.values import marks, show
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.console.ward import build_ward
from cloud_ingest.console.words import LANGUAGES, words
from cloud_ingest.stores.records.criteria import Criteria
from cloud_ingest.stores.records.views import RecordsViews
from cloud_ingest.stores.series import Point
from gateway.model.kinds import KINDS
from gateway.model.observation import Observation, Original, Part
from tests.unit.cloud_ingest import console_ward as w


def part(value: str, unit: str, shown: str = "", shown_unit: str = "") -> Part:
    return Part(unit=unit, value=value, original=Original(shown, shown_unit) if shown else None)


def seen(kind: str, parts: Mapping[str, Part]) -> Observation:
    return w.observation("one-1", kind, parts, w.NOW)


@pytest.mark.parametrize(
    ("kind", "parts", "text", "more", "note"),
    [
        (
            "pulse_oximetry",
            {"spo2": part("97", "%"), "pulse_rate": part("72", "/min"), "perfusion_index": part("3.2", "%")},
            "97 %", "72", "perfusion index 3.2 %",
        ),
        ("heart_rate", {"heart_rate": part("72", "/min")}, "72 /min", "", ""),
        ("body_temperature", {"temperature": part("36.50", "Cel")}, "36.50 °C", "", ""),
        (
            "body_temperature", {"temperature": part("37.944", "Cel", "100.3", "degF")},
            "≈ 37.9 °C", "", "100.3 °F on the device",
        ),
        (
            "body_weight",
            {"weight": part("70.5", "kg"), "bmi": part("23.4", "kg/m2"), "height": part("173.5", "cm")},
            "70.5 kg", "", "BMI 23.4 kg/m² · height 173.5 cm",
        ),
        (
            "body_composition", {"body_fat": part("21.4", "%"), "muscle": part("40.1", "%")},
            "21.4 %", "", "muscle 40.1 %",
        ),
        ("continuous_glucose", {"value": part("112", "mg/dL"), "trend": part("-1.2", "mg/dL/min")},
            "112 mg/dL", "", "trend -1.2 mg/dL/min"),
        ("lung_volume", {"fev1": part("3.1", "L")}, "fev1 3.1 L", "", ""),
        ("pulse_oximetry", {"pulse_rate": part("72", "/min")}, "pulse 72 /min", "", ""),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_the_device_gave_it(
    kind: str, parts: Mapping[str, Part], text: str, more: str, note: str
) -> None:
    shown = show(seen(kind, parts), words("en"), None)
    assert (shown.text, shown.more, shown.note) == (text, more, note)


def test_a_sensors_glucose_is_told_in_the_clinics_unit() -> None:
    told = show(seen("continuous_glucose", {"value": part("112", "mg/dL")}), words("en"), "mmol/L")
    assert (told.text, told.note) == ("≈ 6.2 mmol/L", "112 mg/dL on the device")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_and_part_has_a_name(language: str) -> None:
    messages = words(language).messages
    assert [kind for kind in KINDS if f"kind.{kind}" not in messages] == []
    parts = {name for kind in KINDS.values() for name in kind.parts}
    assert sorted(name for name in parts if f"part.{name}" not in messages) == []


def test_every_kind_has_a_chart_of_one_of_its_parts() -> None:
    assert LIMITS.keys() == KINDS.keys()
    assert all(limits.part in KINDS[kind].parts for kind, limits in LIMITS.items())


def test_a_number_in_the_context_says_what_it_counts_and_a_window_is_left_unsaid() -> None:
    told = w.observation("one-1", "heart_rate", {"heart_rate": part("72", "/min")}, w.NOW)
    told = Observation(
        **{f: getattr(told, f) for f in told.__struct_fields__}
        | {"context": {"energy_kj": "10", "window_s": "60"}}
    )
    assert marks(told, words("en")) == ("energy kj 10",)


def test_a_kind_without_a_limit_has_a_trend_without_one() -> None:
    points = [Point("pulse_oximetry", "p", "d", n, {"spo2": 95.0 + n}) for n in range(3)]
    told = spark("pulse_oximetry", points)
    assert told is not None
    assert told.limit_y is None


@pytest.fixture
def vitals(tmp_path: Path):
    ward = w.empty_ward(tmp_path)
    patient = ward.person("Wang Fang", "1954-05-02", "COPD", "one-1", "cgm-1", "odd-1")
    for n in range(20):
        at = w.NOW - timedelta(minutes=5 * n)
        told = {"value": part(str(100 + n), "mg/dL")}
        ward.send(w.observation("cgm-1", "continuous_glucose", told, at))
    spo2 = {"spo2": part("93", "%"), "pulse_rate": part("72", "/min")}
    ward.send(w.observation("one-1", "pulse_oximetry", spo2, w.NOW - timedelta(hours=3)))
    ward.send(w.observation("odd-1", "lung_volume", {"fev1": part("3.1", "L")}, w.NOW))
    ward.project()
    views, trends = (
        RecordsViews(ward.records.engine, ward.records.thresholds),
        Trends(ward.series, ward.clock),
    )
    told = words("en")
    times = Times(w.NOW, w.ZoneInfo("Asia/Shanghai"), told)
    viewer = Viewer(told, times, "mmol/L", "nurse", "guard", "Asia/Shanghai", named=True)
    yield ward, patient, views, trends, viewer
    ward.close()


def test_a_stream_does_not_hide_what_is_measured_once_a_day(vitals) -> None:
    _, patient, views, trends, viewer = vitals
    pane = patient_pane(views, trends, viewer, patient)
    values = [one.value for one in pane.recent]
    assert values.count("93") == 1
    assert sum(value.startswith("≈") for value in values) == STREAM_ROWS_MAX
    assert set(pane.kinds) == {"continuous_glucose", "pulse_oximetry"}


def test_a_kind_that_nobody_knows_here_is_shown_all_the_same(vitals) -> None:
    _, patient, views, trends, viewer = vitals
    pane = patient_pane(views, trends, viewer, patient)
    assert "fev1 3.1 L" in [one.value for one in pane.recent]
    (card,) = build_ward(views, trends, viewer).people
    assert "fev1 3.1 L" in [one.value for one in card.latest]


def test_a_sensors_chart_has_the_band_of_time_in_range(vitals) -> None:
    _, patient, views, trends, viewer = vitals
    chart = build_chart(views, trends, viewer, patient=patient, kind="continuous_glucose", days=7)
    assert (chart.unit, chart.band, list(chart.limits)) == ("mmol/L", (3.9, 10.0), [])
    assert chart.dots[-1].low == pytest.approx(5.55, abs=0.01)


def test_a_voided_reading_stands_struck_through_with_its_reason(vitals) -> None:
    ward, patient, views, trends, viewer = vitals
    at = int(w.NOW.timestamp()) * 1_000_000
    which = Criteria(device=w.device("one-1"), from_us=0, to_us=at)
    ward.records.void(which, "dr. lin", "probe reads too low")
    ward.series.wipe()
    ward.project()
    trends.forget()
    pane = patient_pane(views, trends, viewer, patient)
    (gone,) = [one for one in pane.recent if one.voided]
    assert (gone.value, gone.voided) == ("93", "probe reads too low")
    facts = {fact.name: fact.told for fact in reading_facts(views, viewer, gone.key) or ()}
    assert facts["Voided"].startswith("probe reads too low · by dr. lin")
