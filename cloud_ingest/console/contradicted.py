"""An alert's own value where one measurement was told with several (a conflict), and the others. Renders nothing."""

from collections.abc import Mapping, Sequence

from cloud_ingest.console.values import show
from cloud_ingest.console.viewer import Viewer
from cloud_ingest.rules.limits import shown
from cloud_ingest.stores.records.views import AlertRow, Placed


def own_place(
    alert: AlertRow, first: Mapping[str, Placed], further: Mapping[str, Sequence[Placed]]
) -> Placed | None:
    """Where the value stands that somebody was asked to look at: not the first that came under its key, if that is another."""
    told = _told(alert, first, further)
    for placed in told:
        observation = placed.row.observation(placed.position)
        if observation is not None and shown(observation) == alert.shown:
            return placed
    return first.get(alert.key)


def other_values(
    alert: AlertRow,
    first: Mapping[str, Placed],
    further: Mapping[str, Sequence[Placed]],
    viewer: Viewer,
) -> Sequence[str]:
    """A sentence that names the other values; nothing where there are none."""
    if alert.key not in further:
        return ()
    seen = [one.row.observation(one.position) for one in _told(alert, first, further)]
    values = [
        show(one, viewer.words, viewer.unit).text
        for one in seen
        if one is not None and shown(one) != alert.shown
    ]
    listed = ", ".join(dict.fromkeys(values))
    return (viewer.words("why.contradicted", values=listed),) if listed else ()


def _told(
    alert: AlertRow, first: Mapping[str, Placed], further: Mapping[str, Sequence[Placed]]
) -> Sequence[Placed]:
    """All that came under the key, as it came."""
    began = [first[alert.key]] if alert.key in first else []
    return (*began, *further.get(alert.key, ()))
