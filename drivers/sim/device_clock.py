"""Local time, as the clocks of devices show it: no zone, no summer time of their own. Pure."""

from datetime import datetime, tzinfo

RESET_EPOCH = datetime(2010, 1, 1)  # noqa: DTZ001 a device's clock has no zone
"""Where the clock of a device stands that lost its battery."""


def local(now: datetime, zone: tzinfo | None) -> datetime:
    """The wall clock beside the device at the instant `now`, naive. `zone` None: the zone of this machine."""
    return now.astimezone(zone).replace(tzinfo=None)
