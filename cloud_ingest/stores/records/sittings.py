"""A subject's readings as the journal has them, in the order in which they were judged. Reads only, in somebody's transaction."""

from array import array
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from cloud_ingest.rules.again import Sitting
from cloud_ingest.rules.judge import when
from cloud_ingest.stores.fate import STORED
from cloud_ingest.stores.records.journal import IDS_MAX, JournalRow, check
from cloud_ingest.stores.records.schema import inbox, journal, keys, voided

Place = tuple[int, int]  # a row of the journal, and a position in it


def held_rows(connection: Connection, subject: str, rows: "array[int]") -> Mapping[int, JournalRow]:
    """The journal's rows in which the subject may have readings, as they are now."""
    given = select(keys.c.journal).join(inbox, inbox.c.key == keys.c.key)
    assigned = connection.execute(given.where(inbox.c.patient == subject)).scalars().all()
    earlier = select(voided.c.journal).where(voided.c.subject == subject)
    wanted = sorted({*rows, *assigned, *connection.execute(earlier).scalars()})
    last = rows[-1] if rows else 0
    found: dict[int, JournalRow] = {}
    for start in range(0, len(wanted), IDS_MAX):
        query = select(journal).where(journal.c.id.in_(wanted[start : start + IDS_MAX]))
        found.update((row.id, check(row)) for row in connection.execute(query))
    later = select(journal).where(journal.c.id > last).order_by(journal.c.id)
    for row in connection.execute(later):
        read = check(row)
        if any(fate.subject == subject for fate in read.fates):
            found[row.id] = read
    return found


def sittings(
    connection: Connection, subject: str, held: Mapping[int, JournalRow]
) -> Sequence[Sitting]:
    """The subject's readings that were judged, voided ones too, in the order in which they were."""
    mine = select(inbox.c.key, inbox.c.assigned_us).where(inbox.c.patient == subject)
    given: dict[str, int] = {row.key: row.assigned_us for row in connection.execute(mine)}
    ordered: list[tuple[tuple[int, bool, int, int], Sitting]] = []
    reached_us = 0
    for row in (held[identity] for identity in sorted(held)):
        reached_us = max(reached_us, row.received_us)
        for position, (seen, fate) in enumerate(zip(row.observations, row.fates, strict=False)):
            if seen is None or fate.subject != subject or fate.outcome != STORED or fate.aside:
                continue
            at_us = given.get(seen.key)
            if at_us is not None and at_us < row.received_us:
                at_us = None  # it contradicts one that was given away before: judged as it came
            now_us = row.received_us if at_us is None else at_us
            turn = (now_us if at_us is not None else reached_us, at_us is not None)
            sitting = Sitting(row.id, position, seen, when(seen), now_us, row.received_us)
            ordered.append(((*turn, row.id, position), sitting))
    return [sitting for _, sitting in sorted(ordered, key=lambda one: one[0])]
