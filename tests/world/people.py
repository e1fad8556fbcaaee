"""What people do in the cloud while a world lives: hand a device to another person, say whose a reading of the inbox is, void what a faulty device measured.

They act through the records, between two of the ingester's transactions, as a command line beside it would. A cloud that is
off is waited for. What they did is the truth against which the checkers hold what the records make of it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cloud_ingest.rules.judge import micros
from cloud_ingest.stores.records.criteria import Criteria
from gateway.runtime.clock import from_iso

if TYPE_CHECKING:
    from tests.world.checks import Filed
    from tests.world.run import World

AHEAD_S = (0.0, 0.0, 90.0)  # a hand-over is told as it is done, or shortly before
VOIDED_S = (60.0, 400.0, 3_000.0)
AGAIN_S = 15.0


@dataclass(frozen=True)
class Wearer:
    """Whose a device is from a moment on. `since` None: since always."""

    patient: str
    since: datetime | None
    since_s: float


class People:
    """Whose each device was when, and what was taken out."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.wearers: dict[str, list[Wearer]] = {}
        self.voided: set[str] = set()  # keys
        self.maybe_voided: set[str] = set()  # keys of readings whose time nobody knows
        self.touched: set[str] = set()  # patients of voided readings
        self.assigned: dict[
            str, tuple[str, int]
        ] = {}  # key -> patient, and when it was judged as theirs

    def give(self, serial: str, patient: str) -> None:
        """It is this person's since always."""
        self.wearers[serial] = [Wearer(patient, None, float("-inf"))]

    def patient(self, serial: str, at_s: float) -> str:
        """Who measured with it at that moment."""
        return next(one.patient for one in reversed(self.wearers[serial]) if one.since_s <= at_s)

    def only(self, serial: str, first: datetime | None, last: datetime) -> str | None:
        """The one person whose it was in the whole of an interval (`first` None: since always); None where it changed hands in it."""
        held = self.wearers[serial]
        changes = [one.since for one in held if one.since is not None]
        if any((first is None or first <= at) and at <= last for at in changes):
            return None
        return [one for one in held if one.since is None or one.since <= last][-1].patient

    def hand_over(self) -> None:
        """A device goes to somebody new."""
        world, cloud = self._world, self._world.cloud
        if not cloud.running:
            world.loop.outside(AGAIN_S, self.hand_over)
            return
        serials = sorted(world.devices)
        serial = serials[world.rng.randrange(len(serials))]
        ahead_s = world.rng.choice(AHEAD_S)
        since = world.loop.now() + timedelta(seconds=ahead_s)
        before = self.wearers[serial][-1]
        if before.since is not None and before.since >= since:
            return
        device = world.checks.device_of(serial)
        new = cloud.records.add_patient(f"Wearer {world.rng.randrange(10**6)}")
        cloud.records.unbind(before.patient, device, at=since)
        cloud.records.bind(new.id, device, since=since)
        self.wearers[serial].append(Wearer(new.id, since, world.loop.time() + ahead_s))
        world.note(serial, f"handed-over to {new.id} in {ahead_s:.0f}s")

    def empty_inbox(self) -> None:
        """Somebody asks around, and knows whose each waiting reading is."""
        world, cloud = self._world, self._world.cloud
        if not cloud.running:
            world.loop.outside(AGAIN_S, self.empty_inbox)
            return
        known = {one.key: one for one in world.checks.journal_rows if one.outcome == "stored"}
        for waiting in cloud.records.unassigned():
            one = world.checks.measurement(known[waiting.key].observation)
            assert one is not None
            patient = self.patient(one.serial, one.at_s)
            self.assigned[waiting.key] = (patient, micros(world.loop.now()))
            cloud.records.assign(waiting.key, patient, "a nurse")
            world.note("cloud", f"assigned {one.name} to {patient}")

    def void(self) -> None:
        """A device is recalled: what it measured in a span of time is taken out."""
        world, cloud = self._world, self._world.cloud
        if not cloud.running:
            world.loop.outside(AGAIN_S, self.void)
            return
        serials = sorted(world.devices)
        device = world.checks.device_of(serials[world.rng.randrange(len(serials))])
        until = world.loop.now()
        since = until - timedelta(seconds=world.rng.choice(VOIDED_S))
        for filed in world.checks.journal_rows:
            if filed.outcome == "stored" and filed.observation.device == device:
                self._is_to_go(filed, since, until)
        criteria = Criteria(device=device, from_us=micros(since), to_us=micros(until))
        report, _ = cloud.records.void(criteria, "maker", "recalled")
        world.note("cloud", f"voided {report.readings} of {device}")

    def _is_to_go(self, filed: "Filed", since: datetime, until: datetime) -> None:
        if not filed.observation.time.known:
            self.maybe_voided.add(filed.key)
        elif since <= from_iso(filed.observation.time.utc) < until:
            self.voided.add(filed.key)
        else:
            return
        subject, _ = self.assigned.get(filed.key, (filed.subject, 0))
        self.touched.add(subject)
