"""Who looks, in which language, zone and unit: what every page needs besides the facts. Pure."""

from dataclasses import dataclass

from cloud_ingest.console.times import Times
from cloud_ingest.console.words import Words


@dataclass(frozen=True, slots=True)
class Viewer:
    """One request's eyes. `unit` is the glucose unit that was chosen; None: as each device shows it."""

    words: Words
    times: Times
    unit: str | None
    who: str
    guard: str
    zone_name: str
    named: bool
