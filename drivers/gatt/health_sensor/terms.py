"""What an observation makes of a reading: MDC codes to kinds, parts and units that we have. Pure; the table is also in README.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from drivers.gatt.health_sensor.codec import Measured, Observation
from drivers.gatt.health_sensor.values import ElapsedTime
from gateway.sdk import Limit, PeerError, Quantity, Reading, Special

NIBP = 150020
SYSTOLIC, DIASTOLIC, MEAN = 150021, 150022, 150023
SPO2, OXIMETER_PULSE, PERFUSION = 150456, 149530, 150448
CONTROL_GLUCOSE = 160208


@dataclass(frozen=True, slots=True)
class Term:
    """What a number is, in our words, with what stands in the context."""

    kind: str
    part: str
    context: Mapping[str, str]


def _term(kind: str, part: str, **context: str) -> Term:
    return Term(kind, part, context)


def _temperature(site: str) -> Term:
    return _term("body_temperature", "temperature", site=site)


def _glucose(sample: str) -> Term:
    return _term("glucose", "value", sample_type=sample)


TERMS: Mapping[int, Term] = {
    SYSTOLIC: _term("blood_pressure", "systolic"),
    DIASTOLIC: _term("blood_pressure", "diastolic"),
    MEAN: _term("blood_pressure", "mean_arterial_pressure"),
    149546: _term("heart_rate", "heart_rate", source="pulse"),
    SPO2: _term("pulse_oximetry", "spo2"),
    OXIMETER_PULSE: _term("pulse_oximetry", "pulse_rate"),
    PERFUSION: _term("pulse_oximetry", "perfusion_index"),
    147842: _term("heart_rate", "heart_rate"),
    150364: _term("body_temperature", "temperature"),
    150392: _temperature("tympanum"),
    188424: _temperature("mouth"),
    188420: _temperature("rectum"),
    188428: _temperature("ear"),
    188432: _temperature("finger"),
    188448: _temperature("toe"),
    188452: _temperature("armpit"),
    188456: _temperature("gastro_intestinal_tract"),
    188736: _term("body_weight", "weight"),
    188740: _term("body_weight", "height"),
    188752: _term("body_weight", "bmi"),
    188748: _term("body_composition", "body_fat"),
    188756: _term("body_composition", "fat_free_mass"),
    160184: _glucose("capillary_whole_blood"),
    160188: _glucose("capillary_plasma"),
    160192: _glucose("venous_whole_blood"),
    160196: _glucose("venous_plasma"),
    160200: _glucose("arterial_whole_blood"),
    160204: _glucose("arterial_plasma"),
    CONTROL_GLUCOSE: _glucose("control_solution"),
    160212: _term("continuous_glucose", "value", sample_type="interstitial_fluid"),
    160364: _glucose("undetermined_whole_blood"),
    160368: _glucose("undetermined_plasma"),
}
# The numbers of a blood pressure, which come together.
COMPONENTS: Mapping[int, str] = {
    SYSTOLIC: "systolic",
    DIASTOLIC: "diastolic",
    MEAN: "mean_arterial_pressure",
    149546: "pulse_rate",
}
UNITS: Mapping[int, str] = {
    3872: "mmHg", 3843: "kPa", 2720: "/min", 544: "%", 6048: "degC", 4416: "degF", 2130: "mg/dL",
    4722: "mmol/L", 4724: "mg/dL/min", 1731: "kg", 1760: "lb", 1952: "kg/m2", 4288: "Ohm",
}  # fmt: skip
RECORD = "record"
STATUS_SET = "status_not_read"
"""Some status bit stands, and no public source says what it means: one that is known elsewhere says "demonstration"."""
_LIMITS: Mapping[object, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}


def reading(
    told: Observation, raw: bytes, record: int | None = None, zone: timedelta | None = None
) -> Reading | None:
    """An observation as a reading; None of something that we have no kind for. Raises PeerError for a compound that is known in part.

    `record`: its number, where it was stored; one without was told as it was made. `zone`: what the sensor's own clock adds to UTC. It holds for times in UTC that don't say themselves.
    """
    named = _named(told)
    if named is None:
        return None
    kind, parts, context = named
    present = {name: part for name, one in parts.items() if (part := _part(one)) is not None}
    taken = told.time.naive if told.time is not None and told.time.is_current else None
    return Reading(
        kind=kind,
        parts=present,
        taken=taken,
        raw_time=told.time.text if told.time is not None and taken is None else None,
        offset=None if told.time is None or taken is None else _offset(told.time, zone),
        context={**context, **dict(_beside(told, record))},
        slot=None if told.patient is None else f"{told.patient}",
        marks=frozenset(_marks(told, parts)),
        raw=raw,
        pushed=record is None,
    )


def _offset(time: ElapsedTime, zone: timedelta | None) -> timedelta | None:
    return zone if time.is_utc and time.offset is None else time.offset


def _beside(told: Observation, record: int | None) -> Iterator[tuple[str, str]]:
    if told.status is not None:
        yield "status", f"0x{told.status:04x}"
    if record is not None:
        # Told live it has none: the number makes no other measurement of it.
        yield RECORD, str(record)


def _named(told: Observation) -> tuple[str, Mapping[str, Measured], Mapping[str, str]] | None:
    if told.type == NIBP:
        parts = {COMPONENTS.get(one.type, ""): one for one in told.numbers}
        if "" in parts or len(parts) < len(told.numbers) or not parts:
            raise PeerError("a blood pressure of other parts than are known")
        return "blood_pressure", parts, {}
    terms = [(TERMS[one.type], one) for one in told.numbers if one.type in TERMS]
    if not terms:
        return None
    (kind, *others), parts = (
        {term.kind for term, _ in terms},
        {term.part: one for term, one in terms},
    )
    if others or len(parts) < len(told.numbers):
        raise PeerError(f"a compound of {kind} and other parts than are known")
    return kind, parts, {name: word for term, _ in terms for name, word in term.context.items()}


def _part(one: Measured) -> Quantity | Limit | None:
    if isinstance(one.value, Special):
        return _LIMITS.get(one.value)
    return Quantity(one.value, UNITS.get(one.unit, f"MDC {one.unit}"))


def _marks(told: Observation, parts: Mapping[str, Measured]) -> Iterator[str]:
    for name, one in parts.items():
        if _part(one) is None:
            yield f"not_available:{name}"
    if CONTROL_GLUCOSE in {one.type for one in parts.values()}:
        yield "control"
    if told.time is not None and not told.time.is_current:
        yield "earlier_timeline"
    if told.status:
        yield STATUS_SET
