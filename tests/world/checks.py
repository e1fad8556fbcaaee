"""What must hold in every world, looked at while it runs: outbox, journal, receipts, times. Written against the plan, not the code."""

import hashlib
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from drivers.vendor.onetouch_ultra2.sim import record
from gateway.model.identity import device_id
from gateway.model.observation import Observation
from gateway.runtime.clock import from_iso
from gateway.wire.envelope import decode_envelope, decode_header, envelope_hash
from gateway.wire.receipts import Receipt
from gateway.wire.topics import Branch
from tests.world.house import SETTLED, Box, decode_row
from tests.world.truth import Measurement, signature

if TYPE_CHECKING:
    from tests.world.cloud import Cloud
    from tests.world.run import World

OUTCOMES = {1: "stored", 2: "duplicate", 3: "parked"}
DAMAGED = 4
UNNOTICED_S = 30.0  # a box whose clock is off by less says nothing
VISIT_S_MAX = 400.0
MARGIN_S = 0.002  # moments travel in milliseconds
MARGIN = timedelta(seconds=MARGIN_S)
NOBODY = "device:"
Number = tuple[str, str, int]


@dataclass(frozen=True)
class Filed:
    """One position of the journal."""

    number: Number
    key: str
    outcome: str
    conflict: bool
    suspect_of: str
    subject: str
    time_us: int
    received_us: int
    observation: Observation


