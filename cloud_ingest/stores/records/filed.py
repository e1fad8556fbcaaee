"""Reads the journal back: what an envelope held, and what became of each position. Decodes; writes nothing."""

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from cloud_ingest.stores.fate import Fate, decode_fates
from gateway.model.observation import Observation
from gateway.wire.envelope import EnvelopeError, Unreadable, decode_envelope

CACHE_MAX = 64  # envelopes; their bytes never change, so a decoded one stays true


@dataclass(frozen=True, slots=True)
class Filed:
    """One row of the journal. A damaged row holds nothing but `Unreadable`."""

    agent: str
    epoch: str
    first: int
    items: Sequence[Observation | Unreadable]
    fates: Sequence[Fate]

    def observation(self, position: int) -> Observation | None:
        """What stands at a position, if it can be read."""
        item = self.items[position] if position < len(self.items) else None
        return item if isinstance(item, Observation) else None

    def fate(self, position: int) -> Fate | None:
        """What became of a position, if that can be read."""
        return self.fates[position] if position < len(self.fates) else None


class Journal:
    """Reads envelopes by the id of their row, through one transaction's cursor; decoded ones are kept for a while."""

    def __init__(self) -> None:
        """Start with nothing decoded."""
        self._decoded: OrderedDict[int, Sequence[Observation | Unreadable]] = OrderedDict()

    def read(self, cursor: sqlite3.Cursor, journal: int) -> Filed:
        """The row of that id. Raises LookupError where there is none."""
        found = cursor.execute(
            "SELECT agent, epoch, first, count, fate FROM journal WHERE id = ?", (journal,)
        ).fetchone()
        if found is None:
            raise LookupError(f"the journal has no row {journal}")
        agent, epoch, first, count, fate = found
        items = self._decoded.get(journal)
        if items is None:
            items = self._decode(cursor, journal, count)
        return Filed(agent, epoch, first, items, _fates(fate))

    def _decode(
        self, cursor: sqlite3.Cursor, journal: int, count: int
    ) -> Sequence[Observation | Unreadable]:
        (payload,) = cursor.execute(
            "SELECT payload FROM journal WHERE id = ?", (journal,)
        ).fetchone()
        try:
            items = decode_envelope(payload).observations
        except EnvelopeError as error:
            return [Unreadable(f"the journal's row {journal} is damaged: {error}")] * count
        self._decoded[journal] = items
        if len(self._decoded) > CACHE_MAX:
            self._decoded.popitem(last=False)
        return items


def _fates(data: bytes) -> Sequence[Fate]:
    try:
        return decode_fates(data)
    except msgspec.MsgspecError:
        return ()
