"""The reconciliation itself: truth against what the HTTP interface answers. Pure; shares no code with the product."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from demo.truth import Measured

# What a condition is told as, and how many readings it takes: a crisis is believed at the second, and told lower at one.
SEVERITY = {"BP-CRISIS": "high", "BP-CRISIS?": "medium", "GLU-L2": "high", "GLU-L2?": "medium"}
TAKES = {"BP-CRISIS": 2}
# Fields of a point that are no part of a measurement.
BESIDES = frozenset({"key", "time_known"})
# How the stores spell the units that devices use, and what one is worth where the stores convert it (UCUM).
STORED_UNIT = {"mmHg": "mm[Hg]"}
WORTH = {
    "kPa": Decimal("7.50062"),
    "mmol/L": Decimal("18.0156"),
    "jin": Decimal("0.5"),
    "lb": Decimal("0.45359237"),
}
CONVERTED_WITHIN = 0.0006  # the stores keep three digits of a converted value
OFF_SCALE = {"below": "LO", "above": "HI"}

Json = Mapping[str, Any]
Parts = tuple[tuple[str, str, str], ...]
Signature = tuple[str, str, str, Parts]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be, by name: the measurement's id or the reading's key."""

    what: str
    who: str
    detail: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.what:<12} {self.who}  {self.detail}"


