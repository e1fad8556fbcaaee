"""What our decoders read, as rows of the names in `further.json`. Knows no octets: each row is made of a decoder's result alone."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from drivers.gatt import device_time
from drivers.gatt.blood_pressure.codec import Measurement as Pressures
from drivers.gatt.blood_pressure.codec import decode_measurement as decode_pressures
from drivers.gatt.blood_pressure.enhanced import decode_enhanced
from drivers.gatt.cgm import codec as cgm
from drivers.gatt.glucose.codec import decode_measurement as decode_glucose
from drivers.gatt.glucose.context import decode_context
from drivers.gatt.health_sensor import codec as ghs
from drivers.gatt.health_sensor.values import decode_time
from drivers.gatt.heart_rate import codec as heart_rate
from drivers.gatt.pulse_oximeter import codec as oximeter
from drivers.gatt.thermometer import codec as thermometer
from drivers.gatt.weight_scale import codec as weight
from drivers.gatt.weight_scale import composition
from drivers.vendor.beurer_bm.codec import decode_frame
from gateway.contract.fields import Fields, StoredTime
from gateway.model.quantity import Quantity

Row = dict[str, Any]
Context = Mapping[str, Any]


def row_of(characteristic: str, data: bytes, context: Context, quirk: str | None = None) -> Row:
    """Raises PeerError."""
    told = _ROWS[quirk or characteristic](data, context)
    return {name: value for name, value in told.items() if value is not None or name in _NULLS}


# Names that stand with null where a device says "not known".
_NULLS = {"weight_unknown", "time_zone_min", "dst_offset_min"}
_PLAIN = {"e2e_crc": False}


def _time(name: str, time: StoredTime | None) -> Row:
    """Whether it is a real moment is ours to say; why it is none, the vector's."""
    return {} if time is None else {name: time.text, f"{name}_real": time.naive is not None}


def _pressures(told: Pressures) -> Row:
    return {
        "unit": told.unit,
        "systolic": told.systolic,
        "diastolic": told.diastolic,
        "map": told.mean,
        **_time("timestamp", told.time),
        "pulse_rate_bpm": told.pulse,
        "user_id": told.user,
        "measurement_status": told.status,
    }


def _enhanced(data: bytes) -> Row:
    told = decode_enhanced(data)
    tail = told.tail
    return {
        "unit": told.unit,
        "systolic": told.systolic,
        "diastolic": told.diastolic,
        "map": told.mean,
        "timestamp": tail.stamp and tail.stamp.naive.isoformat(),
        "pulse_rate_bpm": tail.pulse,
        "user_id": tail.user,
        "measurement_status": tail.status,
        "user_facing_time": tail.user_facing and tail.user_facing.naive.isoformat(),
    }


def _glucose(data: bytes) -> Row:
    told = decode_glucose(data)
    row = {
        "sequence_number": told.sequence,
        **_time("base_time", told.base_time),
        "time_offset_min": told.offset_min,
        "status": told.status,
        "context_follows": told.context_follows,
    }
    if (sample := told.concentration) is not None:
        row |= {
            "concentration": sample.number,
            "unit": sample.unit,
            "sample_type": sample.type,
            "sample_location": sample.location,
        }
    return row


def _context(data: bytes) -> Row:
    told = decode_context(data)
    eaten, drug, person = told.carbohydrate, told.medication, told.person
    return {
        "sequence_number": told.sequence,
        "extended_flags": told.extended,
        "carbohydrate": eaten and [eaten.id, eaten.kg],
        "meal": told.meal,
        "tester": person and person[0],
        "health": person and person[1],
        "exercise": told.exercise and list(told.exercise),
        "medication": drug and [drug.id, drug.amount, drug.unit],
        "hba1c_pct": told.hba1c,
    }


def _temperature(data: bytes) -> Row:
    told = thermometer.decode_measurement(data)
    return {
        "temperature": told.temperature,
        "unit": told.unit[-1],
        **_time("timestamp", told.time),
        "type": told.site,
    }


def _pair(told: oximeter.Pair | None) -> list[oximeter.Number] | None:
    return None if told is None else [told.spo2, told.pulse]


def _spot(data: bytes) -> Row:
    told = oximeter.decode_spot_check(data)
    return {
        "spo2_pct": told.shown.spo2,
        "pulse_rate_bpm": told.shown.pulse,
        **_time("timestamp", told.time),
        "measurement_status": told.measurement,
        "device_sensor_status": told.device,
        "pulse_amplitude_index_pct": told.amplitude,
        "clock_not_set": told.clock_not_set,
    }


def _continuous(data: bytes) -> Row:
    told = oximeter.decode_continuous(data)
    return {
        "spo2_pct": told.shown.spo2,
        "pulse_rate_bpm": told.shown.pulse,
        "fast": _pair(told.fast),
        "slow": _pair(told.slow),
        "measurement_status": told.measurement,
        "device_sensor_status": told.device,
        "pulse_amplitude_index_pct": told.amplitude,
    }


def _oximeters_features(data: bytes) -> Row:
    told = oximeter.decode_features(data)
    return {
        "raw": told.bits,
        "measurement_status_support": told.measurement,
        "device_sensor_status_support": told.device,
    }


_CONTACTS = {None: "not_supported", True: "detected", False: "not_detected"}


def _heart_rate(data: bytes) -> Row:
    told = heart_rate.decode_measurement(data)
    return {
        "heart_rate_bpm": told.rate,
        "sensor_contact": _CONTACTS[told.contact],
        "energy_expended_kj": told.energy_kj,
        "rr_1_1024s": told.rr and list(told.rr),
    }


