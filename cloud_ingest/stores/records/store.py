"""The relational records as one object: journal, keys, ledger, patients, bindings, alerts. Opens SQLite; speaks no MQTT."""

import threading
from collections.abc import Sequence
from datetime import datetime, tzinfo
from pathlib import Path

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from cloud_ingest.live import News
from cloud_ingest.rules.judge import micros
from cloud_ingest.rules.state import StateError
from cloud_ingest.rules.thresholds import Thresholds
from cloud_ingest.stores.records import assign, due, mending, patients, voiding
from cloud_ingest.stores.records.alerts import Desk
from cloud_ingest.stores.records.criteria import Criteria, VoidReport
from cloud_ingest.stores.records.ingest import Ingester
from cloud_ingest.stores.records.ledger import answer
from cloud_ingest.stores.records.mending import Mended
from cloud_ingest.stores.records.open import Opened, open_store, reading, release, writing
from cloud_ingest.stores.records.parked import BEYOND_QUOTA
from cloud_ingest.stores.records.schema import boxes, meta, metadata
from cloud_ingest.stores.records.setaside import UNJUDGED
from cloud_ingest.stores.records.types import Binding, Bound, Delivery, Patient, Unassigned, Verdict
from gateway.runtime.clock import Clock
from gateway.wire.receipts import Answer, Question
from gateway.wire.status import STATUS_BYTES_MAX, Status

UNASSIGNED_MAX = 500  # shown at once

# Each box says how it is once a minute: made once.
_told = upsert(boxes)
_NOTE_STATUS = _told.on_conflict_do_update(
    index_elements=["agent"],
    set_={"status": _told.excluded.status, "status_us": _told.excluded.status_us},
)
_KEEP_STATUS = _told.on_conflict_do_update(
    index_elements=["agent"], set_={"status": _told.excluded.status}
)


