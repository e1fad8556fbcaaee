"""The published schema and the ingester say the same: what one takes is filed, what one refuses is parked."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.batching import Arrival
from cloud_ingest.filing import Filing
from cloud_ingest.stores.records.arrival import Poison, Sealed, Stray, arrive
from cloud_ingest.stores.records.types import Delivery
from gateway.model.kinds import KINDS
from gateway.model.observation import Observation
from gateway.runtime.counters import Counters
from gateway.wire.receipts import NONCE_MAX, QUESTION_BYTES_MAX
from gateway.wire.topics import Branch, Down, Up
from tests.unit.cloud_ingest.conftest import NOW

DOCS = Path(__file__).resolve().parents[3] / "docs" / "wire"
SCHEMA: dict[str, Any] = json.loads((DOCS / "schema.json").read_text())
PUBLISHED = json.loads((DOCS / "asyncapi.json").read_text())
BODY = PUBLISHED["components"]["messages"]["envelope"]["examples"][0]["payload"].partition("\n")[2]
PRESSURE, GLUCOSE, TOO_LOW = json.loads(BODY)["observations"]
BRANCH = Branch("demo", "box-1")

Json = dict[str, Any]


VALIDATORS = {
    name: jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})
    for name in ("Header", "Body", "Observation", "Question")
}


def schema_takes(name: str, told: object) -> bool:
    return VALIDATORS[name].is_valid(told)


def enveloped(*told: Json, **header: object) -> tuple[Json, bytes]:
    body = json.dumps({"observations": told}).encode()
    line: Json = {
        "schema": "vitalgate.envelope/1",
        "agent": "box-1",
        "epoch": "5f0c3a9be1d27748",
        "first": 1,
        "count": len(told),
        "encoding": "json",
        "sha256": hashlib.sha256(body).hexdigest(),
        **header,
    }
    return line, json.dumps(line).encode() + b"\n" + body


def arrived(payload: bytes) -> Sealed | Poison | Stray:
    return arrive("demo", Delivery(BRANCH.up(Up.OBSERVATIONS), payload, NOW))


def cloud_takes(told: Json) -> bool:
    came = arrived(enveloped(told)[1])
    assert isinstance(came, Sealed)
    return isinstance(came.envelope.observations[0], Observation)


def bent(base: Json, bend: Callable[[Json], object]) -> Json:
    told = json.loads(json.dumps(base))
    bend(told)
    return told


REFUSED: dict[str, Json] = {
    "neither value nor beyond": bent(GLUCOSE, lambda o: o.update(parts={"x": {"unit": "1"}})),
    "no value but null": bent(TOO_LOW, lambda o: o["parts"]["value"].update(beyond=None, value=None)),
    "mmHg": bent(PRESSURE, lambda o: o["parts"]["systolic"].update(unit="mmHg")),
    "glucose not converted": bent(GLUCOSE, lambda o: o["parts"]["value"].update(unit="mmol/L")),
    "a kind in capitals": bent(GLUCOSE, lambda o: o.update(kind="GLUCOSE")),
    "a part in capitals": bent(
        PRESSURE, lambda o: o["parts"].update(Pulse_Rate={"unit": "/min", "value": "72"})
    ),
    "month 13": bent(GLUCOSE, lambda o: o["time"].update(utc="2026-13-14T00:10:00.000Z")),
    "31 April": bent(GLUCOSE, lambda o: o["time"].update(utc="2026-04-31T00:10:00.000Z")),
    "a leap second": bent(GLUCOSE, lambda o: o["time"].update(utc="2016-12-31T23:59:60.000Z")),
    "hour 24": bent(GLUCOSE, lambda o: o.update(accepted="2026-03-14T24:00:00.000Z")),
    "year 1677": bent(GLUCOSE, lambda o: o.update(accepted="1677-12-31T23:59:59.999Z")),
    "year 2262": bent(GLUCOSE, lambda o: o.update(accepted="2262-01-01T00:00:00.000Z")),
}  # fmt: skip
TAKEN: dict[str, Json] = {
    "the document's pressure": PRESSURE,
    "the document's glucose": GLUCOSE,
    "the document's LO": TOO_LOW,
    "LO without a bound": bent(TOO_LOW, lambda o: o["parts"]["value"].pop("value")),
    "no parts": bent(GLUCOSE, lambda o: o.update(parts={})),
    "another kind, by its own units": bent(GLUCOSE, lambda o: o.update(kind="acme.lactate")),
    "another part of a known kind": bent(
        GLUCOSE, lambda o: o["parts"].update(haematocrit={"unit": "%", "value": "41"})
    ),
    "29 February": bent(GLUCOSE, lambda o: o["time"].update(utc="2024-02-29T23:59:59.999Z")),
}


@pytest.mark.parametrize("told", REFUSED.values(), ids=REFUSED)
def test_what_the_cloud_parks_the_schema_refuses(told: Json) -> None:
    assert not cloud_takes(told)
    assert not schema_takes("Observation", told)


@pytest.mark.parametrize("told", TAKEN.values(), ids=TAKEN)
def test_what_the_schema_takes_the_cloud_files(told: Json) -> None:
    assert schema_takes("Observation", told)
    assert cloud_takes(told)


NUMBERS = st.sampled_from(["1", "-0", "1e99", "1e100", "0" * 20, "1" * 21, ".5", "+1", "NaN", None])
UNITS = st.sampled_from(["mg/dL", "mm[Hg]", "mmol/L", "kg", "%", "", "x" * 201, "\t"])
NAMES = st.sampled_from(
    [*{part: 0 for kind in KINDS.values() for part in kind.parts}, "Value", "x", "a b", "", "é"]
)
KIND_NAMES = st.sampled_from([*KINDS, *map(str.upper, KINDS), *map(str.title, KINDS), "x", ""])
PART = st.fixed_dictionaries(
    {"unit": UNITS},
    optional={
        "value": NUMBERS,
        "beyond": st.sampled_from(["below", "above", "ABOVE", None]),
        "original": st.none() | st.fixed_dictionaries({"value": NUMBERS, "unit": UNITS}),
    },
)


@settings(max_examples=300)
@given(KIND_NAMES, st.dictionaries(NAMES, PART, max_size=3))
def test_of_any_kind_and_parts_both_say_the_same(kind: str, parts: Json) -> None:
    told = {**GLUCOSE, "kind": kind, "parts": parts}

    assert schema_takes("Observation", told) == cloud_takes(told)


def days() -> Iterator[date]:
    yield from (date(1678, 1, 1), date(1679, 12, 31), date(1680, 1, 1), date(1700, 2, 28))
    yield from (date(1999, 12, 31), date(2259, 6, 30), date(2261, 12, 31))
    yield from (date(2024, 1, 1) + timedelta(days=n) for n in range(366))


def test_every_day_that_there_is_can_be_told() -> None:
    schema = SCHEMA["$defs"]["Moment"]["properties"]["utc"]
    validator = jsonschema.Draft202012Validator(schema)

    assert all(validator.is_valid(f"{day}T23:59:59.999Z") for day in days())


@pytest.mark.parametrize(
    "header",
    [
        {"schema": "vitalgate.envelope/2"}, {"schema": "vitalgate.envelope/12"}, {"schema": "other/1"},
        {"schema": "vitalgateXenvelope/1"}, {"encoding": "gzip"}, {"epoch": "0" * 15}, {"first": 0},
    ],
)  # fmt: skip
def test_a_header_that_condemns_its_body_is_refused_by_the_schema(header: Json) -> None:
    line, payload = enveloped(GLUCOSE, **header)

    assert not isinstance(arrived(payload), Sealed)
    assert not schema_takes("Header", line)


@pytest.mark.parametrize("schema", ["vitalgate.envelope/1", "vitalgate.envelope/1.7"])
def test_a_header_of_any_minor_version_is_taken(schema: str) -> None:
    line, payload = enveloped(GLUCOSE, schema=schema)

    assert isinstance(arrived(payload), Sealed)
    assert schema_takes("Header", line)


def test_a_body_without_observations_is_refused_by_the_schema() -> None:
    assert not schema_takes("Body", {"observations": []})


class Letters:
    """What is sent to boxes."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, topic: str, payload: bytes) -> None:
        assert topic == BRANCH.down(Down.LEDGER)
        self.sent.append(payload)


