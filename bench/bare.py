"""The bare alternative: the same envelopes into one table, a transaction each, INSERT OR IGNORE. No rules, no ledger, no journal.

As a program (`python -m bench.bare PORT USER PASSWORD_FILE TABLE`) it does so for what a broker delivers, and answers each
envelope when it is stored: the least that a subscriber with a database can do.
"""

import argparse
import contextlib
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bench.mail import send_at_once
from cloud_ingest.stores.records.open import CACHE_KIB, WAL_CHECKPOINT_PAGES, WAL_KEPT_BYTES
from gateway.model.observation import Observation
from gateway.wire.envelope import decode_envelope
from gateway.wire.topics import Branch, Down, Up, sender, uplink

TENANT = "bare"
TABLE = (
    "CREATE TABLE IF NOT EXISTS readings (key TEXT PRIMARY KEY, device TEXT, kind TEXT, utc TEXT,"
    " v1 REAL, v2 REAL, v3 REAL, v4 REAL) WITHOUT ROWID"
)
INSERT = "INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
VALUES = 4


def connect(path: Path) -> sqlite3.Connection:
    """The table, on disk when a transaction returns: the settings of the real store."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}",
        f"cache_size = -{CACHE_KIB}",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
    ):
        database.execute(f"PRAGMA {pragma}")
    database.execute(TABLE)
    return database


@contextlib.contextmanager
def bulk(path: Path) -> Generator[sqlite3.Connection]:
    """The same table to fill at once."""
    with contextlib.closing(connect(path)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        yield database
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def row(seen: Observation) -> tuple[object, ...]:
    """A reading as that table holds it."""
    values = [float(part.value or "nan") for part in seen.parts.values()][:VALUES]
    return (
        seen.key,
        seen.device,
        seen.kind,
        seen.time.utc,
        *values,
        *[None] * (VALUES - len(values)),
    )


def ingest(database: sqlite3.Connection, payloads: Sequence[bytes]) -> list[str]:
    """One transaction; the hashes of the envelopes that it holds."""
    envelopes = [decode_envelope(payload) for payload in payloads]
    rows = [
        row(seen)
        for told in envelopes
        for seen in told.observations
        if isinstance(seen, Observation)
    ]
    database.execute("BEGIN IMMEDIATE")
    database.executemany(INSERT, rows)
    database.execute("COMMIT")
    return [told.sha256 for told in envelopes]


def main() -> None:
    """Subscribe, store, acknowledge, answer; until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare")
    for name in ("port", "user", "password", "table"):
        parser.add_argument(name)
    told = parser.parse_args()
    database = connect(Path(told.table))
    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-bare", manual_ack=True)
    client.username_pw_set(told.user, Path(told.password).read_text().strip())

    def on_message(_client: Client, _data: object, message: MQTTMessage) -> None:
        (name,) = ingest(database, [bytes(message.payload)])
        client.ack(message.mid, message.qos)
        branch: Branch = sender(message.topic)[0]
        client.publish(branch.down(Down.RECEIPTS), msgspec.json.encode({"envelope": name}), qos=1)

    def on_connect(*_told: object) -> None:
        client.subscribe(uplink(TENANT, Up.OBSERVATIONS), 1)

    def on_subscribe(*_told: object) -> None:
        print("ready", flush=True)

    client.on_message, client.on_connect = on_message, on_connect
    client.on_subscribe, client.on_socket_open = on_subscribe, send_at_once
    client.connect("127.0.0.1", int(told.port))
    client.loop_forever()


if __name__ == "__main__":
    main()
