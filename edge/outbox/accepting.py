"""How an observation becomes a row: known or new, small enough, with its checksum. Runs inside the caller's transaction."""

import hashlib
import sqlite3
import zlib
from dataclasses import dataclass

import msgspec

from edge.outbox.records import OBSERVATION_BYTES_MAX
from gateway.model.observation import Observation
from gateway.runtime.clock import TimeBase
from gateway.runtime.errors import StoreError
from gateway.wire.envelope import encode_observation

ROW_BYTES = 400  # what a row costs on disk beside its body: columns and indexes

_encode_json = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Numbered:
    """The place of a new row. `id` is never used twice. `base`: on what clock its times rest."""

    id: int
    epoch: str
    number: int
    device: str
    live: bool
    base: TimeBase


def fitting(observation: Observation) -> bytes:
    """The observation as it travels. Raises StoreError for one that no envelope could carry."""
    body = encode_observation(observation)
    if len(body) > OBSERVATION_BYTES_MAX:
        raise StoreError(
            f"outbox: observation {observation.key} has {len(body)} bytes; {OBSERVATION_BYTES_MAX} fit",
            retry=False,
        )
    return body


def cost(body: bytes) -> int:
    """Bytes of the disk budget that a row takes."""
    return len(body) + ROW_BYTES


def checksum(key: str, body: bytes) -> int:
    """CRC-32 over key and body: SQLite's own check doesn't see a bit that flips inside a value."""
    return zlib.crc32(body, zlib.crc32(key.encode()))


def fingerprint(observation: Observation) -> bytes:
    """What makes a measurement known: key, content and context.

    An equal key with other content is a conflict that the cloud must see, and context that came later is news.
    """
    told = _encode_json((observation.key, observation.content, observation.context))
    return hashlib.blake2b(told, digest_size=16).digest()


def claim(db: sqlite3.Connection, observation: Observation) -> int | None:
    """The id of the row-to-be, or None where this was accepted before."""
    added = db.execute(
        "INSERT INTO told (id, fingerprint) VALUES (max("
        "1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'rows'), 0),"
        " 1 + coalesce((SELECT max(id) FROM told), 0)), ?) ON CONFLICT DO NOTHING",
        (fingerprint(observation),),
    )
    return added.lastrowid if added.rowcount else None


def forget(db: sqlite3.Connection, told_max: int) -> None:
    """Know only the newest: an older measurement that is repeated is numbered again, and the cloud calls it a duplicate."""
    db.execute("DELETE FROM told WHERE id <= (SELECT max(id) FROM told) - ?", (told_max,))


def add(db: sqlite3.Connection, row: Numbered, key: str, body: bytes, now_s: float) -> None:
    """Put the row in."""
    db.execute(
        "INSERT INTO rows (id, epoch, n, key, device, live, accepted, bytes, crc, body, boot, anchor)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(row.id, row.epoch, row.number, key, row.device, int(row.live)),
            *(now_s, cost(body), checksum(key, body), body),
            *(row.base.boot, row.base.anchor_s),
        ),
    )
