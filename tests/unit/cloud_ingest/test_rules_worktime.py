"""By when a finding must be answered: a live one soon, a late one in working hours."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.rules.worktime import answer_by
from gateway.model.alert import Severity

THRESHOLDS = default_thresholds()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-13T01:00:00", "2026-03-16T12:00:00"),  # Friday morning: Monday
        ("2026-03-14T15:05:00", "2026-03-16T12:00:00"),  # Saturday: Monday
        ("2026-03-16T08:00:00", "2026-03-17T12:00:00"),
    ],
)
def test_a_late_finding_waits_for_noon_of_the_next_working_day(now, expected):
    zone = ZoneInfo("Asia/Shanghai")
    moment = datetime.fromisoformat(now).replace(tzinfo=zone).astimezone(UTC)
    by = answer_by(THRESHOLDS, Severity.HIGH, moment, zone, live=False)
    assert by.astimezone(zone).replace(tzinfo=None).isoformat() == expected


def test_a_live_finding_waits_as_long_as_its_severity_allows():
    now = datetime(2026, 3, 14, tzinfo=UTC)
    by = answer_by(THRESHOLDS, Severity.HIGH, now, None, live=True)
    assert (by - now).total_seconds() == 15 * 60
