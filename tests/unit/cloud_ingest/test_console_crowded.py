"""More alerts than a page holds: the most urgent are on it, and what is not is counted."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from cloud_ingest.console.worklist import ALERTS_MAX
from cloud_ingest.stores.records.open import writing
from cloud_ingest.stores.records.schema import alerts
from gateway.model.observation import Source
from tests.unit.cloud_ingest import console_ward as w
from tests.unit.cloud_ingest.console_site import Site, enter

PEOPLE = ALERTS_MAX + 5
IN_ONE = 100


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    ward = w.empty_ward(tmp_path)
    taken = w.NOW - timedelta(hours=20)
    for number in range(PEOPLE):
        ward.person(f"Late {number}", "1950-01-01", "Hypertension", f"cuff-{number}")
    for minutes in (0, 5):
        at = taken + timedelta(minutes=minutes)
        told = [
            w.observation(
                f"cuff-{number}", "blood_pressure", w.pressure(190, 125), at, source=Source.MEMORY
            )
            for number in range(PEOPLE)
        ]
        for start in range(0, PEOPLE, IN_ONE):
            ward.send(*told[start : start + IN_ONE])
    ward.person("Now Urgent", "1950-01-01", "Hypertension", "cuff-now")
    yield (one := await enter(ward, tmp_path))
    await one.client.aclose()
    ward.close()


async def test_a_crisis_of_now_is_not_hidden_behind_late_findings_that_nobody_answered(
    site: Site,
) -> None:
    with writing(site.ward.records.engine) as connection:
        over_due = func.min(alerts.c.opened_us).select()
        connection.execute(update(alerts).values(answer_by_us=over_due.scalar_subquery()))
        assert connection.scalar(select(func.count()).select_from(alerts)) == PEOPLE
    w.crisis(site.ward, "cuff-now")

    page = await site.text()

    assert "1 person needs someone now" in page
    assert "N** Urgent" in page


async def test_what_has_no_room_on_the_page_is_counted(site: Site) -> None:
    page = await site.text()

    assert f"{PEOPLE} late findings" in page
    assert "5 more have no room on this page" in page