class Records:
    """One tenant's records. Methods may be called from any thread; each write is one transaction.

    Every method may raise StoreError: `retry=True` where the store was busy or full and nothing was changed.
    """

    def __init__(
        self, opened: Opened, tenant: str, clock: Clock, thresholds: Thresholds, zone: tzinfo | None
    ) -> None:
        """Over an open store; `Records.open` is the way in."""
        self.store = opened.store  # random, drawn when the file was made: receipts name it
        self.engine: Engine = opened.engine  # for queries; writers go through the methods
        self._lock = opened.lock
        self._clock = clock
        self.thresholds = thresholds
        self._zone = zone
        self._ingester = Ingester(opened.engine, tenant, opened.store)
        self._one_batch = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        tenant: str,
        clock: Clock,
        thresholds: Thresholds,
        *,
        sole_ingester: bool,
        zone: tzinfo | None = None,
    ) -> "Records":
        """Make or upgrade the file and open it. `zone` is that of working hours; default: this machine's.

        With `sole_ingester`, raises ConfigError naming the process that holds the file already.
        """
        opened = open_store(path, tenant, sole_ingester=sole_ingester)
        return cls(opened, tenant, clock, thresholds, zone)

    def ingest(self, deliveries: Sequence[Delivery]) -> list[Verdict]:
        """File what came (`up/observations`), in one transaction. One verdict for each delivery, in their order."""
        with self._one_batch:
            return self._ingester.ingest(deliveries, self._desk())

    def answer(self, agent: str, question: Question) -> Answer:
        """What is held of a box."""
        with reading(self.engine) as connection:
            return answer(connection, self.store, agent, question, self._clock.now())

    def note_status(self, agent: str, status: Status, payload: bytes) -> News:
        """Keep what a box has just said of itself. Raises ValueError where it is another's, or over STATUS_BYTES_MAX."""
        return self._take_status(agent, status, payload, heard=self._clock.now())

    def keep_status(self, agent: str, status: Status, payload: bytes) -> News:
        """Keep what a box said of itself some time ago; it is not heard by that. Raises as `note_status` does."""
        return self._take_status(agent, status, payload, heard=None)

    def act_on_due(self, now: datetime) -> due.Acted:
        """Do what a clock triggers: unconfirmed findings, unanswered alerts. At most DUE_MAX rows a call."""
        return due.act_on_due(self.engine, Desk(self.thresholds, self._zone, now))

    def acknowledge(self, alert: str, who: str) -> bool:
        """A person has seen the alert. False where there is none to acknowledge (unknown, seen already, resolved)."""
        return due.acknowledge(self.engine, self._desk(), alert, who)

    def resolve(self, alert: str, who: str) -> bool:
        """A person ends the alert. False where there is none to end."""
        return due.resolve(self.engine, self._desk(), alert, who)

    def add_patient(self, name: str, born: str | None = None, condition: str = "") -> Patient:
        """Raises ValueError for an empty name or an impossible date."""
        with writing(self.engine) as connection:
            return patients.add_patient(connection, name, born, condition, self._clock.now())

    def patients(self) -> list[Patient]:
        """All patients, by name."""
        with reading(self.engine) as connection:
            return patients.all_patients(connection)

    def bindings(self) -> list[Binding]:
        """All bindings, past ones too, by device and start."""
        with reading(self.engine) as connection:
            return patients.all_bindings(connection)

    def bind(
        self,
        patient: str,
        device: str,
        *,
        slot: str | None = None,
        since: datetime | None,
        until: datetime | None = None,
    ) -> Bound:
        """From then on (`since` None: since always) the device's readings are this patient's. Raises ValueError.

        Readings in the inbox stay there: a person assigns them.
        """
        from_us = None if since is None else micros(since)
        to_us = None if until is None else micros(until)
        wanted = Binding(0, device, slot, patient, from_us, to_us)
        with writing(self.engine) as connection:
            return patients.bind(connection, wanted)

    def unbind(
        self, patient: str, device: str, *, slot: str | None = None, at: datetime
    ) -> list[Binding]:
        """End the bindings that run at `at`; the ended ones. Raises ValueError where there is none."""
        with writing(self.engine) as connection:
            return patients.unbind(connection, patient, device, slot, micros(at))

    def unassigned(self, limit: int = UNASSIGNED_MAX) -> list[Unassigned]:
        """Readings that wait in the inbox, newest arrival first."""
        with reading(self.engine) as connection:
            return assign.unassigned(connection, limit)

    def assign(self, key: str, patient: str, who: str) -> tuple[News, ...]:
        """Give a reading of the inbox to a patient, run that patient's rules, queue its points anew. Raises ValueError."""
        try:
            return self._assign(key, patient, who)
        except StateError as fault:
            mending.mend(self.engine, self._desk(), fault.subject)
            return self._assign(key, patient, who)

    def mend(self) -> list[Mended]:
        """Make anew what the rules remember of whom that can't be read, and judge what was set aside for it. One transaction a subject."""
        return mending.mend_waiting(self.engine, self._desk())

    def void(
        self, criteria: Criteria, who: str, reason: str
    ) -> tuple[VoidReport, tuple[News, ...]]:
        """Take the readings of faulty devices out, for good, and run the rules as though they had never come. Raises ValueError.

        One transaction a subject: it may be interrupted, and run again.
        """
        return voiding.void(self.engine, self._desk(), criteria, who, reason)

    def would_void(self, criteria: Criteria, who: str, reason: str) -> VoidReport:
        """What `void` would do. Changes nothing. Raises ValueError."""
        return voiding.would_void(self.engine, self._desk(), criteria, who, reason)

    def counts(self) -> dict[str, int]:
        """How many rows stand in each table, and what was parked beyond the quota: for `ingest status`."""
        with reading(self.engine) as connection:
            found = {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }
            beyond = select(meta.c.value).where(meta.c.name == BEYOND_QUOTA)
            told = {
                BEYOND_QUOTA: int(connection.execute(beyond).scalar() or 0),
                UNJUDGED: mending.unjudged(connection),
            }
            return {**found, **told}

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._ingester.close()
        self.engine.dispose()
        release(self._lock)
        self._lock = None

    def _assign(self, key: str, patient: str, who: str) -> tuple[News, ...]:
        with writing(self.engine) as connection:
            return assign.assign(connection, self._desk(), key, patient, who)

    def _take_status(
        self, agent: str, status: Status, payload: bytes, *, heard: datetime | None
    ) -> News:
        if status.agent != agent:
            raise ValueError(f"says that it is of {status.agent!r}, on {agent!r}'s topic")
        if len(payload) > STATUS_BYTES_MAX:
            raise ValueError(f"a status of {len(payload)} bytes; at most {STATUS_BYTES_MAX}")
        told = {"agent": agent, "status": payload, "status_us": micros(heard) if heard else None}
        with writing(self.engine) as connection:
            connection.execute(_NOTE_STATUS if heard else _KEEP_STATUS, told)
        return News("box", (agent,))

    def _desk(self) -> Desk:
        return Desk(self.thresholds, self._zone, self._clock.now())
