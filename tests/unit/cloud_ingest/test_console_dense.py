"""A sensor that tells a value a minute: the newest is what the page shows, and no chart ends before it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud_ingest.console.times import micros
from cloud_ingest.console.trends import DRAWN_MAX, READ_MAX
from cloud_ingest.stores.series import Point
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, with_one_person

KIND, MINUTE = "continuous_glucose", timedelta(minutes=1)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async for one in with_one_person(tmp_path, "sensor-1"):
        yield one


def worn(site: Site, minutes: int) -> str:
    """So many values before the last one, which is 61 mg/dL."""
    ward, patient = site.ward, site.ward.patients["Chen Wei"]
    ward.send(w.observation("sensor-1", KIND, w.glucose("61"), w.NOW - MINUTE))
    ward.project()
    device = w.device("sensor-1")
    assert (
        ward.series.write(
            [
                Point(
                    KIND,
                    patient,
                    device,
                    micros(w.NOW - MINUTE * back),
                    {"value": 112.0, "key": f"20260101-c-{back:032x}", "time_known": True},
                )
                for back in range(minutes + 1, 1, -1)
            ]
        )
        == []
    )
    return patient


async def test_the_newest_value_is_shown_however_many_came_in_thirty_days(site: Site) -> None:
    worn(site, 2 * READ_MAX + 7)

    assert "61 mg/dL" in await site.text()


@pytest.mark.parametrize("minutes", [READ_MAX - 1, READ_MAX, READ_MAX + 7, DRAWN_MAX + 7])
async def test_a_chart_reaches_to_the_newest_value(site: Site, minutes: int) -> None:
    patient = worn(site, minutes)

    chart = (await site.client.get(f"/chart/{patient}/{KIND}?days=30")).json()

    times = [dot["at"] for dot in chart["dots"]]
    assert chart["dots"][-1]["low"] == 61.0
    assert len(times) == min(minutes + 1, DRAWN_MAX)
    assert times == sorted(set(times))
    assert (chart["start"] == times[0]) == (minutes + 1 > DRAWN_MAX)
