"""What became of each position of an envelope: the journal's `fate` column. Types and their JSON only."""

import msgspec

STORED, DUPLICATE, PARKED = "stored", "duplicate", "parked"


class Fate(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    array_like=False,
    rename={
        "outcome": "o",
        "subject": "s",
        "time_us": "t",
        "why": "w",
        "suspect_of": "d",
        "conflict": "c",
        "voided": "v",
        "aside": "a",
    },
):
    """`time_us` is the point's timestamp in the time series: the measurement's second plus its slot in microseconds.

    `subject` is who the reading belongs to as of now. `suspect_of`: the key of an equal reading that this may repeat.
    `conflict`: the key was held already, with other content. `voided`: the id of the voiding that took it out; 0 where none
    did. A voided reading stays stored, so that receipts, repeats and digests are as they were. `aside`: it is stored, but not
    judged yet, and has no point: what the rules remember of its subject could not be read (see stores/records/mending.py).
    """

    outcome: str
    subject: str = ""
    time_us: int = 0
    why: str = ""
    suspect_of: str = ""
    conflict: bool = False
    voided: int = 0
    aside: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is to be judged, charted and shown as a value: stored, and not voided."""
        return self.outcome == STORED and not self.voided

    @property
    def placed(self) -> bool:
        """Whether it has been judged, and has its point: it counts, and is not set aside."""
        return self.counts and not self.aside


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Fate]).decode


def encode_fates(fates: list[Fate]) -> bytes:
    """JSON, one entry a position."""
    return _encode(fates)


def decode_fates(data: bytes) -> list[Fate]:
    """Raises msgspec.MsgspecError for a damaged column."""
    return _decode(data)