def _weighing(data: bytes) -> Row:
    told = weight.decode_weighing(data)
    known = told.weight != weight.UNSUCCESSFUL
    tall = None if told.height is None else weight.stature(told.height, imperial=told.imperial)
    return {
        "weight": weight.mass(told.weight, imperial=told.imperial).number if known else None,
        "weight_unit": "lb" if told.imperial else "kg",
        **_time("timestamp", told.time),
        "user_id": told.user,
        "bmi": None if told.bmi is None else Decimal(told.bmi).scaleb(-1),
        "height": tall and tall.number,
        "height_unit": tall and tall.unit,
    }


_COMPOSED = {
    "body_fat": "body_fat_pct",
    "basal_metabolism": "basal_metabolism_kj",
    "muscle": "muscle_pct",
    "impedance": "impedance_ohm",
}


def _composition(data: bytes) -> Row:
    told = composition.decode_composition(data)
    parts = composition.reading(told, data).parts
    row: Row = {
        "mass_unit": "lb" if told.imperial else "kg",
        **_time("timestamp", told.time),
        "user_id": told.user,
        "multiple_packet": told.several,
    }
    for name, part in parts.items():
        assert isinstance(part, Quantity)
        row[_COMPOSED.get(name, name)] = part.number
        if name == "height":
            row["height_unit"] = part.unit
    return row


def _records(data: bytes, context: Context) -> Row:
    return {
        "records": [
            _filled({
                "size": len(raw),
                "glucose_mg_dl": told.glucose,
                "time_offset_min": told.offset_min,
                "status_octet": told.status,
                "cal_temp_octet": told.calibration,
                "warning_octet": told.warning,
                "trend_mg_dl_per_min": told.trend,
                "quality_pct": told.quality,
            })
            for told, raw in cgm.decode_measurement(data, e2e=context["e2e_crc"])
        ]
    }  # fmt: skip


def _filled(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


def _start(data: bytes, context: Context) -> Row:
    told = cgm.decode_start(data, e2e=context["e2e_crc"])
    zone = told.zone if told.zone in cgm.ZONE_QUARTERS else None
    dst = cgm.DST_MIN.get(told.dst)
    # Either is only worth something with the other.
    both = None if zone is None or dst is None else timedelta(minutes=15 * zone + dst)
    assert told.ahead == both
    return {
        **_time("session_start", told.time),
        "time_zone_min": None if zone is None else 15 * zone,
        "dst_offset_min": dst,
    }


def _status(data: bytes, context: Context) -> Row:
    told = cgm.decode_status(data, e2e=context["e2e_crc"])
    return {"time_offset_min": told.offset_min, "raw": told.bits}


def _feature(data: bytes) -> Row:
    told = cgm.decode_feature(data)
    return {"raw": told.bits, "sample_type": told.type, "sample_location": told.location}


def _minutes(told: timedelta | None) -> int | None:
    return None if told is None else int(told / timedelta(minutes=1))


def _local(told: device_time.LocalTime) -> Row:
    return {"time_zone_min": _minutes(told.zone), "dst_offset_min": _minutes(told.dst)}


_STATUSES = {
    "local_time_synchronized": "qualified_local_time_synchronized",
    "asks_for_an_update": "propose_time_update_request",
    "non_logged_change_active": "non_logged_time_change_active",
}


def _device_time(data: bytes, context: Context) -> Row:
    features = {"e2e_crc"} if context.get("e2e_crc") else set[str]()
    if context.get("fields"):
        features.add("separate_user_timeline")
    told = device_time.decode_device_time(data, frozenset(features))
    return {
        "base_time": told.base.isoformat(),
        **_local(told.local),
        "status": sorted(_STATUSES.get(one, one) for one in told.status),
        "user_time": told.user and told.user.isoformat(),
    }


def _elapsed(data: bytes) -> Row:
    told = decode_time(Fields(data))
    return {
        "tick_counter": told.is_ticks,
        "utc": told.is_utc,
        "time_value": told.steps,
        "current_timeline": told.is_current,
        "time": _iso(told.naive),
        "offset_min": _minutes(told.offset),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _observation(data: bytes) -> Row:
    body = ghs.Segments().feed(data)
    assert body is not None
    told = ghs.decode(body)
    numbers: Sequence[ghs.Measured] = told.numbers
    return {
        "type": told.type,
        "patient": told.patient,
        "numbers": [[one.type, one.unit, one.value] for one in numbers],
        "time": told.time and _iso(told.time.naive),
    }


_ROWS: Mapping[str, Callable[[bytes, Context], Row]] = {
    "2A35": lambda data, _: _pressures(decode_pressures(data)),
    "beurer_bm85": lambda data, _: _pressures(decode_frame(data)),
    "2B34": lambda data, _: _enhanced(data),
    "2A18": lambda data, _: _glucose(data),
    "2A34": lambda data, _: _context(data),
    "2A1C": lambda data, _: _temperature(data),
    "2A5E": lambda data, _: _spot(data),
    "2A5F": lambda data, _: _continuous(data),
    "2A60": lambda data, _: _oximeters_features(data),
    "2A37": lambda data, _: _heart_rate(data),
    "2A9D": lambda data, _: _weighing(data),
    "2A9C": lambda data, _: _composition(data),
    "2AA7": _records,
    "2AAA": _start,
    "2AA9": _status,
    "2AA8": lambda data, _: _feature(data),
    "2AAB": lambda data, context: {"run_time_h": cgm.decode_run_time(data, e2e=context["e2e_crc"])},
    "2A0F": lambda data, _: _local(device_time.decode_local_time(data)),
    "2B90": _device_time,
    "2BF2": lambda data, _: _elapsed(data),
    "2B8B": lambda data, _: _observation(data),
}
