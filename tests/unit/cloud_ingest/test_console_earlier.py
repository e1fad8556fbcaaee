"""A reading that somebody is called for, and that may have been measured hours before: its row and its pane say so."""

import asyncio
import html
import importlib.util
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from cloud_ingest.console.access import new_link
from cloud_ingest.console.web import build
from cloud_ingest.live import Live
from cloud_ingest.settings import Settings
from gateway.model.observation import Observation

_spec = importlib.util.spec_from_file_location(
    "console_ward", Path(__file__).with_name("console_ward.py")
)
assert _spec
assert _spec.loader
w = sys.modules.setdefault("console_ward", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(w)

BASE = "http://127.0.0.1:8470"
HOUR_S = 3_600.0


@pytest.fixture
def ward(tmp_path: Path) -> Iterator["w.Ward"]:
    made = w.empty_ward(tmp_path)
    made.person("Wang Fang", "1954-05-02", "Diabetes", "meter-1", "cuff-1")
    yield made
    made.close()


def low_glucose(
    early_s: float | None, ago: timedelta = timedelta(), *, known: bool = True
) -> Observation:
    """Pages for two hours."""
    seen = w.observation("meter-1", "glucose", w.glucose("49"), w.NOW - ago, known=known)
    return replace(seen, time=replace(seen.time, early_s=early_s))


async def said(ward: "w.Ward", folder: Path, language: str = "en") -> tuple[str, str]:
    """The row and the pane of the one alert, as text."""
    live, settings = Live(asyncio.get_running_loop()), Settings(tenant="demo", data_dir=folder)
    app = build(ward.records, ward.series, live, settings, ward.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        await client.get(new_link(ward.records, ward.clock, "127.0.0.1", 8470))
        work = await client.get(f"/fragments/work?lang={language}")
        (alert,) = re.findall(r'data-id="(\w+)"', work.text)
        pane = await client.get(f"/fragments/alert/{alert}?lang={language}")
    return bare(work.text), bare(pane.text.partition('class="actions"')[0])


def bare(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


@pytest.mark.parametrize(
    ("early_s", "language", "told"),
    [
        (5.4 * HOUR_S, "en", "measured 02:36, but it may have been up to 6 h earlier"),
        (5.4 * HOUR_S, "zh", "测于 02:36，但也可能最多早 6 小时"),  # noqa: RUF001
        (None, "en", "may have been measured long before: nothing says when"),
        (None, "zh", "可能很早以前就已测得：无从得知何时"),  # noqa: RUF001
    ],
)
async def test_what_may_be_too_old_to_page_for_is_said_to_be(
    ward: "w.Ward", tmp_path: Path, early_s: float | None, language: str, told: str
) -> None:
    ward.send(low_glucose(early_s))

    for text in await said(ward, tmp_path, language):
        assert told in text


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "may have been measured up to 6 h before it came"),
        ("zh", "可能在到达前最多 6 小时 就已测得"),
    ],
)
async def test_of_a_dead_clock_it_is_said_since_when_it_can_have_been_measured(
    ward: "w.Ward", tmp_path: Path, language: str, told: str
) -> None:
    ward.send(low_glucose(5.4 * HOUR_S, known=False))

    for text in await said(ward, tmp_path, language):
        assert told in text


@pytest.mark.parametrize(
    ("early_s", "ago", "is_said"),
    [
        (1.5, timedelta(), False),
        (2 * HOUR_S - 1, timedelta(), False),
        (2 * HOUR_S + 1, timedelta(), True),
        (1.5 * HOUR_S, timedelta(hours=1), True),
    ],
)
async def test_it_is_said_where_the_rule_would_not_have_paged_for_the_earliest_moment(
    *, ward: "w.Ward", tmp_path: Path, early_s: float, ago: timedelta, is_said: bool
) -> None:
    ward.send(low_glucose(early_s, ago))

    for text in await said(ward, tmp_path):
        assert ("may have been" in text) == is_said


async def test_an_unconfirmed_alert_is_measured_by_the_rule_it_came_of(
    ward: "w.Ward", tmp_path: Path
) -> None:
    # One level lower, which pages for an hour only: the crisis that it may be pages for two.
    seen = w.observation("cuff-1", "blood_pressure", w.pressure(192, 124), w.NOW)
    ward.send(replace(seen, time=replace(seen.time, early_s=1.5 * HOUR_S)))
    ward.clock.advance(660)
    assert ward.records.act_on_due(ward.clock.now()).news

    for text in await said(ward, tmp_path):
        assert "no second reading" in text
        assert "may have been" not in text


async def test_of_a_late_finding_it_is_not_said_twice(ward: "w.Ward", tmp_path: Path) -> None:
    ward.send(low_glucose(9 * HOUR_S, timedelta(hours=5)))

    row, pane = await said(ward, tmp_path)
    assert "nobody was paged" in row
    assert "may have been" not in row + pane
