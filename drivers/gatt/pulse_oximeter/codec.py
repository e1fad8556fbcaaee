"""PLX Spot-Check 0x2A5E, Continuous 0x2A5F and Features 0x2A60, both ways. Pure; tables and sources: README.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.gatt.clocks import encode_stored_time
from gateway.sdk import Fields, Special, StoredTime, encode_sfloat

Number = Decimal | Special

_TIME, _MEASUREMENT, _DEVICE, _AMPLITUDE, _CLOCK_NOT_SET = 0x01, 0x02, 0x04, 0x08, 0x10
_FAST, _SLOW, _STREAM_MEASUREMENT, _STREAM_DEVICE, _STREAM_AMPLITUDE = 0x01, 0x02, 0x04, 0x08, 0x10

FROM_STORAGE = 1 << 9
MEASUREMENT_STATUS: Mapping[int, str] = {
    1 << 5: "measurement_ongoing",
    1 << 6: "early_estimated_data",
    1 << 7: "validated_data",
    1 << 8: "fully_qualified_data",
    FROM_STORAGE: "data_from_measurement_storage",
    1 << 10: "data_for_demonstration",
    1 << 11: "data_for_testing",
    1 << 12: "calibration_ongoing",
    1 << 13: "measurement_unavailable",
    1 << 14: "questionable_measurement_detected",
    1 << 15: "invalid_measurement_detected",
}
DEVICE_STATUS: Mapping[int, str] = {
    1 << bit: name
    for bit, name in enumerate((
        "extended_display_update_ongoing", "equipment_malfunction", "signal_processing_irregularity",
        "inadequate_signal", "poor_signal", "low_perfusion", "erratic_signal", "non_pulsatile_signal",
        "questionable_pulse", "signal_analysis_ongoing", "sensor_interference",
        "sensor_unconnected_to_user", "unknown_sensor_connected", "sensor_displaced",
        "sensor_malfunctioning", "sensor_disconnected",
    ))
}  # fmt: skip
FEATURE_STORAGE = 1 << 2
_FEATURE_MEASUREMENT, _FEATURE_DEVICE = 1 << 0, 1 << 1
_DEVICE_OCTETS = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """SpO2 in percent and pulse rate in 1/min."""

    spo2: Number
    pulse: Number


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """The fields of 0x2A5E as they stand; None where the flags leave a field out. `amplitude`: pulse amplitude index, percent."""

    shown: Pair
    time: StoredTime | None = None
    measurement: int | None = None
    device: int | None = None
    amplitude: Number | None = None
    clock_not_set: bool = False


@dataclass(frozen=True, slots=True)
class Continuous:
    """The fields of 0x2A5F as they stand. `fast` and `slow`: the same averaged over less and over more time."""

    shown: Pair
    fast: Pair | None = None
    slow: Pair | None = None
    measurement: int | None = None
    device: int | None = None
    amplitude: Number | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """0x2A60: what the device can do, and which status bits it can raise (None: none)."""

    bits: int
    measurement: int | None = None
    device: int | None = None

    @property
    def stores(self) -> bool:
        """Whether it keeps spot checks, to be asked for at its control point."""
        return bool(self.bits & FEATURE_STORAGE)


def decode_spot_check(data: bytes) -> SpotCheck:
    """Read 0x2A5E. Raises PeerError where a flagged field is cut; reserved flags and octets behind the last field are ignored."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return SpotCheck(
        shown=_pair(fields),
        time=fields.date_time("time stamp") if flags & _TIME else None,
        measurement=fields.u16("measurement status") if flags & _MEASUREMENT else None,
        device=_u24(fields) if flags & _DEVICE else None,
        amplitude=fields.sfloat("pulse amplitude index") if flags & _AMPLITUDE else None,
        clock_not_set=bool(flags & _CLOCK_NOT_SET),
    )


def decode_continuous(data: bytes) -> Continuous:
    """Read 0x2A5F. Raises PeerError as `decode_spot_check` does."""
    fields = Fields(data)
    flags = fields.u8("flags")
    return Continuous(
        shown=_pair(fields),
        fast=_pair(fields) if flags & _FAST else None,
        slow=_pair(fields) if flags & _SLOW else None,
        measurement=fields.u16("measurement status") if flags & _STREAM_MEASUREMENT else None,
        device=_u24(fields) if flags & _STREAM_DEVICE else None,
        amplitude=fields.sfloat("pulse amplitude index") if flags & _STREAM_AMPLITUDE else None,
    )


def decode_features(data: bytes) -> Features:
    """Read 0x2A60. Raises PeerError where it is cut."""
    fields = Fields(data)
    bits = fields.u16("supported features")
    return Features(
        bits,
        fields.u16("measurement status support") if bits & _FEATURE_MEASUREMENT else None,
        _u24(fields) if bits & _FEATURE_DEVICE else None,
    )


def _pair(fields: Fields) -> Pair:
    return Pair(fields.sfloat("SpO2"), fields.sfloat("pulse rate"))


def _u24(fields: Fields) -> int:
    return int.from_bytes(fields.take(_DEVICE_OCTETS, "device and sensor status"), "little")


def encode_spot_check(told: SpotCheck) -> bytes:
    """Write 0x2A5E. Raises ValueError or OverflowError for what the fields can't hold."""
    flags, tail = _CLOCK_NOT_SET if told.clock_not_set else 0, b""
    if told.time is not None:
        flags, tail = flags | _TIME, encode_stored_time(told.time)
    if told.measurement is not None:
        flags, tail = flags | _MEASUREMENT, tail + told.measurement.to_bytes(2, "little")
    if told.device is not None:
        flags, tail = flags | _DEVICE, tail + told.device.to_bytes(_DEVICE_OCTETS, "little")
    if told.amplitude is not None:
        flags, tail = flags | _AMPLITUDE, tail + encode_sfloat(told.amplitude)
    return bytes((flags,)) + _encoded(told.shown) + tail


def encode_continuous(told: Continuous) -> bytes:
    """Write 0x2A5F. Raises as `encode_spot_check` does."""
    flags, tail = 0, b""
    for flag, pair in ((_FAST, told.fast), (_SLOW, told.slow)):
        if pair is not None:
            flags, tail = flags | flag, tail + _encoded(pair)
    if told.measurement is not None:
        flags, tail = flags | _STREAM_MEASUREMENT, tail + told.measurement.to_bytes(2, "little")
    if told.device is not None:
        flags, tail = flags | _STREAM_DEVICE, tail + told.device.to_bytes(_DEVICE_OCTETS, "little")
    if told.amplitude is not None:
        flags, tail = flags | _STREAM_AMPLITUDE, tail + encode_sfloat(told.amplitude)
    return bytes((flags,)) + _encoded(told.shown) + tail


def encode_features(told: Features) -> bytes:
    """Write 0x2A60."""
    tail = b"" if told.measurement is None else told.measurement.to_bytes(2, "little")
    if told.device is not None:
        tail += told.device.to_bytes(_DEVICE_OCTETS, "little")
    return told.bits.to_bytes(2, "little") + tail


def _encoded(pair: Pair) -> bytes:
    return encode_sfloat(pair.spo2) + encode_sfloat(pair.pulse)
