"""Says of an alert that its reading may be too old to call somebody for: of when it was taken only an interval is known (ADR 6)."""

from cloud_ingest.console.viewer import Viewer
from cloud_ingest.stores.records.views import AlertRow, Placed, RecordsViews
from gateway.model.alert import AlertState


def perhaps_earlier(
    alert: AlertRow, placed: Placed | None, views: RecordsViews, viewer: Viewer
) -> str:
    """`measured 10:16, but it may have been up to 6 h earlier`, where it then would have paged nobody; else nothing.

    Of a late finding it is said already that it is old.
    """
    observation = placed.row.observation(placed.position) if placed else None
    if placed is None or observation is None or alert.state == AlertState.LATE:
        return ""
    early_s = observation.time.early_s
    if early_s is None:
        return viewer.words("row.earlier_unbounded")
    earliest_us = alert.measured_us - early_s * 1_000_000
    if placed.row.received_us - earliest_us <= views.pages_for_us(alert):
        return ""
    span = viewer.times.at_most(early_s)
    if not observation.time.known:
        return viewer.words("row.earlier_unknown", span=span)
    return viewer.words("row.earlier", at=viewer.times.at(alert.measured_us), span=span)
