"""Receipts and the ledger question: what the cloud holds, told so that a box may forget. Types and their JSON only."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

RECEIPT = "vitalgate.receipt/1"
QUESTION = "vitalgate.ledger-question/1"
ANSWER = "vitalgate.ledger-answer/1"
RANGES_MAX = 10_000  # in one answer: the newest
LISTED_MAX = 10_000  # numbers listed apart in one answer; what is left out is sent again, settled by its key, and harms nothing
QUESTION_BYTES_MAX = 2_000
NONCE_MAX = 200


class Parked(msgspec.Struct, frozen=True, gc=False):
    """A number that the cloud keeps as it came but could not file, and why."""

    n: int
    why: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The outcome of one envelope, given after one transaction holds it; given again for an envelope that comes again.

    Every number of the envelope is stored, but those in `duplicates` (of a stored one) and `parked`.
    `commit` counts per agent: one lower than a minute ago means that the cloud went back in time.
    `new_epoch`: number further readings in a new epoch (64 random bits).
    """

    envelope: str
    agent: str
    epoch: str
    store: str
    commit: int
    duplicates: Sequence[int] = ()
    parked: Sequence[Parked] = ()
    new_epoch: bool = False
    schema: str = RECEIPT


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`up/ledger`: what do you hold of me?"""

    nonce: Annotated[str, Meta(min_length=1, max_length=NONCE_MAX)]
    schema: Annotated[str, Meta(extra_json_schema={"const": QUESTION})] = QUESTION


class Held(msgspec.Struct, frozen=True, gc=False):
    """Numbers `first` to `last` are held; `digest` is the sum of their (number, key) hashes, 16 hex digits."""

    first: int
    last: int
    digest: str


class HeldEpoch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is held of one epoch. Numbers in `parked` and `two_keys` are listed apart, and not in the digests."""

    epoch: str
    ranges: Sequence[Held]
    parked: Sequence[int] = ()
    two_keys: Sequence[int] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`down/ledger`: the answer to the question with this nonce. Epochs that are not named are not held at all.

    `at`: the cloud's UTC (ISO 8601, milliseconds, `Z`) when it answered; a box learns from it how far its own clock is off.
    """

    nonce: str
    agent: str
    store: str
    commit: int
    epochs: Sequence[HeldEpoch]
    at: str | None = None
    schema: str = ANSWER


_encode = msgspec.json.Encoder().encode
decode_receipt = msgspec.json.Decoder(Receipt).decode
decode_question = msgspec.json.Decoder(Question).decode
decode_answer = msgspec.json.Decoder(Answer).decode


def encode(message: Receipt | Question | Answer) -> bytes:
    """JSON for the wire."""
    return _encode(message)