def reconcile(
    measured: Sequence[Measured],
    device_of: Mapping[str, str],
    readings: Sequence[Json],
    alerts: Sequence[Json],
    wearer_of: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Everything missing, double, altered, misdated, misattributed, or judged otherwise than due.

    `device_of`: serial number -> device id. `wearer_of`: serial number -> who wears it; a device that is absent is anybody's.
    """
    if not measured and not readings:
        return [
            Finding(
                "no truth",
                "the ward",
                "nothing was measured and nothing is stored: nothing was compared",
            )
        ]
    wearer_of = wearer_of or {}
    told: defaultdict[Signature, list[Measured]] = defaultdict(list)
    came: defaultdict[Signature, list[Json]] = defaultdict(list)
    found: list[Finding] = []
    for one in measured:
        told[_truth_signature(one, device_of)].append(one)
    for reading in readings:
        if reading["journal"] is None:
            found.append(
                Finding("no journal", reading["key"], "the journal has no row for this reading")
            )
        elif not reading["journal"]["intact"]:
            found.append(
                Finding(
                    "altered",
                    reading["key"],
                    "the journal's bytes are not those that were received",
                )
            )
        if observation := _observation(reading):
            came[_reading_signature(observation)].append(reading)
    for signature in sorted({*told, *came}, key=str):
        found.extend(_compared(told[signature], came[signature], wearer_of))
    found.extend(_lone_suspects(readings))
    found.extend(_alert_findings(measured, device_of, readings, alerts, wearer_of))
    return found


def _observation(reading: Json) -> Json | None:
    journal = reading["journal"]
    return journal["observation"] if journal else None


def _truth_signature(one: Measured, device_of: Mapping[str, str]) -> Signature:
    parts = tuple(
        sorted((name, _digits(value), _unit(unit)) for name, (value, unit) in one.parts.items())
    )
    return (
        device_of.get(one.serial, f"unknown device {one.serial}"),
        one.kind,
        one.raw_time or "",
        parts,
    )


def _reading_signature(observation: Json) -> Signature:
    parts: list[tuple[str, str, str]] = []
    for name, part in observation["parts"].items():
        shown = part.get("original") or part
        if beyond := part.get("beyond"):
            parts.append((name, beyond, ""))
        else:
            parts.append((name, _digits(shown["value"]), _unit(shown["unit"])))
    return (
        observation["device"],
        observation["kind"],
        observation["time"].get("device") or "",
        tuple(sorted(parts)),
    )


def _unit(unit: str) -> str:
    return STORED_UNIT.get(unit, unit)


def _digits(value: str) -> str:
    return value if value in OFF_SCALE else str(Decimal(value))


def _lone_suspects(readings: Sequence[Json]) -> Iterator[Finding]:
    keys = {reading["key"] for reading in readings}
    for reading in readings:
        twin = (reading["journal"] or {}).get("suspect_of")
        if twin and (twin not in keys or twin == reading["key"]):
            yield Finding(
                "no twin", reading["key"], f"is held for a repeat of {twin}, which is not there"
            )


def _compared(
    told: Sequence[Measured], came: Sequence[Json], wearer_of: Mapping[str, str]
) -> Iterator[Finding]:
    suspects = sum(1 for reading in came if (reading["journal"] or {}).get("suspect_of"))
    if len(came) < len(told):
        for one in told[len(came) :]:
            yield Finding(
                "missing",
                one.id,
                f"{_value(one)} of {one.serial}, measured {one.true_time.isoformat()}",
            )
    if len(came) - suspects > len(told):
        for reading in came[len(told) :]:
            what = "double" if told else "unknown"
            yield Finding(
                what, reading["key"], f"{len(came)} stored, {len(told)} measured: {_parts(reading)}"
            )
    by_time = sorted(came, key=lambda reading: str((_observation(reading) or {})["time"]["utc"]))
    for one, reading in zip(sorted(told, key=lambda one: one.true_time), by_time, strict=False):
        yield from _reading_findings(one, reading)
        wearer = wearer_of.get(one.serial)
        if wearer and reading["patient"] != wearer:
            yield Finding(
                "wrong person",
                reading["key"],
                f"{one.id} is given to {reading['patient']}, {one.serial} is worn by {wearer}",
            )


def _reading_findings(one: Measured, reading: Json) -> Iterator[Finding]:
    key = reading["key"]
    observation = _observation(reading) or {}
    if not reading["keyed"]:
        yield Finding("no key", key, f"{one.id} has no row among the keys")
    yield from _time_findings(one, key, observation["time"])
    for mark in sorted(one.marks - set(observation.get("marks") or ())):
        yield Finding("altered", key, f"{one.id} was marked {mark}, and is stored without")
    yield from _series_findings(one, reading, observation["time"])
    yield from _judgement_findings(one, reading)


def _judgement_findings(one: Measured, reading: Json) -> Iterator[Finding]:
    key = reading["key"]
    rules = {flag["rule"] for flag in reading["flags"]}
    for rule in sorted(one.flags - rules):
        yield Finding("no flag", key, f"{one.id} ({_value(one)}) must be flagged {rule}")
    for rule in sorted(rules - one.flags):
        yield Finding("flag", key, f"{one.id} ({_value(one)}) must not be flagged {rule}")
    for flag in reading["flags"]:
        if not _shows(flag["shown"], one):
            yield Finding(
                "altered",
                key,
                f"flag {flag['rule']} shows {flag['shown']!r}, measured {_value(one)}",
            )
        if flag["severity"] != SEVERITY.get(flag["rule"]):
            yield Finding("altered", key, f"flag {flag['rule']} is told as {flag['severity']}")
    for alert in reading["alerts"]:
        if not _shows(alert["shown"], one):
            yield Finding(
                "altered",
                key,
                f"alert {alert['condition']} shows {alert['shown']!r}, measured {_value(one)}",
            )


def _time_findings(one: Measured, key: str, told: Json) -> Iterator[Finding]:
    utc = datetime.fromisoformat(told["utc"])
    early = told.get("early_s")
    earliest = None if early is None else utc - timedelta(seconds=early)
    latest = utc + timedelta(seconds=told.get("late_s", 0.0))
    if (earliest and one.true_time < earliest) or one.true_time > latest:
        since = earliest.isoformat() if earliest else "ever"
        yield Finding(
            "misdated",
            key,
            f"{one.id} was measured {one.true_time.isoformat()}, stated {since} to {latest.isoformat()}",
        )


def _series_findings(one: Measured, reading: Json, told: Json) -> Iterator[Finding]:
    key, point = reading["key"], reading["series"]
    if point is None:
        yield Finding(
            "no point",
            key,
            f"{one.id} is not in the time series: {reading.get('refused') or 'no row'}",
        )
        return
    # A point stands in the second of its measurement: what follows the second is its place among that second's readings.
    at, utc = datetime.fromisoformat(point["time"]), datetime.fromisoformat(told["utc"])
    if at.replace(microsecond=0) != utc.replace(microsecond=0):
        yield Finding(
            "misdated",
            key,
            f"{one.id} stands at {point['time']} in the time series, its time is {told['utc']}",
        )
    yield from _place_findings(one, reading, point)
    fields = {
        name: f"{name}_beyond" if value in OFF_SCALE else name
        for name, (value, _) in one.parts.items()
    }
    for more in sorted(point["fields"].keys() - fields.values() - BESIDES):
        yield Finding(
            "altered", key, f"{one.id}: {more} is in the time series and was not measured"
        )
    if point["fields"].get("time_known") != told.get("known", True):
        yield Finding(
            "altered", key, f"{one.id}: whether its time is known is not what the journal says"
        )
    for name, (value, unit) in one.parts.items():
        shown = point["fields"].get(fields[name])
        if not _same(shown, value, unit):
            yield Finding(
                "altered",
                key,
                f"{one.id}: {name} is {shown!r} in the time series, measured {value}",
            )


def _place_findings(one: Measured, reading: Json, point: Json) -> Iterator[Finding]:
    observation = _observation(reading) or {}
    wanted = {"kind": one.kind, "device": observation["device"]}
    if reading["patient"]:
        wanted["subject"] = reading["patient"]
    for what, name in wanted.items():
        if point[what] != name:
            yield Finding(
                "wrong place",
                reading["key"],
                f"{one.id}: its point's {what} is {point[what]}, not {name}",
            )


def _same(shown: object, value: str, unit: str) -> bool:
    if value in OFF_SCALE or not isinstance(shown, float):
        return shown == value
    wanted = float(Decimal(value) * WORTH.get(unit, Decimal(1)))
    return abs(shown - wanted) <= (CONVERTED_WITHIN if unit in WORTH else 0.0)


def _alert_findings(
    measured: Sequence[Measured],
    device_of: Mapping[str, str],
    readings: Sequence[Json],
    alerts: Sequence[Json],
    wearer_of: Mapping[str, str],
) -> Iterator[Finding]:
    patient_of = {
        reading["device"]: reading["patient"] for reading in readings if reading["patient"]
    }
    patient_of |= {device_of[one]: who for one, who in wearer_of.items() if one in device_of}
    due = Counter(
        (
            patient_of.get(device_of.get(one.serial, ""), f"nobody ({one.serial})"),
            one.alert.condition,
            one.alert.how,
        )
        for one in measured
        if one.alert
    )
    raised = Counter(
        (alert["patient"], alert["condition"], alert["how"])
        for alert in alerts
        if alert["state"] != "resolved"
    )
    keys = {reading["key"]: reading["patient"] for reading in readings}
    for patient, condition, how in sorted(due.keys() - raised.keys(), key=str):
        yield Finding("no alert", str(patient), f"{condition} ({how}) is due and was not raised")
    for (patient, condition, how), count in sorted(raised.items(), key=str):
        if (patient, condition, how) not in due:
            yield Finding("alert", str(patient), f"{condition} ({how}) was raised and is not due")
        elif count > 1:
            yield Finding("alert twice", str(patient), f"{condition} ({how}) is open {count} times")
    for alert in alerts:
        if keys.get(alert["key"]) != alert["patient"]:
            yield Finding(
                "alert", alert["id"], f"its reading {alert['key']} is not one of {alert['patient']}"
            )
        if alert["severity"] != SEVERITY.get(alert["condition"]):
            yield Finding(
                "altered", alert["id"], f"{alert['condition']} is told as {alert['severity']}"
            )
        if alert["readings"] < (takes := TAKES.get(alert["condition"], 1)):
            yield Finding(
                "alert",
                alert["id"],
                f"{alert['condition']} takes {takes} readings, and names {alert['readings']}",
            )


def _numbers(one: Measured) -> list[str]:
    if one.kind == "blood_pressure":
        return [one.parts[name][0] for name in ("systolic", "diastolic")]
    return [value for value, _unit in one.parts.values()]


def _shows(shown: str, one: Measured) -> bool:
    wanted = _numbers(one)
    if off_scale := [OFF_SCALE[value] for value in wanted if value in OFF_SCALE]:
        return all(word in shown for word in off_scale)
    told = [Decimal(number) for number in re.findall(r"\d+(?:\.\d+)?", shown)]
    return told[: len(wanted)] == [Decimal(number) for number in wanted]


def _value(one: Measured) -> str:
    return " ".join(f"{name} {value} {unit}".strip() for name, (value, unit) in one.parts.items())


def _parts(reading: Json) -> str:
    observation = _observation(reading) or {"parts": {}}
    return " ".join(
        f"{name} {part.get('beyond') or part.get('value')}"
        for name, part in observation["parts"].items()
    )


def summary(measured: Iterable[Measured], readings: Sequence[Json], alerts: Sequence[Json]) -> str:
    """One line that says how much was compared."""
    return (
        f"{sum(1 for _ in measured)} measured, {len(readings)} stored, "
        f"{sum(1 for alert in alerts if alert['how'] == 'live')} live alerts, "
        f"{sum(1 for alert in alerts if alert['how'] == 'late')} late findings"
    )
