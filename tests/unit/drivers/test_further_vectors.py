"""Octets that were written from the prose of protocols.md alone, and read by its reference decoder: each combination of flags, each special."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.contract.fields import Special
from gateway.contract.session import PeerError
from tests.unit.drivers.further_rows import row_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "further.json").read_text()
)["vectors"]
WHOLE = [vector for vector in VECTORS if "error" not in vector["expected"]]
REFUSED = [vector for vector in VECTORS if "error" in vector["expected"]]
TIMES = ("timestamp", "base_time", "session_start")


def by_id(vector: dict[str, Any]) -> str:
    return vector["id"]


def read(vector: dict[str, Any]) -> dict[str, Any]:
    data, context = bytes.fromhex(vector["hex"]), vector.get("context", {})
    return row_of(vector["characteristic_uuid"], data, context, vector.get("quirk"))


def number(told: Any) -> Any:  # noqa: ANN401 a JSON value
    match told:
        case str() if told in {special.value for special in Special}:
            return Special(told)
        case bool() | str() | Special() | None:
            return told
        case list():
            return [number(one) for one in told]
        case dict():
            return {name: number(one) for name, one in told.items()}
        case _:
            return Decimal(str(told))


def wanted(vector: dict[str, Any]) -> dict[str, Any]:
    expected = dict(vector["expected"])
    for name in TIMES:
        # What is counted in seconds always is a moment.
        if name in expected and vector["characteristic_uuid"] not in {"2B34", "2B90"}:
            expected[f"{name}_real"] = f"{name}_status" not in expected
            expected.pop(f"{name}_status", None)
    if "map" in expected and expected["map"] is None:
        expected["map"] = 0  # of a cuff that computes none; as a reading it is absent
    for name in ("weight", "height_unit", "time", "type", "patient"):
        if expected.get(name, 0) is None:
            del expected[name]
    if isinstance(status := expected.get("status"), list):
        expected["status"] = sorted(one for one in status if not one.startswith("rfu"))
        expected.pop("base_time_s")
    return {name: number(one) for name, one in expected.items()}


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_what_the_prose_says_is_what_is_read(vector: dict[str, Any]) -> None:
    assert number(read(vector)) == wanted(vector)


@pytest.mark.parametrize("vector", REFUSED, ids=by_id)
def test_what_the_prose_refuses_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(PeerError):
        read(vector)


@pytest.mark.parametrize("vector", WHOLE, ids=by_id)
def test_a_flagged_field_that_is_cut_condemns_its_frame(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])

    for end in sorted(set(range(len(data) - vector.get("behind", 0))) - complete(vector)):
        with pytest.raises(PeerError):
            read({**vector, "hex": data[:end].hex()})


def complete(vector: dict[str, Any]) -> set[int]:
    """Where a frame may end that is cut: behind each of several records, and behind each interval between two beats."""
    data, expected = bytes.fromhex(vector["hex"]), vector["expected"]
    if "records" in expected:
        return {expected["records"][0]["size"]}
    beats = len(expected.get("rr_1_1024s", ()))
    return {len(data) - 2 * beat for beat in range(1, beats + 1)}


def test_there_are_vectors_of_every_characteristic() -> None:
    assert len(VECTORS) > 450
    assert len(REFUSED) == 20
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS)
