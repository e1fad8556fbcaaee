"""What must hold when a world has healed and everything has drained: conservation, ledger, series, alerts."""

import sqlite3
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.model.identity import DIGEST_MODULUS, ledger_digest
from gateway.runtime.clock import from_iso
from gateway.wire.receipts import Question
from tests.world.checks import Filed, Number, micros
from tests.world.cloud import RECORDS
from tests.world.truth import Measurement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world.run import World

SECOND_US = 1_000_000
LIVE_FOR_US = 7_200 * SECOND_US
GAP_US, WITHIN_US = 60 * SECOND_US, 600 * SECOND_US
UNSURE_US = 60 * SECOND_US
ALL_US = 2**60


def judge(world: "World") -> None:
    """Everything that is amiss goes to `world.fail`."""
    stored: dict[str, list[Filed]] = defaultdict(list)
    counting: dict[str, list[Filed]] = defaultdict(list)
    gone, now = _as_it_stands(world)
    for first in world.checks.journal_rows:
        # The same number may stand there again, as a repeat: what became of the first says nothing of it.
        filed = now.get((first.number, first.key), first) if first.outcome == "stored" else first
        one = world.checks.measurement(filed.observation)
        if filed.outcome == "stored" and one is not None:
            stored[one.name].append(filed)
            if filed.key not in gone:
                counting[one.name].append(filed)
    _kept_unread(world)
    for one in world.truth:
        _conserved(world, one, stored[one.name])
    _boxes(world)
    with sqlite3.connect(world.cloud.folder / RECORDS) as db:
        _ledger(world, db)
        _alerts(world, db, counting)
        _unprojected(world, db)
    db.close()
    _series(world, counting)


def _as_it_stands(world: "World") -> tuple[set[str], dict[tuple[Number, str], Filed]]:
    """Keys that the journal calls voided, and what was given to somebody since it was filed. Nothing else in it ever changes."""
    # A box of which an older image was put back gives a number twice.
    filed = {
        (one.number, one.key): one for one in world.checks.journal_rows if one.outcome == "stored"
    }
    people = world.people
    gone: set[str] = set()
    now: dict[tuple[Number, str], Filed] = {}
    for row in world.cloud.committed_after(0):
        for position, fate in enumerate(row.fates):
            seen, number = row.observation(position), (row.agent, row.epoch, row.first + position)
            was = None if seen is None else filed.get((number, seen.key))
            if was is None or fate.outcome != "stored":
                continue
            patient, judged_us = people.assigned.get(was.key, ("", 0))
            if patient and fate.subject == patient:
                now[was.number, was.key] = replace(
                    was,
                    subject=patient,
                    time_us=fate.time_us,
                    suspect_of=fate.suspect_of,
                    received_us=judged_us,
                )
            elif patient or (fate.subject, fate.time_us) != (was.subject, was.time_us):
                world.fail(f"{was.key} was {was.subject}'s at {was.time_us}, and is {fate}")
            if fate.voided:
                gone.add(was.key)
    if not people.voided <= gone <= people.voided | people.maybe_voided:
        world.fail(f"voided: {sorted(gone)}, asked for: {sorted(people.voided)}")
    return gone, now


def _kept_unread(world: "World") -> None:
    """A frame that could not be filed while the disk was full is nowhere else, but it is not lost."""
    by_name = {one.name: one for one in world.truth}
    for box in world.boxes:
        for name in sorted(box.unread()):
            if name in by_name:
                by_name[name].excused = by_name[name].excused or "kept as an unread frame"
            else:
                world.fail(f"{box.name} keeps {name}")


def _conserved(world: "World", one: Measurement, stored: "Sequence[Filed]") -> None:
    if not stored:
        if not one.excused:
            world.fail(f"{one.name} of {one.serial} is nowhere (forgotten: {one.forgotten})")
        else:
            world.trace.counts[f"excused: {one.excused}"] += 1
        return
    keys = {filed.key for filed in stored}
    if one.dated and len(keys) > 1:
        world.fail(f"{one.name} is stored under {len(keys)} keys")
    tellings = max(one.told, len(world.devices[one.serial].boxes)) + world.restores
    if len(keys) > tellings:
        world.fail(f"{one.name} is stored {len(keys)} times, told {tellings} times")


