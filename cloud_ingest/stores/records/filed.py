"""Reads the journal back: what an envelope held, and what became of each position. Decodes; writes nothing."""

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from cloud_ingest.stores.fate import Fate, decode_fates
from gateway.model.observation import Observation
from gateway.wire.envelope import EnvelopeError, Positions

CACHE_MAX = 64  # envelopes; their bytes never change, so an opened one stays true


@dataclass(frozen=True, slots=True)
class Filed:
    """One row of the journal. `positions` is None where it is damaged; `told` is its `fate` column."""

    agent: str
    epoch: str
    first: int
    received_us: int
    positions: Positions | None
    told: bytes

    @property
    def fates(self) -> Sequence[Fate]:
        """What became of its positions; empty where that can't be read. Decoded anew each time."""
        return _fates(self.told)

    def observation(self, position: int) -> Observation | None:
        """What stands at a position, if it can be read."""
        return self.positions.at(position) if self.positions is not None else None

    def fate(self, position: int) -> Fate | None:
        """What became of a position, if that can be read."""
        fates = self.fates
        return fates[position] if position < len(fates) else None


class Journal:
    """Reads envelopes by the id of their row, through one transaction's cursor; opened ones are kept for a while."""

    def __init__(self) -> None:
        """Start with nothing opened."""
        self._opened: OrderedDict[int, Positions] = OrderedDict()

    def read(self, cursor: sqlite3.Cursor, journal: int) -> Filed:
        """The row of that id. Raises LookupError where there is none."""
        found = cursor.execute(
            "SELECT agent, epoch, first, received_us, fate FROM journal WHERE id = ?", (journal,)
        ).fetchone()
        if found is None:
            raise LookupError(f"the journal has no row {journal}")
        agent, epoch, first, received_us, fate = found
        positions = self._opened.get(journal) or self._open(cursor, journal)
        return Filed(agent, epoch, first, received_us, positions, fate)

    def _open(self, cursor: sqlite3.Cursor, journal: int) -> Positions | None:
        (payload,) = cursor.execute(
            "SELECT payload FROM journal WHERE id = ?", (journal,)
        ).fetchone()
        try:
            positions = Positions(payload)
        except EnvelopeError:
            return None
        self._opened[journal] = positions
        if len(self._opened) > CACHE_MAX:
            self._opened.popitem(last=False)
        return positions


def _fates(data: bytes) -> Sequence[Fate]:
    try:
        return decode_fates(data)
    except msgspec.MsgspecError:
        return ()
