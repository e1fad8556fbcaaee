"""The published AsyncAPI 3.0 document of the wire, made from the types themselves. For writers of clients; nothing here runs it."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.model.observation import MARKS_MAX, PARTS_MAX, RAW_HEX_MAX
from gateway.wire import examples, manual
from gateway.wire.envelope import (
    BODY_BYTES_MAX,
    COUNT_MAX,
    HEADER_BYTES_MAX,
    WIRE_BYTES_MAX,
    ZSTD_WINDOW_BYTES_MAX,
)
from gateway.wire.nesting import NESTING_MAX
from gateway.wire.receipts import LISTED_MAX, NONCE_MAX, QUESTION_BYTES_MAX, RANGES_MAX
from gateway.wire.schema import definitions
from gateway.wire.status import STATUS_BYTES_MAX
from gateway.wire.topics import NAME, ROOT, Down, Up

JSON = "application/json"
ENVELOPE = "application/vnd.vitalgate.envelope"
MQTT = "0.2.0"  # the version of AsyncAPI's MQTT bindings

# Limit -> (how much, of what). A test holds each name to a constant of the code.
LIMITS: Mapping[str, tuple[int, str]] = {
    "HEADER_BYTES_MAX": (HEADER_BYTES_MAX, "bytes of the header line, without its end"),
    "WIRE_BYTES_MAX": (WIRE_BYTES_MAX, "bytes of an envelope as it travels"),
    "STATUS_BYTES_MAX": (STATUS_BYTES_MAX, "bytes of a status"),
    "BODY_BYTES_MAX": (BODY_BYTES_MAX, "bytes of a body once decompressed"),
    "COUNT_MAX": (COUNT_MAX, "observations in one envelope"),
    "ZSTD_WINDOW_BYTES_MAX": (ZSTD_WINDOW_BYTES_MAX, "bytes of a Zstandard frame's window"),
    "PARTS_MAX": (PARTS_MAX, "parts, and entries of context, of one observation"),
    "MARKS_MAX": (MARKS_MAX, "marks of one observation"),
    "RAW_HEX_MAX": (RAW_HEX_MAX, "hex digits of `raw`"),
    "NESTING_MAX": (NESTING_MAX, "lists and objects in each other, unknown fields too"),
    "QUESTION_BYTES_MAX": (QUESTION_BYTES_MAX, "bytes of a ledger question"),
    "NONCE_MAX": (NONCE_MAX, "characters of its nonce"),
    "RANGES_MAX": (RANGES_MAX, "ranges in a ledger answer"),
    "LISTED_MAX": (LISTED_MAX, "numbers listed apart in a ledger answer"),
}

# Leaf -> (channel, what is said there). A leaf that is missing here is reserved.
UP: Mapping[Up, tuple[str, Sequence[str]]] = {
    Up.OBSERVATIONS: ("Readings, in numbered envelopes", ("envelope",)),
    Up.LEDGER: ("The box asks what the cloud holds of it", ("question",)),
    Up.STATUS: ("What the box says of itself", ("status",)),
}
DOWN: Mapping[Down, tuple[str, Sequence[str]]] = {
    Down.RECEIPTS: ("What became of each envelope", ("receipt",)),
    Down.LEDGER: ("What the cloud holds of the box", ("answer",)),
}


def asyncapi() -> dict[str, object]:
    """The document."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:vitalgate:wire:1",
        "info": {
            "title": "Vitalgate wire",
            "version": "1.0.0",
            "description": manual.ABOUT,
            "license": {"name": "Apache-2.0"},
            "x-limits": {
                name: {"value": value, "of": what} for name, (value, what) in LIMITS.items()
            },
        },
        "defaultContentType": JSON,
        "servers": {"broker": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": definitions("#/components/schemas/{name}"),
            "messages": _messages(),
            "parameters": _parameters(),
            "securitySchemes": {
                "password": {"type": "userPassword", "description": "MQTT user and password."},
                "certificate": {
                    "type": "X509",
                    "description": "The box's own certificate; its common name is the agent's.",
                },
            },
        },
    }


def _server() -> dict[str, object]:
    return {
        "host": "{host}:{port}",
        "protocol": "mqtt",
        "protocolVersion": "3.1.1",
        "description": "Any MQTT broker, 3.1.1 or 5; with TLS where it is not on the same machine.",
        "variables": {
            "host": {"default": "127.0.0.1"},
            "port": {"default": "1883", "examples": ["1883", "8883"]},
        },
        "security": [
            {"$ref": "#/components/securitySchemes/password"},
            {"$ref": "#/components/securitySchemes/certificate"},
        ],
        "bindings": {
            "mqtt": {
                "cleanSession": True,
                "lastWill": {
                    "topic": _address("up", Up.STATUS),
                    "qos": 1,
                    "message": _text(examples.will()),
                    "retain": True,
                },
                "bindingVersion": MQTT,
            }
        },
    }


