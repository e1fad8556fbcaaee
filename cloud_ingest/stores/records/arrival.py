"""A delivery → what it is: an envelope, poison with a known sender, or a stray. Decodes and authenticates; touches no store."""

import hashlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace

from cloud_ingest.rules.judge import micros
from cloud_ingest.stores.records.types import Delivery
from gateway.model.kinds import KINDS
from gateway.model.observation import Observation
from gateway.wire.envelope import (
    WIRE_BYTES_MAX,
    Envelope,
    EnvelopeError,
    Header,
    Unreadable,
    decode_envelope,
)
from gateway.wire.topics import Branch, Up, sender

WHY_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Came:
    """The bytes as they came, and their SHA-256."""

    topic: str
    payload: bytes
    sha256: bytes
    received_us: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope of the box whose topic it came on."""

    came: Came
    branch: Branch
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Poison:
    """A body that can't be read, from a box that is known: its numbers are parked, and receipted as parked."""

    came: Came
    branch: Branch
    header: Header
    why: str

    @property
    def oversized(self) -> bool:
        """Whether no correct box can have made it."""
        return len(self.came.payload) > WIRE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes that nobody can be answered for: kept once, within a quota, and never receipted."""

    came: Came
    branch: Branch | None
    why: str


Arrival = Sealed | Poison | Stray


def arrive(tenant: str, delivery: Delivery) -> Arrival:
    """What a delivery is. Never raises for what a box sent."""
    payload = delivery.payload
    came = Came(
        delivery.topic, payload, hashlib.sha256(payload).digest(), micros(delivery.received)
    )
    try:
        branch, leaf = sender(delivery.topic)
    except ValueError as error:
        return Stray(came, None, _short(f"{error}"))
    if branch.tenant != tenant or leaf is not Up.OBSERVATIONS:
        why = f"no {leaf.value} that can be read, in {len(payload)} bytes"
        if branch.tenant != tenant:
            why = f"{leaf.value} of tenant {branch.tenant!r}; these records are {tenant!r}'s"
        return Stray(came, branch, why)
    try:
        envelope = decode_envelope(payload)
    except EnvelopeError as error:
        why = _short(str(error))
        if error.header is None or error.header.agent != branch.agent:
            return Stray(came, branch, why)
        return Poison(came, branch, error.header, why)
    if envelope.header.agent != branch.agent:
        return Stray(
            came,
            branch,
            f"says that it is of {envelope.header.agent!r}, on {branch.agent!r}'s topic",
        )
    wrong = {
        position: why
        for position, seen in enumerate(envelope.observations)
        if (why := seen.why if isinstance(seen, Unreadable) else _misfit(seen))
    }
    return (
        without(Sealed(came, branch, envelope), wrong) if wrong else Sealed(came, branch, envelope)
    )


def without(sealed: Sealed, wrong: Mapping[int, str]) -> Sealed:
    """The same envelope with these positions unreadable, each for its reason."""
    observations = [
        Unreadable(_short(wrong[position])) if position in wrong else seen
        for position, seen in enumerate(sealed.envelope.observations)
    ]
    return replace(sealed, envelope=replace(sealed.envelope, observations=observations))


def poisoned(sealed: Sealed, why: str) -> Poison:
    """An envelope that can't be filed at all, position by position or otherwise."""
    return Poison(sealed.came, sealed.branch, sealed.envelope.header, _short(why))


def _misfit(seen: Observation) -> str | None:
    # What no rule knows by this spelling or unit would be judged by none, and nobody would hear of it.
    kind = KINDS.get(seen.kind)
    if kind is None:
        return _misspelt("kind", seen.kind, KINDS)
    for name, part in seen.parts.items():
        stored = kind.parts.get(name)
        if stored is not None and part.unit != stored:
            return f"part {name!r} is in {part.unit!r}; {seen.kind} is stored in {stored!r}"
        if stored is None and (why := _misspelt("part", name, kind.parts)):
            return why
    return None


def _misspelt(what: str, name: str, known: Container[str]) -> str | None:
    meant = name.lower()
    return f"{what} {name!r} is spelt {meant!r}" if meant in known else None


def _short(why: str) -> str:
    return why if len(why) <= WHY_CHARS_MAX else f"{why[: WHY_CHARS_MAX - 1]}…"