class Checks:
    """One world's checkers, and what they remember. `filed`: what the journal holds now; `ever`: what it ever held."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.sent: dict[str, list[tuple[Number, str]]] = {}
        self.journal_rows: list[Filed] = []
        self.filed: dict[Number, dict[str, str]] = defaultdict(dict)
        self.ever: dict[Number, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._stored: dict[str, int] = {}
        self._pairs: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._memories: dict[tuple[str, str], str] = {}
        self._devices: dict[str, str] = {}
        self._boot_of: dict[Number, int] = {}  # of numbers whose date no fault excuses
        self._undated: set[Number] = set()  # sent before the box could know what time it is

    def envelope(self, branch: Branch, payload: bytes, *, told_time: bool) -> None:
        """A box sends this."""
        header = decode_header(payload)[0]
        if header.agent != branch.agent:
            self._world.fail(f"{branch.agent} sends an envelope of {header.agent}")
        (boots,) = (box.clock.boots for box in self._world.boxes if box.name == branch.agent)
        self._undated.update(
            number
            for number in ((header.agent, header.epoch, n) for n in header.numbers)
            if not told_time or self._boot_of.get(number) != boots
        )
        if (mark := envelope_hash(payload)) not in self.sent:
            self.sent[mark] = [
                ((header.agent, header.epoch, n), seen.key)
                for n, seen in zip(
                    header.numbers, decode_envelope(payload).observations, strict=True
                )
                if isinstance(seen, Observation)
            ]

    def outbox(self, box: Box, db: sqlite3.Connection) -> None:
        """Numbers have no gap and are given once; what leaves has its receipt; what a cursor passes by is held.

        Most visits to the disk change nothing of that. What is as it was at the last look was judged then.
        """
        rows = db.execute("SELECT id, epoch, n, key, state FROM rows").fetchall()
        numbers = (
            db.execute("SELECT epoch, issued FROM epochs").fetchall(),
            db.execute("SELECT epoch, first, last FROM removed").fetchall(),
        )
        if box.looked_at != (rows, numbers):
            self._rows(box, db, rows)
            _has_no_gap(self._world, box, rows, *numbers)
            box.looked_at = (rows, numbers)
        if sum(1 for *_, state in rows if state == 0) >= box.limits.rows_max:
            box.disk_ill_s = max(box.disk_ill_s, self._world.loop.time())
        self._cursors(box, db)
        self._clocks(box, db)

    def _rows(
        self, box: Box, db: sqlite3.Connection, rows: list[tuple[int, str, int, str, int]]
    ) -> None:
        found: dict[tuple[str, int], tuple[str, int]] = {}
        for row, epoch, n, key, state in rows:
            place = (epoch, n)
            found[place] = (key, state)
            before = box.known.get(place)
            if before is None:
                self._accepted(box, db, row, place, key)
            elif before[0] != key:
                self._world.fail(f"{box.name}: number {n} was given to {before[0]}, then to {key}")
            if state in SETTLED and (before is None or before[1] not in SETTLED):
                self._settled(box, place, key, state)
            if state == DAMAGED:
                self._world.fail(f"{box.name}: row {n} is damaged")
        for place, (key, state) in box.known.items():
            if place not in found:
                if state not in SETTLED:
                    self._world.fail(f"{box.name}: row {place} went without having been settled")
                self._settled(box, place, key, state)
        box.known.update(found)

    def _accepted(
        self, box: Box, db: sqlite3.Connection, row: int, place: tuple[str, int], key: str
    ) -> None:
        (body,) = db.execute("SELECT body FROM rows WHERE id = ?", (row,)).fetchone()
        seen = decode_row(body)
        if not box.synced:
            self._world.fail(f"{box.name}: {key} was accepted, and no fsync brought it to the disk")
        measured = self.measurement(seen)
        self._world.note(box.name, f"accepted {place[1]} {measured and measured.name} {key[:14]}")
        if measured is None or seen.key != key:
            self._world.fail(f"{box.name}: {key} holds what was never measured: {seen.parts}")
            return
        box.holds.setdefault(measured.name, set()).add(key)
        self._is_dated_truly(box, measured, seen)
        still = self._world.loop.time() - box.clock.stepped_s > VISIT_S_MAX
        if still and not self._is_beyond_knowledge(box, measured):
            self._boot_of[box.name, *place] = box.clock.boots

    def _settled(self, box: Box, place: tuple[str, int], key: str, state: int) -> None:
        outcomes = self.ever.get((box.name, *place), {}).get(key)
        if not outcomes:
            self._world.fail(
                f"{box.name}: {place} {key} is settled ({OUTCOMES[state]}), and no journal ever held it"
            )
        elif OUTCOMES[state] not in outcomes:
            self._world.fail(f"{box.name}: {place} is called {OUTCOMES[state]}, and is {outcomes}")

    def _cursors(self, box: Box, db: sqlite3.Connection) -> None:
        cursors = db.execute("SELECT device, cursor FROM devices").fetchall()
        seen = (cursors, len(self._world.truth))
        if box.cursors_seen == seen:
            return
        box.cursors_seen = seen
        for device, cursor in cursors:
            if (cursor or "").startswith("u2:"):
                self._is_held_before(box, device, cursor[3:])

    def _is_held_before(self, box: Box, device: str, told: str) -> None:
        prints = {told[at : at + 8] for at in range(0, len(told), 8)}
        for one in self._world.truth:
            if (
                one.kind == "glucose"
                and self.device_of(one.serial) == device
                and _fingerprint(one) in prints
                and one.name not in box.holds
            ):
                self._world.fail(f"{box.name}: the cursor is past {one.name}, which is not held")

    def _clocks(self, box: Box, db: sqlite3.Connection) -> None:
        for device, memory in db.execute("SELECT device, memory FROM clocks"):
            at = (box.name, device)
            if self._memories.get(at) != memory:
                self._memories[at] = memory
                self._pairs[at].append(self._world.loop.time())

    def _is_dated_truly(self, box: Box, one: Measurement, seen: Observation) -> None:
        if not one.dated and seen.time.known:
            self._world.fail(f"{one.name}: its clock was dead, and {seen.key} claims to know when")
        early_s = seen.time.early_s
        if early_s is None or self._is_beyond_knowledge(box, one):
            return
        at = from_iso(seen.time.utc)
        errors = box.clock.errors
        first = at - timedelta(seconds=early_s + max(errors) + MARGIN_S)
        last = at + timedelta(seconds=seen.time.late_s - min(errors) + MARGIN_S)
        if not first <= one.at <= last:
            self._world.fail(
                f"{box.name}: {one.name} was taken at {one.at}, told as {first} to {last} ({seen.time.method})"
            )

    def _is_beyond_knowledge(self, box: Box, one: Measurement) -> bool:
        """Two steps of a device's clock between two visits, or one before the first: no visit can see that (the plan)."""
        device = next(device for device in box.devices if device.serial == one.serial)
        steps = [at_s for at_s, who in device.steps if who != box.name]
        if not steps:
            return False
        if len(box.clock.errors) > 1 or not one.dated:
            return True
        begun_s = device.began_s
        before = [at for at in self._pairs[box.name, self.device_of(one.serial)] if at < begun_s]
        if not before:
            return any(at >= one.at_s for at in steps)
        points = [0.0, *before, begun_s]
        between = [sum(1 for at in steps if low < at <= high) for low, high in pairwise(points)]
        return max(between) > 1 or any(at <= before[0] for at in steps)

    def journal(self, cloud: "Cloud") -> None:
        """What was committed since the last look: each key stored once, each reading a true one of the right device."""
        for row in cloud.committed_after(cloud.journal_seen):
            cloud.journal_seen = row.id
            for position, fate in enumerate(row.fates):
                seen = row.observation(position)
                if seen is None or not row.intact:
                    self._world.fail(f"the journal's row {row.id} is not as it came")
                    continue
                number = (row.agent, row.epoch, row.first + position)
                if seen.key not in self.filed[number]:
                    # Again, it repeats its outcome. A cloud that went back in time may give another.
                    self.filed[number][seen.key] = fate.outcome
                    self.ever[number][seen.key].add(fate.outcome)
                filed = Filed(
                    number,
                    seen.key,
                    fate.outcome,
                    fate.conflict,
                    fate.suspect_of,
                    fate.subject,
                    fate.time_us,
                    row.received_us,
                    seen,
                )
                self._file(filed)

    def _file(self, filed: Filed) -> None:
        self.journal_rows.append(filed)
        if filed.outcome == "parked":
            self._world.fail(f"{filed.key} was parked, and nothing is wrong with it")
        if filed.outcome == "stored":
            self._stored[filed.key] = self._stored.get(filed.key, 0) + 1
            if self._stored[filed.key] > 1:
                self._world.fail(f"{filed.key} is stored {self._stored[filed.key]} times")
        if filed.conflict:
            self._world.fail(f"{filed.key} is called a conflict, and no two values share a key")
        one = self.measurement(filed.observation)
        if one is None:
            self._world.fail(f"the journal holds what was never measured: {filed.key}")
        elif filed.outcome == "stored":
            self._is_theirs(filed, one)
            self._is_filed_truly(filed, one)

    def _is_theirs(self, filed: Filed, one: Measurement) -> None:
        """Nobody has another's reading; and it is nobody's only where the device changed hands in the time that is told."""
        people, time = self._world.people, filed.observation.time
        at = from_iso(time.utc)
        first = None if time.early_s is None else at - timedelta(seconds=time.early_s)
        last = at + timedelta(seconds=time.late_s)
        theirs = people.patient(one.serial, one.at_s)
        if filed.subject.startswith(NOBODY):
            wide = None if first is None else first - MARGIN
            if (only := people.only(one.serial, wide, last + MARGIN)) is not None:
                self._world.fail(f"{one.name} is nobody's, and can only be {only}'s")
        elif filed.subject != theirs and (first is None or first <= one.at) and one.at <= last:
            self._world.fail(f"{one.name} is {filed.subject}'s in the cloud, and was {theirs}'s")

    def must_be_dated(self, number: Number) -> bool:
        """Whether its box knew the cloud's time whenever it sent it, in the boot in which it was read."""
        return number in self._boot_of and number not in self._undated

    def _is_filed_truly(self, filed: Filed, one: Measurement) -> None:
        """However wrong the box's clock was: in the cloud the measurement lies in the interval that is told."""
        time = filed.observation.time
        if time.early_s is None or not self.must_be_dated(filed.number):
            return
        at = from_iso(time.utc)
        first = at - timedelta(seconds=time.early_s + UNNOTICED_S)
        last = at + timedelta(seconds=time.late_s + UNNOTICED_S)
        self._world.note("cloud", f"filed-dated {one.name} {'righted' if time.box_off_s else ''}")
        if not first <= one.at <= last:
            self._world.fail(
                f"{one.name} was taken at {one.at}, filed as {first} to {last} ({time.method}, {time.box_off_s})"
            )

    def forget_journal(self) -> None:
        """The cloud went back in time."""
        self.filed.clear()
        self._stored.clear()
        self.journal_rows.clear()

    def forget_clocks(self, box: str, after_s: float) -> None:
        """A box forgot what it saw of devices' clocks since then, and that it set them itself."""
        for (name, device), pairs in self._pairs.items():
            if name == box:
                self._pairs[name, device] = [at for at in pairs if at <= after_s]
                self._memories.pop((name, device), None)
        for device in self._world.devices.values():
            device.steps = [
                (at, f"{who}, forgotten" if who == box and at > after_s else who)
                for at, who in device.steps
            ]

    def receipt(self, cloud: "Cloud", topic: str, receipt: Receipt) -> None:
        """It must say of each number what one committed transaction says of it, to the box that sent it."""
        sent = self.sent.get(receipt.envelope)
        if sent is None:
            self._world.fail(f"a receipt for an envelope that nobody sent: {receipt.envelope}")
            return
        if f"/{receipt.agent}/" not in topic or receipt.store != cloud.records.store:
            self._world.fail(f"a receipt of {receipt.agent} on {topic}")
        for number, key in sent:
            outcome = self.filed.get(number, {}).get(key)
            told = "duplicate" if number[2] in receipt.duplicates else "stored"
            if outcome is None:
                self._world.fail(f"a receipt for {number} {key}, which no commit holds")
            elif outcome != told:
                self._world.fail(f"a receipt calls {number} {told}; the journal: {outcome}")

    def measurement(self, seen: Observation) -> Measurement | None:
        """The measurement that this can only be: by its values and its device."""
        parts: dict[str, str] = {}
        for name, part in seen.parts.items():
            value = part.original.value if part.original else part.value
            parts[name] = part.beyond.value if part.beyond else value or ""
        for serial in self._world.devices:
            if self.device_of(serial) == seen.device:
                return self._world.find(serial, signature(seen.kind, parts))
        return None

    def device_of(self, serial: str) -> str:
        """The pseudonym that a device must have."""
        if serial not in self._devices:
            device = self._world.devices[serial]
            maker = device.maker or f"{device.profile.replace('/', '.')}"
            self._devices[serial] = device_id(self._world.tenant_key, maker, device.model, serial)
        return self._devices[serial]


def _has_no_gap(
    world: "World",
    box: Box,
    rows: list[tuple[int, str, int, str, int]],
    epochs: list[tuple[str, int]],
    removed: list[tuple[str, int, int]],
) -> None:
    held: dict[str, set[int]] = defaultdict(set)
    for _, epoch, n, *_ in rows:
        held[epoch].add(n)
    for epoch, first, last in removed:
        held[epoch].update(range(first, last + 1))
    for epoch, issued in epochs:
        if held[epoch] != set(range(1, issued + 1)):
            gone = sorted(set(range(1, issued + 1)) ^ held[epoch])
            world.fail(f"{box.name}: {issued} numbers given, amiss: {gone[:10]}")


def _fingerprint(one: Measurement) -> str:
    kept = record(one.parts["value"], one.taken)
    return hashlib.blake2b(f"{kept.raw_time} {kept.value}".encode(), digest_size=4).hexdigest()


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)
