"""Control points, clocks and device information in octets that were written from the prose of protocols.md alone."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from drivers.gatt import racp, user_data
from drivers.gatt.cgm import ops
from drivers.gatt.clocks import decode_current_time
from drivers.gatt.device_information import decode_battery_status, decode_system_id
from drivers.gatt.device_time import decode_reference
from gateway.contract.fields import Fields
from gateway.contract.session import PeerError

Row = dict[str, Any]
VECTORS: list[Row] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "further_points.json").read_text()
)["vectors"]
WIDTHS: Mapping[str, Mapping[int, int]] = {
    "1808": racp.FILTER_OCTETS, "181F": {racp.SEQUENCE_NUMBER: 2}, "1840": {racp.SEQUENCE_NUMBER: 4},
}  # fmt: skip
RESPONSES = (racp.Op.COUNTED, racp.Op.ANSWER, racp.Op.COMBINED_COUNTED)


def by_id(vector: Row) -> str:
    return vector["id"]


def records(data: bytes, context: Row) -> Row:
    if data[:1] and data[0] in RESPONSES:
        match racp.decode_answer(data):
            case racp.Counted(number, op):
                return {"op": op, "count": number}
            case racp.Answer(request, outcome):
                return {"request": request, "outcome": outcome}
            case racp.Unknown():
                return {}
    asked = racp.decode_request(data, WIDTHS[context["service"]])
    row: Row = {"op": asked.op, "operator": asked.operator}
    if asked.filter_type is not None:
        row["filter"] = asked.filter_type
    if asked.filter_type == racp.USER_FACING_TIME:
        row["times"] = [Fields(bound).date_time("bound").text for bound in asked.bounds]
    elif asked.bounds:
        row["bounds"] = [int.from_bytes(bound, "little") for bound in asked.bounds]
    return row


def sensors(data: bytes, context: Row) -> Row:
    told = ops.decode(data, e2e=context["e2e_crc"])
    match told.operand:
        case ops.Answer(request, outcome):
            return {"op": told.op, "request": request, "outcome": outcome}
        case ops.Calibration() as one:
            return {
                "op": told.op, "level": one.glucose, "time": one.time_min, "type": one.type,
                "location": one.location, "next": one.next_min, "record": one.record, "status": one.status,
            }  # fmt: skip
        case int() as record:
            return {"op": told.op, "record": record}
        case None:
            return {"op": told.op}
        case level:
            return {"op": told.op, "level": level}


def users(data: bytes, _context: Row) -> Row:
    if data[:1] == b"\x20":
        answer = user_data.decode_answer(data)
        row: Row = {"request": answer.request, "outcome": answer.outcome, "number": answer.number}
    else:
        op, slot, code = user_data.decode_request(data)
        row = {"op": op, "slot": slot, "code": code}
    return {name: value for name, value in row.items() if value is not None}


def current_time(data: bytes, _context: Row) -> Row:
    shown = decode_current_time(data)
    assert shown is not None
    fraction = shown.microsecond * 256 / 1_000_000
    return {"time": shown.replace(microsecond=0).isoformat(), "fraction": round(fraction)}


def reference(data: bytes, _context: Row) -> Row:
    told = decode_reference(data)
    accuracy_s = None if told.accuracy is None else told.accuracy.total_seconds()
    return {"accuracy_s": accuracy_s, "hours": told.since_update.total_seconds() / 3600}


def system_id(data: bytes, _context: Row) -> Row:
    told = decode_system_id(data)
    return {"eui64": told.eui64, "oui": told.maker, "mac": told.mac}


def battery(data: bytes, _context: Row) -> Row:
    told = decode_battery_status(data)
    return {"present": told.present, "level": told.level}


READ: Mapping[str, Callable[[bytes, Row], Row]] = {
    "2A52": records,
    "2AAC": sensors,
    "2A9F": users,
    "2A2B": current_time,
    "2A14": reference,
    "2A23": system_id,
    "2BED": battery,
}


def read(vector: Row, end: int | None = None) -> Row:
    data = bytes.fromhex(vector["hex"])[:end]
    return READ[vector["characteristic_uuid"]](data, vector.get("context", {}))


@pytest.mark.parametrize("vector", VECTORS, ids=by_id)
def test_what_the_prose_says_is_what_is_read(vector: Row) -> None:
    level = vector["expected"].get("level")
    wanted = {**vector["expected"], **({} if level is None else {"level": Decimal(str(level))})}

    assert read(vector) == wanted


@pytest.mark.parametrize("vector", VECTORS, ids=by_id)
def test_what_is_cut_anywhere_is_refused(vector: Row) -> None:
    # A count may have one octet, two or four: nothing says that it was cut.
    counts = {3, 4} if "count" in vector["expected"] else set[int]()

    for end in set(range(len(vector["hex"]) // 2)) - counts:
        with pytest.raises(PeerError):
            read(vector, end)
