"""The console's small pure parts: catalogue, masking, times, values, trends, contrast of its colours."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from cloud_ingest.console.masking import masked
from cloud_ingest.console.times import Times, age_in_years, micros
from cloud_ingest.console.trends import LIMITS, PUBLISHED_MMOL, spark
from cloud_ingest.console.values import limit_words, show
from cloud_ingest.console.words import LANGUAGES, choose, words
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.series import Point
from gateway.model.observation import (
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
    TimeMethod,
)

NOW = datetime(2026, 3, 14, 2, 36, tzinfo=UTC)
TIMES = Times(NOW, ZoneInfo("Asia/Shanghai"), words("en"))
CSS = (files("cloud_ingest.console") / "assets" / "console.css").read_text()


def taken(kind: str, **parts: Part) -> Observation:
    time = Moment(utc="2026-03-14T02:36:00.000Z", method=TimeMethod.CORRECTED)
    return Observation(
        key="k", device="d", kind=kind, parts=parts, time=time, content="", source=Source.PUSHED,
        accepted="", driver="", profile="", transport="",
    )  # fmt: skip


def test_both_languages_say_the_same_things_with_the_same_fields() -> None:
    fields = [
        {
            name: sorted(re.findall(r"\{(\w+)\}", told))
            for name, told in words(language).messages.items()
        }
        for language in LANGUAGES
    ]
    assert fields[0] == fields[1]


@pytest.mark.parametrize(
    ("told", "kept", "accepted", "chosen"),
    [
        ("zh", "en", "", "zh"),
        (None, "zh", "en", "zh"),
        (None, None, "fr, zh-CN;q=0.8, en", "zh"),
        ("xx", None, "", "en"),
        (None, None, ";;,", "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_kept_or_preferred(
    told: str | None, kept: str | None, accepted: str, chosen: str
) -> None:
    assert choose(told, kept, accepted) == chosen


@pytest.mark.parametrize(
    ("name", "shown"),
    [("张伟", "张*"), ("张", "张*"), ("欧阳小敏", "欧阳*"), ("欧阳", "欧*"), ("Wang Fang", "W*** Fang"), ("Maria del Carmen Ruiz", "M**** d** C**** Ruiz"), ("Cher", "C***"), ("", "*"), ("  ", "*")],
)  # fmt: skip
def test_a_list_shows_the_surname_and_stars(name: str, shown: str) -> None:
    assert masked(name) == shown


@pytest.mark.parametrize(
    ("ago", "shown"),
    [(timedelta(0), "10:36"), (timedelta(hours=11), "yesterday 23:36"), (timedelta(days=3), "11 Mar 10:36"), (timedelta(days=100), "4 Dec 2025 10:36"), (timedelta(days=-1), "tomorrow 10:36")],
)  # fmt: skip
def test_a_moment_carries_its_date_where_it_is_not_today(ago: timedelta, shown: str) -> None:
    assert TIMES.at(micros(NOW - ago)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_is_not_coarse(seconds: float, shown: str) -> None:
    assert TIMES.age(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "1 s"), (61, "2 min"), (7_200, "2 h"), (7_201, "3 h"), (172_799.5, "48 h")],
)
def test_a_limit_of_an_age_is_rounded_up(seconds: float, shown: str) -> None:
    assert TIMES.at_most(seconds) == shown


@pytest.mark.parametrize(
    ("born", "age"), [("1954-03-14", 72), ("1954-03-15", 71), (None, None), ("soon", None)]
)
def test_an_age_in_years_turns_on_the_birthday(born: str | None, age: int | None) -> None:
    assert age_in_years(born, NOW) == age


def test_digits_stay_as_the_device_showed_them() -> None:
    told = taken(
        "glucose", value=Part(unit="mg/dL", value="100.8874", original=Original("5.60", "mmol/L"))
    )
    assert show(told, words("en"), None).text == "5.60 mmol/L"
    assert show(told, words("en"), "mmol/L").text == "5.60 mmol/L"
    converted = show(told, words("en"), "mg/dL")
    assert (converted.text, converted.note) == ("≈ 101 mg/dL", "5.60 mmol/L on the device")


def test_kilopascals_keep_their_digits_and_are_explained() -> None:
    told = taken(
        "blood_pressure",
        systolic=Part(unit="mm[Hg]", value="192.0159", original=Original("25.6", "kPa")),
        diastolic=Part(unit="mm[Hg]", value="123.76", original=Original("16.5", "kPa")),
    )
    shown = show(told, words("en"), None)
    assert (shown.text, shown.note) == ("25.6 / 16.5 kPa", "≈ 192 / 124 mmHg")


def test_a_value_off_the_scale_is_never_a_number() -> None:
    low = taken("glucose", value=Part(unit="mg/dL", beyond=Beyond.BELOW))
    assert show(low, words("en"), "mmol/L").value == "LO"
    assert (
        show(
            taken("glucose", value=Part(unit="mg/dL", value="600", beyond=Beyond.ABOVE)),
            words("en"),
            None,
        ).text
        == "HI (> 600) mg/dL"
    )


def test_a_kind_that_is_not_known_is_shown_by_its_parts() -> None:
    told = taken("weight", mass=Part(unit="kg", value="70.10"))
    assert show(told, words("en"), None).text == "mass 70.10 kg"


@pytest.mark.parametrize(
    ("limit", "unit", "shown"),
    [
        (
            "systolic >= 180 mm[Hg] or diastolic >= 120 mm[Hg]",
            "mmHg",
            "systolic ≥ 180 or diastolic ≥ 120 mmHg",
        ),
        ("value < 54 mg/dL or value < 3.0 mmol/L", "mmol/L", "glucose < 3.0 mmol/L"),
        (
            "value < 54 mg/dL or value < 3.0 mmol/L",
            "",
            "glucose < 54 mg/dL or glucose < 3.0 mmol/L",
        ),
        ("whatever mm[Hg]", "", "whatever mmHg"),
    ],
)
def test_a_limit_is_told_in_the_reading_s_unit(limit: str, unit: str, shown: str) -> None:
    assert limit_words(limit, words("en"), unit) == shown


def test_the_charts_limits_are_those_of_the_rules() -> None:
    told = {
        (clause.part, clause.unit): float(clause.value)
        for rules in default_thresholds().rules.values()
        for rule in rules
        for by_unit in rule.clauses.values()
        for clauses in by_unit.values()
        for clause in clauses
    }
    assert LIMITS["blood_pressure"].alert == (
        told["systolic", "mm[Hg]"],
        told["diastolic", "mm[Hg]"],
    )
    assert LIMITS["glucose"].alert == (told["value", "mg/dL"],)
    assert PUBLISHED_MMOL[told["value", "mg/dL"]] == told["value", "mmol/L"]


def test_a_small_trend_ends_at_the_edge_for_a_value_off_the_scale() -> None:
    points = [
        Point("glucose", "p", "d", n, {"value": value}) for n, value in enumerate((100.0, 120.0))
    ]
    low = Point("glucose", "p", "d", 3, {"value_beyond": "below"})
    told = spark("glucose", [*points, low])
    assert told
    assert told.y == told.limit_y  # nothing lies lower than the limit here
    assert spark("glucose", points[:1]) is None


def _luminance(colour: str) -> float:
    digits = colour * 2 if len(colour) == 3 else colour
    channels = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", block))
    pairs = [
        (text, behind)
        for text in ("ink", "soft", "accent", "high", "medium")
        for behind in ("paper", "ground")
    ]
    pairs += [(name, f"{name}-bg") for name in ("high", "medium", "low", "ok")] + [
        ("accent", "low-bg"),
        ("on-accent", "accent"),
        ("paper", "high"),
    ]
    faint = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}
    assert _contrast(colours["edge"], colours["paper"]) >= 3.0
