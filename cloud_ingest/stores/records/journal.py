"""What the journal holds of an envelope, checked as it is read: hash, decodability, fates. Reads only."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine, Row, select

from cloud_ingest.stores.fate import Fate, decode_fates
from cloud_ingest.stores.records.open import reading
from cloud_ingest.stores.records.schema import journal
from gateway.model.observation import Observation
from gateway.wire.envelope import EnvelopeError, decode_envelope

IDS_MAX = 500  # in one query; SQLite's own limit on variables is higher


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One envelope as it lies in the journal. What can't be read is empty or None.

    `intact`: the payload's SHA-256 is the one stored beside it, and it decodes to as many observations as it counts.
    """

    id: int
    agent: str
    epoch: str
    first: int
    received_us: int
    intact: bool
    observations: Sequence[Observation | None]
    fates: Sequence[Fate]

    def observation(self, position: int) -> Observation | None:
        """What was measured, where it can be read."""
        return self.observations[position] if 0 <= position < len(self.observations) else None

    def fate(self, position: int) -> Fate | None:
        """What became of it, where that can be read."""
        return self.fates[position] if 0 <= position < len(self.fates) else None


def read_rows(engine: Engine, ids: Iterable[int]) -> Mapping[int, JournalRow]:
    """Journal rows by id; those that are gone are absent."""
    wanted = sorted(set(ids))
    found: dict[int, JournalRow] = {}
    with reading(engine) as connection:
        for start in range(0, len(wanted), IDS_MAX):
            query = select(journal).where(journal.c.id.in_(wanted[start : start + IDS_MAX]))
            found.update((row.id, check(row)) for row in connection.execute(query))
    return found


def check(row: Row[tuple[object, ...]]) -> JournalRow:
    """Read one row of the journal table, and say whether it is as it was received."""
    intact = hashlib.sha256(row.payload).digest() == row.sha256
    try:
        told = decode_envelope(row.payload).observations
    except EnvelopeError:
        told, intact = (), False
    try:
        fates = decode_fates(row.fate)
    except msgspec.MsgspecError:
        fates, intact = [], False
    return JournalRow(
        id=row.id,
        agent=row.agent,
        epoch=row.epoch,
        first=row.first,
        received_us=row.received_us,
        intact=intact,
        observations=tuple(o if isinstance(o, Observation) else None for o in told),
        fates=fates,
    )
