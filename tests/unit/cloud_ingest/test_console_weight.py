"""A weight on the console: the scale's own digits and unit, kilograms beside them, a trend that claims no limit."""

import pytest

from cloud_ingest.console.trends import LIMITS, spark
from cloud_ingest.console.values import marks, show
from cloud_ingest.console.words import Language, words
from cloud_ingest.stores.series import Point
from gateway.model.observation import Moment, Observation, Original, Part, Source, TimeMethod


def weighed(part: Part) -> Observation:
    return Observation(
        key=f"20260314-c-{1:032x}", device="d1" * 10, kind="body_weight", parts={"weight": part},
        time=Moment(utc="2026-03-14T07:01:14.000Z", method=TimeMethod.CORRECTED), content="0" * 32,
        source=Source.PUSHED, accepted="2026-03-14T07:01:15.000Z", driver="xiaomi.scale",
        profile="xiaomi/mi-scale-v2", transport="advert", context={"impedance": "517 Ohm"},
    )  # fmt: skip


KG = weighed(Part(unit="kg", value="72.40"))
JIN = weighed(Part(unit="kg", value="72.4", original=Original(value="144.80", unit="jin")))


@pytest.mark.parametrize(("seen", "lang", "text", "note"), [
    (KG, "en", "72.40 kg", ""), (JIN, "en", "144.80 jin", "≈ 72.4 kg"), (JIN, "zh", "144.80 斤", "≈ 72.4 kg"),
])  # fmt: skip
def test_a_weight_is_shown_as_on_the_scale(
    seen: Observation, lang: Language, text: str, note: str
) -> None:
    shown = show(seen, words(lang), None)
    assert (shown.text, shown.note) == (text, note)


def test_impedance_stands_beside_it() -> None:
    assert "517 Ohm" in marks(KG, words("en"))


def test_kind_and_part_have_names_in_both_languages() -> None:
    assert [words(lang).maybe("kind", "body_weight") for lang in ("en", "zh")] == ["Weight", "体重"]
    assert [words(lang).maybe("part", "weight") for lang in ("en", "zh")] == ["weight", "体重"]


def test_its_trend_has_a_line_and_no_limit() -> None:
    points = [
        Point("body_weight", "p1", "d1", turn * 10**6, {"weight": 72.0 + turn}) for turn in range(3)
    ]
    told = spark("body_weight", points)
    assert told is not None
    assert told.limit_y is None
    assert len(told.line.split()) == 3
    assert spark("body_weight", points[:1]) is None
    assert LIMITS["body_weight"].band is None
