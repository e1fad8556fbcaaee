"""The published JSON Schema of the wire, made from the types themselves, and from what is refused beyond types."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.model.kinds import KINDS
from gateway.wire.envelope import Body, Header
from gateway.wire.receipts import Answer, Question, Receipt
from gateway.wire.status import Status

# What crosses the network, in documents as in code.
MESSAGES = (Header, Body, Receipt, Question, Answer, Status)
# Python alone lets `$` match before a last line end. Elsewhere it needs no such guard, and Go and Rust can't read one.
PYTHONS_END = re.compile(r"\(\?!\\n\)$")

Definition = dict[str, Any]  # JSON Schema


def wire_schema() -> dict[str, object]:
    """One JSON Schema document (2020-12) with a definition for each message."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vitalgate:wire:1",
        "title": "Vitalgate wire, version 1",
        "$defs": definitions("#/$defs/{name}"),
    }


def definitions(ref_template: str) -> Mapping[str, Definition]:
    """A definition for each type of the wire, by name. Refuses what the cloud would park, wherever JSON Schema can say it."""
    _, found = msgspec.json.schema_components(MESSAGES, ref_template=ref_template)
    for field in found["Header"]["properties"].values():
        if "pattern" in field:
            field["pattern"] = PYTHONS_END.sub("", field["pattern"])
    found["Part"]["anyOf"] = [
        {"required": [name], "properties": {name: {"type": "string"}}}
        for name in ("value", "beyond")
    ]
    observation = found["Observation"]
    observation["properties"]["kind"] |= _no_other_case(KINDS)
    observation["allOf"] = [_kind(name, kind.parts) for name, kind in KINDS.items()]
    return dict(sorted(found.items()))


def _kind(name: str, units: Mapping[str, str]) -> Definition:
    """What is known of the parts of one kind: their names, and the unit of each."""
    parts: Definition = {
        "type": "object",
        "propertyNames": _no_other_case(units),
        "properties": {
            part: {"type": "object", "properties": {"unit": {"const": unit}}}
            for part, unit in units.items()
        },
    }
    return {
        "if": {"type": "object", "properties": {"kind": {"const": name}}},
        "then": {"type": "object", "properties": {"parts": parts}},
    }


def _no_other_case(names: Iterable[str]) -> Definition:
    """One of these names as it is spelt here, or none of them in whatever case."""
    spelt = sorted(names)
    either = "|".join(
        "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in name)
        for name in spelt
    )
    return {"anyOf": [{"enum": spelt}, {"not": {"pattern": f"^({either})$"}}]}
