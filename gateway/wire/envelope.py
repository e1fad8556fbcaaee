"""Envelopes: one readable header line and a body of numbered observations. Poison in the body still has a sender and numbers."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec
import zstandard
from msgspec import Meta

from gateway.model.observation import SPAN_S_MAX, Observation, flaw
from gateway.wire.apart import taken_apart
from gateway.wire.box_clock import righted
from gateway.wire.nesting import refuse_deep
from gateway.wire.topics import NAME

SCHEMA = "vitalgate.envelope/1"
SCHEMA_MAJOR = SCHEMA.rpartition("/")[2]
BODY_BYTES_MAX = 1_000_000  # decompressed; 100 observations take about 60 kB
WIRE_BYTES_MAX = 300_000
COUNT_MAX = 1_000
HEADER_BYTES_MAX = 1_000
ZSTD_LEVEL = 3
PIECE_BYTES = 1 << 16
ZSTD_WINDOW_BYTES_MAX = 1 << 23
ZSTD_FROM_BYTES = 400  # below that a frame costs more than it saves

Encoding = Literal["json", "json+zstd"]


class EnvelopeError(ValueError):
    """An envelope that can't be read. `header` is what could be learnt of the sender and its numbers, if anything."""

    def __init__(self, why: str, header: "Header | None" = None) -> None:
        """Say why, with the value and the limit."""
        super().__init__(why)
        self.header = header


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The first line. Numbers `first` to `first + count - 1` of (`agent`, `epoch`) lie in the body, in that order.

    `sha256` is that of the body's bytes as they travel. `epoch` is 16 hex digits. `clock_off_s`: add this to every time in
    the body that rests on the box's clock: what that lacked to the cloud's when they were taken.
    """

    # Another schema or encoding is published as wrong, and read all the same: who sent it, and which numbers, must be known.
    schema: Annotated[
        str, Meta(max_length=80, extra_json_schema={"pattern": rf"^{re.escape(SCHEMA)}(\.|$)"})
    ]
    agent: Annotated[str, Meta(pattern=f"^{NAME.pattern}$(?!\\n)")]
    epoch: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    first: Annotated[int, Meta(ge=1, lt=2**53 - COUNT_MAX)]
    count: Annotated[int, Meta(ge=1, le=COUNT_MAX)]
    encoding: Annotated[
        str, Meta(max_length=40, extra_json_schema={"enum": list(get_args(Encoding))})
    ]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
    clock_off_s: Annotated[float, Meta(ge=-SPAN_S_MAX, le=SPAN_S_MAX)] | None = None

    @property
    def numbers(self) -> range:
        """The ledger numbers that this envelope carries."""
        return range(self.first, self.first + self.count)


class Body(msgspec.Struct, frozen=True):
    """What the body holds once decompressed."""

    observations: Annotated[
        list[Observation], Meta(extra_json_schema={"minItems": 1, "maxItems": COUNT_MAX})
    ]


class _RawBody(msgspec.Struct, frozen=True):
    observations: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place in a body that holds no observation that we can read, and why. Its number is known all the same."""

    why: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A numbered batch: at each position what could be read there. `sha256` is the hash of all its bytes."""

    header: Header
    observations: Sequence[Observation | Unreadable]
    sha256: str


_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(Header).decode
_decode_body = msgspec.json.Decoder(Body).decode
_decode_raw_body = msgspec.json.Decoder(_RawBody).decode
_decode_observation = msgspec.json.Decoder(Observation).decode
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_squeeze = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress


def envelope_hash(payload: bytes) -> str:
    """The name of an envelope: SHA-256 over its bytes, 64 hex digits."""
    return hashlib.sha256(payload).hexdigest()


def encode_envelope(
    agent: str, epoch: str, first: int, observations: Sequence[Observation]
) -> bytes:
    """Bytes for the wire. Raises ValueError above COUNT_MAX observations."""
    if not 0 < len(observations) <= COUNT_MAX:
        raise ValueError(f"{len(observations)} observations in one envelope; 1 to {COUNT_MAX} fit")
    return assemble(agent, epoch, first, [_encode(observation) for observation in observations])


def assemble(
    agent: str,
    epoch: str,
    first: int,
    encoded: Sequence[bytes],
    *,
    clock_off_s: float | None = None,
) -> bytes:
    """Bytes for the wire from observations that are encoded already (the outbox keeps them so)."""
    body = b'{"observations":[' + b",".join(encoded) + b"]}"
    encoding: Encoding = "json"
    if len(body) >= ZSTD_FROM_BYTES:
        body, encoding = _squeeze(body), "json+zstd"
    header = Header(
        schema=SCHEMA,
        agent=agent,
        epoch=epoch,
        first=first,
        count=len(encoded),
        encoding=encoding,
        sha256=hashlib.sha256(body).hexdigest(),
        clock_off_s=clock_off_s,
    )
    return _encode(header) + b"\n" + body


def encode_observation(observation: Observation) -> bytes:
    """One observation as it stands in a body."""
    return _encode(observation)


def decode_header(payload: bytes) -> tuple[Header, bytes]:
    """Header and body bytes. Raises EnvelopeError, with the header where its line could be read."""
    if len(payload) > WIRE_BYTES_MAX:
        raise EnvelopeError(
            f"{len(payload)} bytes; an envelope has at most {WIRE_BYTES_MAX}", _glimpse(payload)
        )
    line, newline, body = payload.partition(b"\n")
    if not newline or len(line) > HEADER_BYTES_MAX:
        raise EnvelopeError(f"no header line within {HEADER_BYTES_MAX} bytes")
    try:
        refuse_deep(line)
        header = _decode_header(line)
    except _UNDECODABLE as error:
        raise EnvelopeError(f"header: {error}") from error
    return header, body


def decode_envelope(payload: bytes) -> Envelope:
    """Read an envelope. Raises EnvelopeError where its sender, its numbers or the body as a whole can't be trusted.

    One bad observation condemns itself alone: it is `Unreadable`. Unknown fields are ignored, an unknown major version is not.
    Times are as the header's `clock_off_s` corrects them.
    """
    header, plain = _open(payload)
    try:
        observations = _read(plain)
    except _UNDECODABLE as error:
        raise EnvelopeError(f"body: {error}", header) from error
    _check_count(header, observations)
    if header.clock_off_s is not None:
        observations = [_righted(seen, header.clock_off_s) for seen in observations]
    return Envelope(header, observations, envelope_hash(payload))


class Positions:
    """An envelope's positions, each read when it is first asked for: to compare one repeat, ninety-nine need no reading."""

    def __init__(self, payload: bytes) -> None:
        """Raises EnvelopeError as `decode_envelope` does."""
        header, plain = _open(payload)
        try:
            self._raw = _apart(plain)
        except _UNDECODABLE as error:
            raise EnvelopeError(f"body: {error}", header) from error
        _check_count(header, self._raw)
        self._off_s = header.clock_off_s
        self._read: dict[int, Observation | Unreadable] = {}

    def at(self, position: int) -> Observation | None:
        """What was measured, if that position exists and can be read."""
        if not 0 <= position < len(self._raw):
            return None
        if position not in self._read:
            seen = _read_one(self._raw[position])
            self._read[position] = seen if self._off_s is None else _righted(seen, self._off_s)
        seen = self._read[position]
        return seen if isinstance(seen, Observation) else None


