"""The published JSON Schema of the wire, made from the types themselves."""

import msgspec

from gateway.wire.envelope import Body, Header
from gateway.wire.receipts import Answer, Question, Receipt
from gateway.wire.status import Status

# What crosses the network, in documents as in code.
MESSAGES = (Header, Body, Receipt, Question, Answer, Status)


def wire_schema() -> dict[str, object]:
    """One JSON Schema document (2020-12) with a definition for each message."""
    _, definitions = msgspec.json.schema_components(MESSAGES, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:vitalgate:wire:1",
        "title": "Vitalgate wire, version 1",
        "$defs": dict(sorted(definitions.items())),
    }
