"""What a spot check or a sample of a pulse oximeter is worth: status bits are read before values. Pure; rules: README.md."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from drivers.gatt.pulse_oximeter.codec import (
    DEVICE_STATUS,
    FROM_STORAGE,
    MEASUREMENT_STATUS,
    Continuous,
    Number,
    Pair,
    SpotCheck,
    decode_continuous,
)
from drivers.gatt.streaming import Sample, Shown, Summing, Values, spread
from gateway.sdk import Limit, Quantity, Reading, Special

KIND = "pulse_oximetry"
SPO2, PULSE, PERFUSION = "spo2", "pulse_rate", "perfusion_index"
_UNITS: Mapping[str, str] = {SPO2: "%", PULSE: "/min", PERFUSION: "%"}

# With one of these no value is told as one: what was sent with it stands in the context.
WITHHOLDING: Mapping[str, str] = {
    "data_for_demonstration": "no person",
    "data_for_testing": "no person",
    "calibration_ongoing": "no person",
    "measurement_unavailable": "nothing measured",
    "sensor_unconnected_to_user": "nothing measured",
    "sensor_disconnected": "nothing measured",
    "invalid_measurement_detected": "measured, and failed",
}
_MEASURED = frozenset({"invalid_measurement_detected"})
OFF_FINGER = frozenset({"sensor_unconnected_to_user", "sensor_disconnected"})
# Where the value comes from, and how far its averaging has come: no doubt about it.
_UNREMARKABLE = frozenset(
    {
        "measurement_ongoing",
        "validated_data",
        "fully_qualified_data",
        "data_from_measurement_storage",
        "extended_display_update_ongoing",
    }
)
_LIMITS: Mapping[Number | None, Limit] = {Special.ABOVE: Limit.ABOVE, Special.BELOW: Limit.BELOW}

# A sample counts within these (reference notes); devices send 0, 127 or 511 where they have no value.
SPO2_FIT = (Decimal(1), Decimal(100))
PULSE_FIT = (Decimal(20), Decimal(300))


def statuses(measurement: int | None, device: int | None) -> frozenset[str]:
    """The names of all status bits that stand; reserved ones are none."""
    told = {name for bit, name in MEASUREMENT_STATUS.items() if (measurement or 0) & bit}
    return frozenset(told | {name for bit, name in DEVICE_STATUS.items() if (device or 0) & bit})


def is_stored(told: SpotCheck) -> bool | None:
    """Whether it comes from the memory; None where the device doesn't say."""
    return None if told.measurement is None else bool(told.measurement & FROM_STORAGE)


def reading(told: SpotCheck, raw: bytes, *, pushed: bool) -> Reading | None:
    """A spot check as a reading; None where nothing was measured, and nothing sent.

    Parts of one that the device calls invalid, or none of a person, are withheld: they stand in the context.
    """
    status = statuses(told.measurement, told.device)
    withheld = status & WITHHOLDING.keys()
    sent = dict(_sent(told))
    if withheld and not sent and not withheld & _MEASURED:
        return None
    parts = {} if withheld else sent
    missing = {f"not_available:{name}" for name in (SPO2, PULSE) if name not in parts}
    dated = told.time is not None and told.time.naive is not None and not told.clock_not_set
    return Reading(
        kind=KIND,
        parts=parts,
        taken=told.time.naive if told.time and dated else None,
        raw_time=told.time.text if told.time and not dated else None,
        context={f"sent_{name}": _shown(part) for name, part in sent.items()} if withheld else {},
        marks=frozenset(
            (status - _UNREMARKABLE)
            | missing
            | ({"clock_not_set"} if told.clock_not_set else frozenset())
        ),
        raw=raw,
        pushed=pushed,
    )


def _sent(told: SpotCheck) -> Iterator[tuple[str, Quantity | Limit]]:
    shown = {SPO2: told.shown.spo2, PULSE: told.shown.pulse, PERFUSION: told.amplitude}
    for name, number in shown.items():
        if isinstance(number, Decimal):
            yield name, Quantity(number, _UNITS[name])
        elif number in _LIMITS:
            yield name, _LIMITS[number]


def _shown(part: Quantity | Limit) -> str:
    return part.value if isinstance(part, Limit) else f"{part.number:f} {part.unit}"


def sample(data: bytes) -> Sample:
    """One notification of 0x2A5F as a sample. Raises PeerError."""
    told = decode_continuous(data)
    status = statuses(told.measurement, told.device)
    if withheld := sorted(status & WITHHOLDING.keys()):
        return Sample(unfit=withheld[0], worn=status.isdisjoint(OFF_FINGER))
    without_pulse = _lacks_pulse_alone(told)
    if not (_is_fit(told.shown) or without_pulse):
        return Sample(unfit="no_value")
    missing = {f"not_available:{PULSE}"} if without_pulse else frozenset[str]()
    return Sample(dict(_values(told)), marks=(status - _UNREMARKABLE) | missing)


def _is_fit(shown: Pair) -> bool:
    return _is_saturation(shown.spo2) and _is_within(shown.pulse, PULSE_FIT)


def _is_saturation(number: Number) -> bool:
    """Also one off the scale: the lower it is, the less it may be passed over."""
    return number in _LIMITS or _is_within(number, SPO2_FIT)


def _is_within(number: Number, fit: tuple[Decimal, Decimal]) -> bool:
    low, high = fit
    return isinstance(number, Decimal) and low <= number <= high


def _lacks_pulse_alone(told: Continuous) -> bool:
    """Whether it has a saturation, and says itself that there is no number for the pulse: a low one is no less dangerous for that.

    Only of a device that says whether it is on somebody: of another, that is how a finger looks that has left.
    """
    says_none = isinstance(told.shown.pulse, Special)
    return told.device is not None and says_none and _is_saturation(told.shown.spo2)


def _values(told: Continuous) -> Iterator[tuple[str, tuple[Shown, ...]]]:
    if _lacks_pulse_alone(told):
        yield SPO2, tuple(_told(told.shown.spo2))
    for suffix, pair in (("", told.shown), ("_fast", told.fast), ("_slow", told.slow)):
        if pair is not None and _is_fit(pair):
            for name, number in ((SPO2, pair.spo2), (PULSE, pair.pulse)):
                yield f"{name}{suffix}", tuple(_told(number))
    if isinstance(told.amplitude, Decimal):
        yield PERFUSION, (told.amplitude,)


def _told(number: Number) -> Iterator[Shown]:
    if isinstance(number, Decimal):
        yield number
    elif number in _LIMITS:
        yield _LIMITS[number]


def _parts(values: Values) -> Mapping[str, Quantity | Limit]:
    parts = {
        name: part
        for of in (SPO2, PULSE)
        for name, part in spread(of, values.get(of, ()), _UNITS[of])
    }
    index = dict(spread(PERFUSION, values.get(PERFUSION, ()), _UNITS[PERFUSION]))
    return {**parts, PERFUSION: index[PERFUSION]} if index else parts


def _context(values: Values) -> Mapping[str, str]:
    """What the device averaged over less or more time: the lowest SpO2 of each, and its median."""
    return {
        f"window_{name}": _shown(part)
        for of in (f"{SPO2}_fast", f"{SPO2}_slow")
        for name, part in spread(of, values.get(of, ()), "%")
    }


SUMMING = Summing(KIND, SPO2, "median", _parts, _context)
