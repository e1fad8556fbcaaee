"""When a person must answer: at once for a live finding, at noon of the next working day for a late one. Pure."""

from datetime import UTC, datetime, time, timedelta, tzinfo

from cloud_ingest.rules.thresholds import Thresholds
from gateway.model.alert import Severity

NOON = time(12)
SATURDAY = 5  # datetime.weekday(); public holidays are not known here


def answer_by(
    thresholds: Thresholds, severity: Severity, now: datetime, zone: tzinfo | None, *, live: bool
) -> datetime:
    """UTC. `zone` None is this machine's own. A late finding waits for 12:00 local of the next working day."""
    if live:
        return now + timedelta(seconds=thresholds.answer_s[severity])
    day = now.astimezone(zone).date() + timedelta(days=1)
    while day.weekday() >= SATURDAY:
        day += timedelta(days=1)
    noon = datetime.combine(day, NOON)
    # A naive moment is taken as this machine's local time.
    return noon.replace(tzinfo=zone).astimezone(UTC) if zone else noon.astimezone(UTC)