def _boxes(world: "World") -> None:
    for box in world.boxes:
        for (epoch, n), (key, state) in box.known.items():
            if key not in world.checks.filed.get((box.name, epoch, n), {}):
                world.fail(f"{box.name}: {n} of {epoch} (state {state}) never reached the cloud")
        outbox, cloud = box.outbox, world.cloud
        told = outbox.compare(
            cloud.records.answer(box.name, Question(nonce="end")), outbox.settled_mark()
        )
        if told.owed or told.lost or (told.differs and not world.restores):
            world.fail(f"{box.name}: the ledgers disagree: {told}")


def _ledger(world: "World", db: sqlite3.Connection) -> None:
    held: dict[tuple[str, str, int], int] = Counter()
    filed = world.checks.filed
    for agent, epoch, first, last, digest in db.execute(
        "SELECT agent, epoch, first, last, digest FROM ledger"
    ):
        pairs: list[tuple[int, str]] = []
        for n in range(first, last + 1):
            held[agent, epoch, n] += 1
            pairs += [(n, key) for key in filed.get((agent, epoch, n), {})]
        if int(digest, 16) != ledger_digest(pairs) % DIGEST_MODULUS:
            world.fail(f"ledger {agent} {epoch} {first}-{last}: its digest is of other keys")
    apart = {
        (agent, epoch, n)
        for agent, epoch, n in db.execute("SELECT agent, epoch, n FROM ledger_apart")
    }
    if apart and not world.restores:
        world.fail(f"numbers with two keys, or parked: {sorted(apart)[:5]}")
    for number in filed:
        if held[number] != (0 if number in apart else 1):
            world.fail(f"ledger: {number} is held {held[number]} times")


def _series(world: "World", stored: dict[str, list[Filed]]) -> None:
    wanted = {
        (filed.observation.kind, filed.subject, filed.time_us): filed
        for rows in stored.values()
        for filed in rows
    }
    if len(wanted) != sum(len(rows) for rows in stored.values()):
        world.fail("two readings share a place in the series")
    found: set[tuple[str, str, int]] = set()
    for kind in ("blood_pressure", "glucose"):
        for point in world.cloud.series.scan(kind, None, 0, 10_000):
            place = (point.kind, point.subject, point.time_us)
            found.add(place)
            filed = wanted.get(place)
            if filed is None or point.fields["key"] != filed.key:
                world.fail(f"the series has a point that nobody stored: {place}")
                continue
            for name, part in filed.observation.parts.items():
                shown = point.fields.get(name, point.fields.get(f"{name}_beyond"))
                told = part.beyond.value if part.beyond else float(part.value or "nan")
                if shown != told:
                    world.fail(f"the series shows {name} {shown!r} for {told!r} ({filed.key})")
            second_us = micros(from_iso(filed.observation.time.utc)) // SECOND_US * SECOND_US
            if not second_us <= filed.time_us < second_us + SECOND_US:
                world.fail(f"{filed.key} stands at another second of the series")
    for place in wanted.keys() - found:
        world.fail(f"the series lacks {place} {wanted[place].key}")


def _unprojected(world: "World", db: sqlite3.Connection) -> None:
    for key, why in db.execute("SELECT key, why FROM unprojected"):
        world.fail(f"{key} was refused by the series: {why}")


def _alerts(world: "World", db: sqlite3.Connection, stored: dict[str, list[Filed]]) -> None:
    raised: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for patient, condition, state, how in db.execute(
        "SELECT patient, condition, state, how FROM alerts WHERE state != 'resolved'"
    ):
        raised[patient, condition].append((state, how))
    theirs: dict[str, list[tuple[Measurement, Filed]]] = defaultdict(list)
    for one in world.truth:
        for filed in stored[one.name]:
            theirs[filed.subject].append((one, filed))
    for patient in [one.patient for held in world.people.wearers.values() for one in held]:
        every = [filed for _, filed in theirs[patient]]
        mine = [(one, filed) for one, filed in theirs[patient] if one.crosses]
        for one, filed in mine:
            _pages_where_fresh(world, one, filed)
        mine.sort(key=lambda pair: pair[1].received_us)
        _glucose(world, patient, mine, raised)
        _pressure(world, patient, mine, every, raised)
    for (patient, condition), alerts in raised.items():
        if len(alerts) > 1:
            world.fail(f"{patient} has {len(alerts)} alerts {condition}")
        for state, how in alerts:
            if (state == "open") != (how == "live"):
                world.fail(f"{patient} {condition}: {state}, and {how}")