def _address(way: str, leaf: Up | Down) -> str:
    return f"{ROOT}/{{tenant}}/{{agent}}/{way}/{leaf.value}"


def _channels() -> dict[str, object]:
    up = {_name("up", leaf): _channel("up", leaf, UP.get(leaf)) for leaf in Up}
    down = {_name("down", leaf): _channel("down", leaf, DOWN.get(leaf)) for leaf in Down}
    return {**up, **down}


def _name(way: str, leaf: Up | Down) -> str:
    return f"{way}-{leaf.value}"


def _channel(
    way: str, leaf: Up | Down, told: tuple[str, Sequence[str]] | None
) -> dict[str, object]:
    summary, messages = told or ("Reserved", ())
    return {
        "address": _address(way, leaf),
        "summary": summary,
        **({} if told else {"description": manual.RESERVED}),
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in ("tenant", "agent")
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operations() -> dict[str, object]:
    return {
        "sendEnvelope": _operation("send", "up", Up.OBSERVATIONS, reply=Down.RECEIPTS),
        "askLedger": _operation("send", "up", Up.LEDGER, reply=Down.LEDGER),
        "sendStatus": _operation("send", "up", Up.STATUS, retain=True),
        "receiveReceipt": _operation("receive", "down", Down.RECEIPTS),
        "receiveAnswer": _operation("receive", "down", Down.LEDGER),
    }


def _operation(
    action: str, way: str, leaf: Up | Down, *, reply: Down | None = None, retain: bool = False
) -> dict[str, object]:
    told: dict[str, object] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{_name(way, leaf)}"},
        "bindings": {"mqtt": {"qos": 1, "retain": retain, "bindingVersion": MQTT}},
    }
    if reply is not None:
        told["reply"] = {"channel": {"$ref": f"#/channels/{_name('down', reply)}"}}
    return told


def _parameters() -> dict[str, object]:
    return {
        "tenant": {
            "description": f"Whom the boxes serve; matches `^{NAME.pattern}$`.",
            "examples": ["demo"],
            "x-pattern": f"^{NAME.pattern}$",
        },
        "agent": {
            "description": f"The box's own name; matches `^{NAME.pattern}$`.",
            "examples": [examples.AGENT],
            "x-pattern": f"^{NAME.pattern}$",
        },
    }


def _messages() -> dict[str, object]:
    return {
        "envelope": _envelope(),
        "receipt": _message("Receipt", manual.RECEIPT, examples.receipt(), answers="envelope"),
        "question": _message("Question", manual.QUESTION, examples.question()),
        "answer": _message("Answer", manual.ANSWER, examples.answer(), answers="nonce"),
        "status": _message("Status", manual.STATUS, examples.status()),
    }


def _envelope() -> dict[str, object]:
    return {
        "title": "Envelope",
        "summary": "One readable header line and a body of numbered observations.",
        "description": manual.ENVELOPE,
        "contentType": ENVELOPE,
        "payload": {
            "type": "string",
            "format": "binary",
            "description": "Bytes: header line, 0x0A, body. What each part holds once read stands in `x-header-line` and `x-body`.",
            "x-header-line": {"$ref": "#/components/schemas/Header"},
            "x-body": {"$ref": "#/components/schemas/Body"},
            "x-encodings": ["json", "json+zstd"],
        },
        "examples": [
            {
                "name": "three-readings",
                "summary": "Encoding json: the payload is text, with a line break after the header",
                "payload": examples.envelope(),
            }
        ],
    }


def _message(
    name: str, description: str, example: msgspec.Struct, *, answers: str = ""
) -> dict[str, object]:
    told: dict[str, object] = {
        "title": name,
        "summary": description.partition(".")[0].replace("\n", " ") + ".",
        "description": description,
        "contentType": JSON,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"name": "example", "payload": msgspec.to_builtins(example)}],
    }
    if answers:
        told["correlationId"] = {
            "description": f"`{answers}` says what it answers.",
            "location": f"$message.payload#/{answers}",
        }
    return told


def _text(message: msgspec.Struct) -> str:
    return msgspec.json.encode(message).decode()
