"""Readings of a faulty firmware for tests of voiding, and what the records hold besides, in a form that can be compared."""

import msgspec

from cloud_ingest.rules.state import decode_state
from cloud_ingest.stores.records.criteria import Criteria
from cloud_ingest.stores.records.schema import (
    alert_events,
    alerts,
    due,
    flags,
    rule_state,
)

GOOD, BAD, OLD = "2.0", "1.3", "1.2"
WHO, WHY = "dr. lin", "firmware 1.3 reads 40 mmHg too high"
MINUTE = 60


def by(firmware, seen):
    return msgspec.structs.replace(seen, maker="ACME", model="Cuff", firmware=firmware)


def faulty(kit, **more: object):
    at = int(kit.now.timestamp() * 1e6)
    day = 86_400_000_000
    told = {"model": "Cuff", "firmware": BAD, "from_us": at - day, "to_us": at + day, **more}
    return Criteria(**told)


def void(kit, **more: object):
    return kit.records.void(faulty(kit, **more), WHO, WHY)[0]


def standing(kit):
    """Unresolved alerts, and on which readings."""
    names = ("condition", "state", "how", "severity", "key", "shown", "measured_us", "readings")
    return sorted(
        tuple(row[name] for name in (*names, "last_key"))
        for row in kit.rows(alerts)
        if row["state"] != "resolved"
    )


def flagged(kit):
    return sorted(tuple(v for name, v in row.items() if name != "id") for row in kit.rows(flags))


def remembered(kit):
    """Rule states, but for the slots of the time series: one that was used stays used."""
    states = [(row["subject"], decode_state(row["state"])) for row in kit.rows(rule_state)]
    told = [(s, list(state.recent.readings()), state.crossings) for s, state in states]
    return sorted(one for one in told if one[1] or one[2])


def waiting(kit):
    return sorted(
        (row["subject"], row["at_us"], row["about"])
        for row in kit.rows(due)
        if row["what"] == "unconfirmed"
    )


def story(kit):
    return [(row["what"], row["who"], row["why"]) for row in kit.rows(alert_events)]


def reading(kit, n, what, ago):
    """The n-th reading, as it comes `ago` minutes after it was measured."""
    ago -= (kit.clock.now() - kit.now).total_seconds() / 60
    repeats = {"arrival": f"{n}", "transport": "usb"}
    told = repeats if what.endswith(("again", "repeat")) else {"sequence": n}
    match what.removesuffix(" again"):
        case "crisis":
            return kit.bp(185, 121, ago, **told)
        case "calm":
            return kit.bp(121, 80, ago, **told)
        case "low" | "repeat":
            return kit.glucose("45", ago, **told)
        case "doubt":
            return kit.glucose("44", ago, **told, marks=("sample_size_insufficient",))
        case _:
            return kit.glucose("100", ago, **told)
