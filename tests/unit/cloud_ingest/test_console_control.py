"""Control solution is the meter's, however long ago it was measured: no trend and no chart draws it as the person's."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cloud_ingest.console.charts import DETAILED_MAX
from gateway.model.observation import Beyond, Observation, Part, Source
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, with_one_person

MANY = DETAILED_MAX + 100
CONTROL_BACK = 12  # readings ago


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async for one in with_one_person(tmp_path, "meter-1"):
        yield one


def stored(value: str, at: datetime, number: int, *marks: str) -> Observation:
    shown = w.glucose(value)
    return w.observation(
        "meter-1", "glucose", shown, at, sequence=number, marks=marks, source=Source.MEMORY
    )


async def test_a_small_trend_leaves_out_control_solution_of_a_week_ago(site: Site) -> None:
    told = [
        stored("112", w.NOW - timedelta(hours=12 * back), 100 - back)
        for back in range(20, 0, -1)
        if back != CONTROL_BACK
    ]
    at = w.NOW - timedelta(hours=12 * CONTROL_BACK)
    told.append(stored("300", at, 100 - CONTROL_BACK, "control"))
    site.ward.send(*told)
    site.ward.project()
    patient = site.ward.patients["Chen Wei"]

    drawn = (await site.client.get(f"/fragments/trend/{patient}/glucose")).text
    page = (await site.client.get("/")).text

    for svg in (drawn, page.partition('id="patients"')[2]):
        heights = {pair.partition(",")[2] for pair in _line(svg).split()}
        assert len(_line(svg).split()) == 19
        assert len(heights) == 1  # a level line: nothing of the 300 in it


def _line(svg: str) -> str:
    found = re.search(r'<polyline points="([^"]+)"', svg)
    assert found
    return found[1]


async def test_a_chart_of_many_readings_knows_the_oldest_for_what_they_are(site: Site) -> None:
    first = w.NOW - timedelta(minutes=MANY + 9)
    site.ward.send(stored("112", first, 1, "control"))
    told = [stored("112", first + timedelta(minutes=n), n) for n in range(2, MANY)]
    for start in range(0, len(told), 100):
        site.ward.send(*told[start : start + 100])
    site.ward.project()
    patient = site.ward.patients["Chen Wei"]

    chart = (await site.client.get(f"/chart/{patient}/glucose?days=30")).json()

    assert len(chart["dots"]) == MANY - 1
    assert [dot["own"] for dot in chart["dots"]] == [False] + [True] * (MANY - 2)


async def test_a_sensors_old_value_beyond_its_scale_is_told_as_such(site: Site) -> None:
    first = w.NOW - timedelta(minutes=MANY + 9)
    low = {"value": Part(unit="mg/dL", value="40", beyond=Beyond.BELOW)}
    parts = [low, *[w.glucose("112")] * (MANY - 1)]
    told = [
        w.observation("meter-1", "continuous_glucose", one, first + timedelta(minutes=turn))
        for turn, one in enumerate(parts)
    ]
    for start in range(0, len(told), 100):
        site.ward.send(*told[start : start + 100])
    site.ward.project()
    patient = site.ward.patients["Chen Wei"]

    chart = (await site.client.get(f"/chart/{patient}/continuous_glucose?days=30")).json()

    assert chart["dots"][0]["shown"] == "LO mg/dL"