@pytest.mark.parametrize(
    ("question", "taken"),
    [
        ({"nonce": "n"}, True), ({"nonce": "é" * NONCE_MAX}, True), ({"nonce": ""}, False),
        ({"nonce": "n" * (NONCE_MAX + 1)}, False), ({"nonce": "n", "schema": "other/1"}, False),
    ],
)  # fmt: skip
def test_a_question_that_is_not_answered_is_refused_by_the_schema(
    kit, question: Json, *, taken: bool
) -> None:
    payload = json.dumps(question).encode()
    assert len(payload) <= QUESTION_BYTES_MAX
    letters = Letters()
    filing = Filing(
        kit.records,
        letters,
        Counters(),
        tell=lambda _news: None,
        stored=lambda: None,
        stopping=Event(),
    )

    filing.file([Arrival(Delivery(BRANCH.up(Up.LEDGER), payload, NOW), 1, 1, 1)])

    assert bool(letters.sent) == schema_takes("Question", question) == taken


def patterns(told: object) -> Iterator[str]:
    if isinstance(told, dict):
        if isinstance(told.get("pattern"), str):
            yield told["pattern"]
        for one in told.values():
            yield from patterns(one)
    elif isinstance(told, list):
        for one in told:
            yield from patterns(one)


def test_no_pattern_needs_more_than_every_programming_language_has() -> None:
    """Go and Rust read no lookahead: a schema with one can't be loaded there at all."""
    told = set(patterns(SCHEMA))

    assert len(told) > 10
    assert not [pattern for pattern in told if "(?" in pattern]