def _glucose(
    world: "World",
    patient: str,
    crossing: "Sequence[tuple[Measurement, Filed]]",
    raised: dict[tuple[str, str], list[tuple[str, str]]],
) -> None:
    low = [filed for one, filed in crossing if one.crosses == "GLU-L2"]
    alerts = raised.get((patient, "GLU-L2"), [])
    _expect(world, patient, "GLU-L2", alerts, due=bool(low), live=any(map(_is_live, low)))


def _pressure(
    world: "World",
    patient: str,
    crossing: "Sequence[tuple[Measurement, Filed]]",
    every: "Sequence[Filed]",
    raised: dict[tuple[str, str], list[tuple[str, str]]],
) -> None:
    crises = [
        filed for one, filed in crossing if one.crosses == "BP-CRISIS" and not filed.suspect_of
    ]
    pairs = [
        (one, other)
        for place, other in enumerate(crises)
        for one in crises[:place]
        if GAP_US <= abs(_at_us(one) - _at_us(other)) <= WITHIN_US
    ]
    alerts = raised.get((patient, "BP-CRISIS"), [])
    # The later of a pair to come may itself be stale, and the earlier one still live: then either is right, unless that one
    # was live because nobody knows its age.
    certain = any(
        _is_live(other) or (_is_ageless(one) and other.received_us - one.received_us <= LIVE_FOR_US)
        for one, other in pairs
    )
    possible = any(
        _is_live(one) and other.received_us - _at_us(one) <= LIVE_FOR_US for one, other in pairs
    )
    _expect(
        world, patient, "BP-CRISIS", alerts, due=bool(pairs), live=None if possible and not certain else certain
    )  # fmt: skip
    if not pairs:
        lonely = [one for one in crises if _is_live(one) and not _has_second(one, every)]
        single = raised.get((patient, "BP-CRISIS?"), [])
        if patient in world.people.touched:
            return
        if lonely and not single and world.heal_us > max(map(_due_us, lonely)):
            world.fail(f"{patient}: a crisis reading without a second, and nobody was told")
        if single and not any(map(_is_live, crises)):
            world.fail(f"{patient}: BP-CRISIS? for readings that were all stale, or none")


def _expect(
    world: "World",
    patient: str,
    condition: str,
    alerts: "Sequence[tuple[str, str]]",
    *,
    due: bool,
    live: bool | None,
) -> None:
    if patient in world.people.touched:
        live = None  # what comes to light when others were voided pages by the time of that
    if due != bool(alerts):
        world.fail(f"{patient}: {condition} is {'due' if due else 'not due'}, raised: {alerts}")
    elif due and live is not None and (alerts[0][1] == "live") != live:
        world.fail(f"{patient}: {condition} should be {'live' if live else 'late'}: {alerts}")


def _at_us(filed: Filed) -> int:
    return micros(from_iso(filed.observation.time.utc))


def _is_live(filed: Filed) -> bool:
    seen = filed.observation
    if _is_ageless(filed):
        return True
    if not seen.time.known and seen.source != "pushed":
        return False
    return filed.received_us - _at_us(filed) <= LIVE_FOR_US


def _is_ageless(filed: Filed) -> bool:
    return filed.observation.source == "pushed" and filed.observation.time.box_in_doubt


def _pages_where_fresh(world: "World", one: Measurement, filed: Filed) -> None:
    """A reading that came right after it was pushed pages, also where the box's clock was wrong."""
    age_us = filed.received_us - micros(one.at)
    if filed.observation.source != "pushed" or age_us > LIVE_FOR_US - UNSURE_US:
        return
    if world.checks.must_be_dated(filed.number) and not _is_live(filed):
        world.fail(f"{one.name} was {age_us / SECOND_US:.0f} s old, and is filed as stale: {filed}")


def _has_second(one: Filed, every: "Sequence[Filed]") -> bool:
    return any(
        other.key != one.key and GAP_US <= abs(_at_us(other) - _at_us(one)) <= WITHIN_US
        for other in every
    )


def _due_us(filed: Filed) -> int:
    return max(_at_us(filed) + WITHIN_US, filed.received_us + GAP_US)
