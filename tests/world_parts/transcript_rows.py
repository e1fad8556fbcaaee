"""Readings of a visit and of a published session as rows and keys that can be compared. Knows no radio."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.gatt.blood_pressure.codec import reading as cuffs_reading
from drivers.gatt.glucose.codec import decode_measurement
from drivers.gatt.glucose.codec import reading as meters_reading
from edge.normalise import Provenance, normalise
from gateway.contract.profile import Profile
from gateway.contract.session import Reading
from gateway.model.observation import Moment, TimeMethod
from gateway.model.quantity import Limit, Quantity
from tests.world_parts.transcripts import CUFFS_MEASUREMENT, MEASUREMENT, Transcript


def rows(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """What a visit told, but for control solutions."""
    return [_row(one) for one in readings if "control" not in one.marks]


def _row(reading: Reading) -> dict[str, Any]:
    assert reading.taken is not None
    told: dict[str, Any] = {
        "kind": reading.kind,
        "time": (reading.taken + (reading.offset or timedelta())).isoformat(),
    }
    for name, part in reading.parts.items():
        told[name] = part.name if isinstance(part, Limit) else float(part.number)
        if isinstance(part, Quantity) and name in {"systolic", "value"}:
            told["unit"] = part.unit
    if reading.kind == "blood_pressure":
        told |= {"slot": reading.slot, "marks": sorted(reading.marks)}
    else:
        told["sequence"] = reading.sequence
        for name in ("meal", "carbohydrate_g"):
            if not reading.context.get(name, "reserved").startswith("reserved"):
                told[name] = reading.context[name]
    return told


_PARTS = {"systolic": "systolic", "diastolic": "diastolic", "map": "mean_arterial_pressure",
          "pulse_rate_bpm": "pulse_rate"}  # fmt: skip
_MARKS = {"irregular_pulse": "irregular_pulse", "body_movement": "body_movement",
          "improper_position": "improper_position"}  # fmt: skip


def wanted_rows(transcript: Transcript) -> list[dict[str, Any]]:
    """What the session says that a gateway should have stored."""
    return [
        _cuffs_row(one) if one["kind"] == "blood_pressure" else _meters_row(one)
        for one in transcript.result["readings"]
    ]


def _cuffs_row(told: Mapping[str, Any]) -> dict[str, Any]:
    marks = {mark for name, mark in _MARKS.items() if told.get(name)}
    if told["map"] is None:
        marks.add("not_available:mean_arterial_pressure")
    if told.get("pulse_rate_range") == "above_upper_limit":
        marks.add("pulse_above_range")
    user = told.get("user_id")
    if user is None and "user_id" in told:
        marks.add("unknown_user")
    return {
        "kind": told["kind"], "time": told["time"], "unit": told["unit"],
        "slot": None if user is None else str(user), "marks": sorted(marks),
        **{ours: float(told[name]) for name, ours in _PARTS.items() if told.get(name) is not None},
    }  # fmt: skip


def _meters_row(told: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": told["kind"],
        "time": told["time"],
        "sequence": told["sequence_number"],
    }
    if isinstance(told["value"], str):
        row["value"] = {"-INFINITY": "BELOW", "+INFINITY": "ABOVE"}[told["value"]]
    else:
        row |= {"value": float(told["value"]), "unit": told["unit"]}
    return row | {name: str(told[name]) for name in ("meal", "carbohydrate_g") if name in told}


def keys(readings: Sequence[Reading], profile: Profile) -> list[str]:
    """Their keys, but for control solutions."""
    where = Provenance("box-1", "d" * 20, "ble", datetime(2026, 3, 14, tzinfo=UTC), "0" * 16)
    moment = Moment(utc="2026-03-14T06:00:00.000Z", method=TimeMethod.ARRIVAL)
    return [
        normalise(one, profile, moment, where).key for one in readings if "control" not in one.marks
    ]


def wanted_keys(transcript: Transcript, profile: Profile) -> list[str]:
    """Keys that the frames of the expected readings give, decoded by themselves."""
    cuffs = [cuffs_reading(data) for _, data in transcript.told(CUFFS_MEASUREMENT)]
    frames = [(decode_measurement(data), data) for _, data in transcript.told(MEASUREMENT)]
    by_number = {told.sequence: meters_reading(told, data) for told, data in frames}
    meters = [
        replace(
            by_number[one["sequence_number"] or 0],
            kind=one["kind"],
            sequence=one["sequence_number"],
        )
        for one in transcript.result["readings"]
        if "sequence_number" in one
    ]
    wanted = keys([*cuffs, *meters], profile)
    assert len(set(wanted)) == len(transcript.result["readings"])
    return wanted


def skipped(transcript: Transcript) -> list[int]:
    """Numbers of the records that a session calls control solutions."""
    return [one["sequence_number"] for one in transcript.result.get("skipped", [])]