def _open(payload: bytes) -> tuple[Header, bytes]:
    header, body = decode_header(payload)
    family, _, major = header.schema.rpartition("/")
    if family != SCHEMA.rpartition("/")[0] or major.partition(".")[0] != SCHEMA_MAJOR:
        raise EnvelopeError(f"schema {header.schema!r}; this reads {SCHEMA!r}", header)
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise EnvelopeError("the body is not the one that the header names (sha256)", header)
    try:
        return header, _unpack(header, body)
    except zstandard.ZstdError as error:
        raise EnvelopeError(f"body: {error}", header) from error


def _check_count(header: Header, held: Sequence[object]) -> None:
    if len(held) != header.count:
        raise EnvelopeError(
            f"header counts {header.count} observations, body holds {len(held)}", header
        )


def _read(plain: bytes) -> Sequence[Observation | Unreadable]:
    try:
        refuse_deep(plain)
        return [_judged(observation) for observation in _decode_body(plain).observations]
    except _UNDECODABLE:
        return [_read_one(raw) for raw in _apart(plain)]


def _apart(plain: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The body's observations, each as its own JSON. Raises one of _UNDECODABLE."""
    try:
        refuse_deep(plain)
        return _decode_raw_body(plain).observations
    except _UNDECODABLE as error:
        # Half of a surrogate pair, NaN, lists without end: other programs write them as JSON, and read them. Whoever holds them
        # can't be read, and the others can.
        try:
            return taken_apart(plain)
        except ValueError:
            raise error from None


def _read_one(raw: bytes | msgspec.Raw) -> Observation | Unreadable:
    try:
        refuse_deep(bytes(raw))
        return _judged(_decode_observation(raw))
    except _UNDECODABLE as error:
        return Unreadable(f"{error or type(error).__name__}")


def _judged(observation: Observation) -> Observation | Unreadable:
    wrong = flaw(observation)
    return observation if wrong is None else Unreadable(wrong)


def _righted(seen: Observation | Unreadable, off_s: float) -> Observation | Unreadable:
    if isinstance(seen, Unreadable):
        return seen
    try:
        return righted(seen, off_s)
    except ValueError as error:
        return Unreadable(f"{error}")


def _glimpse(payload: bytes) -> Header | None:
    try:
        return _decode_header(payload[:HEADER_BYTES_MAX].partition(b"\n")[0])
    except _UNDECODABLE:
        return None


def _read_up_to(limit: int, reader: zstandard.ZstdDecompressionReader) -> bytes:
    parts: list[bytes] = []
    # In pieces, since room for as much as is asked for is made at once, and a body is a hundredth of what it may be.
    while limit and (part := reader.read(min(limit, PIECE_BYTES))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def _unpack(header: Header, body: bytes) -> bytes:
    match header.encoding:
        case "json":
            plain = body
        case "json+zstd":
            # A fresh decompressor: one is not safe to share between threads. The frame's own size claim is not trusted.
            with zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX).stream_reader(
                body
            ) as reader:
                plain = _read_up_to(BODY_BYTES_MAX + 1, reader)
        case other:
            raise EnvelopeError(f"encoding {other!r}; this reads json and json+zstd", header)
    if len(plain) > BODY_BYTES_MAX:
        raise EnvelopeError(f"body has over {BODY_BYTES_MAX} bytes", header)
    return plain
