"""The working set of one ingest transaction: envelopes and their positions on the way to a fate. Dies with the transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cloud_ingest.rules.judge import Assessment, When
from cloud_ingest.stores.fate import DUPLICATE, PARKED, STORED, Fate
from cloud_ingest.stores.records.arrival import Sealed
from gateway.model.observation import Observation
from gateway.wire.receipts import Parked, Receipt

# The fate of a position whose number is held with its key by an earlier envelope that stored it: told to the box as stored.
HELD = "held by an earlier envelope"
# `ledger_apart.why`: the key that a number was held with first, and any that came later.
FIRST_KEY = "held with this key first"
ANOTHER_KEY = "came with another key"

# Of all reasons in one receipt: a packet that the broker does not take ends the connection that every other box is answered over.
WHYS_CHARS_MAX = 50_000

Cursor = sqlite3.Cursor


@dataclass(slots=True, eq=False)
class Row:
    """One position of an envelope: what was read there, and step by step what becomes of it."""

    filing: "Filing"
    position: int
    seen: Observation | None
    content: str = ""  # its content hash, once it claims its key
    outcome: str = ""
    why: str = ""
    repeats: bool = False  # its number is held with its key
    conflict: bool = False
    subject: str = ""
    unbound: str = ""  # why it belongs to no patient
    aside: bool = False  # what the rules remember of its subject can't be read
    moment: When | None = None
    assessment: Assessment | None = None

    @property
    def n(self) -> int:
        """Its ledger number."""
        return self.filing.first + self.position

    def fate(self) -> Fate:
        """As the journal keeps it."""
        told = self.assessment
        if self.aside:
            return Fate(self.outcome, self.subject, conflict=self.conflict, aside=True)
        if told is None:
            return Fate(self.outcome, why=self.why, conflict=self.conflict)
        return Fate(
            self.outcome,
            self.subject,
            told.time_us,
            self.why,
            told.suspect_of,
            self.conflict,
        )


@dataclass(slots=True, eq=False)
class Filing:
    """One envelope of the batch. `journal` is its row's id, 0 where nothing of it is new. `first` is its first number."""

    sealed: Sealed
    first: int
    rows: list[Row] = field(default_factory=list[Row])
    journal: int = 0
    new_epoch: bool = False

    @property
    def last(self) -> int:
        """Its last number."""
        return self.first + len(self.rows) - 1

    @property
    def agent(self) -> str:
        """Whose it is."""
        return self.sealed.branch.agent

    @property
    def epoch(self) -> str:
        """In which its numbers count."""
        return self.sealed.envelope.header.epoch


def file_of(sealed: Sealed) -> Filing:
    """The envelope's positions, nothing decided but what can't be read."""
    filing = Filing(sealed, sealed.envelope.header.first)
    filing.rows = [
        Row(filing, position, seen)
        if isinstance(seen, Observation)
        else Row(filing, position, None, outcome=PARKED, why=seen.why)
        for position, seen in enumerate(sealed.envelope.observations)
    ]
    return filing


def each_row(filings: Iterable[Filing]) -> Iterator[Row]:
    """All positions, in the order of arrival."""
    for filing in filings:
        yield from filing.rows


def stored_rows(filings: Iterable[Filing]) -> list[Row]:
    """The positions that are stored by this transaction, in the order of arrival."""
    return [row for row in each_row(filings) if row.outcome == STORED and not row.repeats]


def receipt(filing: Filing, store: str, commit: int) -> Receipt:
    """What the box is told of this envelope."""
    header = filing.sealed.envelope.header
    return Receipt(
        envelope=filing.sealed.envelope.sha256,
        agent=header.agent,
        epoch=header.epoch,
        store=store,
        commit=commit,
        duplicates=[r.n for r in filing.rows if r.outcome == DUPLICATE and r.why != HELD],
        parked=told_parked([(r.n, r.why) for r in filing.rows if r.outcome == PARKED]),
        new_epoch=filing.new_epoch,
    )


def told_parked(parked: Sequence[tuple[int, str]]) -> list[Parked]:
    """Numbers and reasons as a receipt tells them: where there are very many, shorter. The records have them whole."""
    each = WHYS_CHARS_MAX // max(1, len(parked))
    return [Parked(n, why[:each]) for n, why in parked]
