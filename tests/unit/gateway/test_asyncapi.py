"""The AsyncAPI document: what the types give, valid by AsyncAPI's own schema, with examples that are what they say."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.model import observation
from gateway.model.marks import DOUBTED, WITHHELD
from gateway.wire import envelope, nesting, receipts, status
from gateway.wire.asyncapi import LIMITS, asyncapi
from gateway.wire.envelope import decode_envelope
from gateway.wire.topics import NAME, Branch, Down, Up

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "wire"
PUBLISHED: dict[str, Any] = json.loads((DOCS / "asyncapi.json").read_text())
OFFICIAL = json.loads((ROOT / "tests" / "fixtures" / "asyncapi" / "3.0.0.json").read_text())
MESSAGES = PUBLISHED["components"]["messages"]


def checked(name: str, told: object) -> None:
    """Raises where `told` is not as the document's schema `name` says."""
    jsonschema.Draft202012Validator({**PUBLISHED, "$ref": f"#/components/schemas/{name}"}).validate(
        told
    )


def example(message: str) -> Any:  # noqa: ANN401 JSON
    (one,) = MESSAGES[message]["examples"]
    return one["payload"]


def references(told: object) -> Iterator[str]:
    if isinstance(told, dict):
        for name, value in told.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(told, list):
        for value in told:
            yield from references(value)


def resolved(reference: str) -> Any:  # noqa: ANN401 JSON
    place: Any = PUBLISHED
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def test_the_published_document_is_that_of_the_types() -> None:
    assert json.loads(json.dumps(asyncapi())) == PUBLISHED


@pytest.mark.parametrize("name", ["asyncapi", "schema"])
def test_a_command_prints_each_document(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", "wire", name],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == (DOCS / f"{name}.json").read_text()


def test_it_is_valid_by_the_official_schema_of_asyncapi_3() -> None:
    jsonschema.Draft7Validator(OFFICIAL).validate(PUBLISHED)


@pytest.mark.parametrize("path", [("asyncapi",), ("info", "title"), ("channels", "up-ledger")])
def test_the_official_schema_can_say_no(path: tuple[str, ...]) -> None:
    broken: Any = json.loads(json.dumps(PUBLISHED))
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = 7

    assert list(jsonschema.Draft7Validator(OFFICIAL).iter_errors(broken))


def test_every_reference_leads_somewhere() -> None:
    told = set(references(PUBLISHED))

    assert told
    assert all(resolved(reference) for reference in told)


def test_every_topic_has_its_channel_and_no_other() -> None:
    told = {channel["address"] for channel in PUBLISHED["channels"].values()}
    filled = {address.replace("{tenant}", "t").replace("{agent}", "a") for address in told}
    branch = Branch("t", "a")

    assert filled == {*map(branch.up, Up), *map(branch.down, Down)}


def test_a_channel_without_a_message_says_that_it_is_reserved() -> None:
    silent = {name for name, channel in PUBLISHED["channels"].items() if not channel["messages"]}

    assert silent == {"up-health", "down-desired"}
    for name in silent:
        assert "Reserved" in PUBLISHED["channels"][name]["description"]


def test_the_schemas_are_those_of_the_json_schema() -> None:
    schema = (DOCS / "schema.json").read_text().replace("#/$defs/", "#/components/schemas/")

    assert PUBLISHED["components"]["schemas"] == json.loads(schema)["$defs"]


def test_only_the_status_is_retained_and_all_is_at_least_once() -> None:
    told = {
        name: operation["bindings"]["mqtt"] for name, operation in PUBLISHED["operations"].items()
    }

    assert {name for name, mqtt in told.items() if mqtt["retain"]} == {"sendStatus"}
    assert {mqtt["qos"] for mqtt in told.values()} == {1}


def test_every_limit_is_a_named_constant_of_the_code() -> None:
    for name, (value, _what) in LIMITS.items():
        homes = [
            home
            for home in (envelope, nesting, receipts, observation, status)
            if hasattr(home, name)
        ]

        assert [getattr(home, name) for home in homes] == [value], name


@pytest.mark.parametrize("message", ["receipt", "question", "answer", "status"])
def test_an_example_is_as_its_schema_says(message: str) -> None:
    checked(MESSAGES[message]["title"], example(message))


def test_what_lacks_a_field_is_not_as_its_schema_says() -> None:
    told = dict(example("receipt"))
    del told["commit"]

    with pytest.raises(jsonschema.ValidationError, match="commit"):
        checked("Receipt", told)


def test_the_last_will_is_a_status() -> None:
    will = PUBLISHED["servers"]["broker"]["bindings"]["mqtt"]["lastWill"]

    checked("Status", json.loads(will["message"]))
    assert json.loads(will["message"])["online"] is False
    assert will["topic"] == PUBLISHED["channels"]["up-status"]["address"]


def test_the_examples_envelope_is_made_as_the_words_say() -> None:
    payload = example("envelope").encode()
    line, _, body = payload.partition(b"\n")
    header, told = json.loads(line), json.loads(body)

    checked("Header", header)
    checked("Body", told)
    assert header["sha256"] == hashlib.sha256(body).hexdigest()
    assert header["count"] == len(told["observations"])


def test_the_examples_envelope_is_read_whole_by_the_cloud() -> None:
    seen = decode_envelope(example("envelope").encode()).observations

    assert [type(one) for one in seen] == [observation.Observation] * 3


def test_the_examples_belong_together() -> None:
    payload = example("envelope").encode()
    header = json.loads(payload.partition(b"\n")[0])
    keys = [one["key"] for one in json.loads(payload.partition(b"\n")[2])["observations"]]
    receipt, answer = example("receipt"), example("answer")
    (epoch,) = answer["epochs"]
    (held,) = epoch["ranges"]

    assert receipt["envelope"] == hashlib.sha256(payload).hexdigest()
    assert answer["nonce"] == example("question")["nonce"]
    assert (held["first"], epoch["parked"]) == (header["first"], [receipt["parked"][0]["n"]])
    assert held["digest"] == digest(
        range(held["first"], held["last"] + 1), keys[: held["last"] - held["first"] + 1]
    )


def digest(numbers: range, keys: list[str]) -> str:
    """As the document's words say it, without our code."""
    total = 0
    for number, key in zip(numbers, keys, strict=True):
        told = hashlib.blake2b(f"{number}:{key}".encode(), digest_size=8).digest()
        total += int.from_bytes(told, "big")
    return f"{total % 2**64:016x}"


def test_names_of_topics_are_explained_by_their_pattern() -> None:
    for parameter in PUBLISHED["components"]["parameters"].values():
        assert re.fullmatch(parameter["x-pattern"], parameter["examples"][0])
        assert parameter["x-pattern"] == f"^{NAME.pattern}$"


@pytest.mark.parametrize("words", [observation.TimeMethod, observation.Source, observation.Beyond])
def test_every_word_of_an_enumeration_is_explained(words: type[StrEnum]) -> None:
    definition = PUBLISHED["components"]["schemas"][words.__name__]
    told = MESSAGES["envelope"]["description"] + definition["description"]

    assert [word for word in words if f"`{word}`" not in told] == []


def test_every_mark_that_changes_what_the_cloud_does_is_named() -> None:
    told = MESSAGES["envelope"]["description"]

    assert [mark for mark in WITHHELD | DOUBTED if f"`{mark}`" not in told] == []
