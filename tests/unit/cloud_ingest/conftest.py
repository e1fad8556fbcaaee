"""Builders for tests of the ingester: readings, envelopes, records on a clock that stands still."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery, Verdict
from gateway.model.identity import Scheme, Stamp, content_hash, observation_key
from gateway.model.observation import (
    Beyond,
    Moment,
    Observation,
    Original,
    Part,
    Source,
    TimeMethod,
)
from gateway.runtime.clock import ManualClock, iso
from gateway.wire.envelope import encode_envelope
from gateway.wire.topics import Branch, Up

# A Saturday, 15:05 in Shanghai.
NOW = datetime(2026, 3, 14, 7, 5, tzinfo=UTC)
CUFF, METER = "c0" * 10, "a1" * 10
EPOCH = "00000000000000e1"


class Make:
    """Readings, `ago` minutes before NOW."""

    now = NOW
    cuff = CUFF
    meter = METER
    epoch = EPOCH

    def observation(
        self,
        kind: str,
        parts: Mapping[str, Part],
        ago: float = 0,
        *,
        device: str,
        key: str | None = None,
        arrival: str | None = None,
        sequence: int | None = None,
        known: bool = True,
        early_s: float | None = 1,
        source: Source = Source.PUSHED,
        marks: tuple[str, ...] = (),
        transport: str = "ble",
        slot: str | None = None,
        box_in_doubt: bool = False,
    ) -> Observation:
        at = self.now - timedelta(minutes=ago)
        content = content_hash(kind, parts)
        scheme = Scheme.ARRIVAL if arrival else Scheme.CLOCK if sequence is None else Scheme.RECORD
        stamp = Stamp(scheme, at.replace(tzinfo=None), content, sequence, arrival=arrival)
        method = TimeMethod.CORRECTED if known else TimeMethod.ARRIVAL
        return Observation(
            key=key or observation_key(device, kind, stamp, at.date()),
            device=device,
            kind=kind,
            parts=parts,
            time=Moment(
                utc=iso(at),
                method=method,
                known=known,
                early_s=early_s,
                late_s=1,
                box_in_doubt=box_in_doubt,
            ),
            content=content,
            source=source,
            accepted=iso(self.now),
            driver="test",
            profile="test/one",
            transport=transport,
            slot=slot,
            marks=marks,
        )

    def bp(self, systolic: int, diastolic: int, ago: float = 0, **more: object) -> Observation:
        parts = {
            "systolic": Part(unit="mm[Hg]", value=f"{systolic}"),
            "diastolic": Part(unit="mm[Hg]", value=f"{diastolic}"),
        }
        return self.observation("blood_pressure", parts, ago, **{"device": self.cuff, **more})

    def glucose(
        self, mgdl: str | None, ago: float = 0, *, mmol: str | None = None, **more: object
    ) -> Observation:
        original = Original(mmol, "mmol/L") if mmol else None
        parts = {"value": Part(unit="mg/dL", value=mgdl, original=original)}
        return self.observation("glucose", parts, ago, **{"device": self.meter, **more})

    def lo(self, bound: str | None = "20", ago: float = 0, **more: object) -> Observation:
        parts = {"value": Part(unit="mg/dL", value=bound, beyond=Beyond.BELOW)}
        return self.observation("glucose", parts, ago, **{"device": self.meter, **more})

    def hi(self, bound: str | None = "600", ago: float = 0, **more: object) -> Observation:
        parts = {"value": Part(unit="mg/dL", value=bound, beyond=Beyond.ABOVE)}
        return self.observation("glucose", parts, ago, **{"device": self.meter, **more})

    def payload(
        self,
        first: int,
        *seen: Observation,
        agent: str = "box-1",
        epoch: str = EPOCH,
    ) -> bytes:
        return encode_envelope(agent, epoch, first, seen)


class Kit(Make):
    """Records in a folder of the test's own, and short ways to ask them."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(NOW)
        self.path = folder / "records.sqlite"
        self.records = self.open()

    def open(self, *, sole_ingester: bool = True) -> Records:
        return Records.open(
            self.path,
            "demo",
            self.clock,
            default_thresholds(),
            sole_ingester=sole_ingester,
            zone=UTC,
        )

    def delivery(self, payload: bytes, agent: str = "box-1") -> Delivery:
        return Delivery(Branch("demo", agent).up(Up.OBSERVATIONS), payload, self.clock.now())

    def ingest(self, *payloads: bytes, agent: str = "box-1") -> list[Verdict]:
        return self.records.ingest([self.delivery(payload, agent) for payload in payloads])

    def send(self, first: int, *seen: Observation, **more: object) -> Verdict:
        payload = self.payload(first, *seen, **more)
        return self.ingest(payload, agent=more.get("agent", "box-1"))[0]

    def rows(self, table: Table) -> Sequence[Mapping[str, Any]]:
        with self.records.engine.connect() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def wearer(self, *devices: str) -> str:
        """A patient with these devices since always."""
        patient = self.records.add_patient("Ann Example")
        for device in devices:
            self.records.bind(patient.id, device, since=None)
        return patient.id


@pytest.fixture
def make() -> Make:
    """Builds readings and payloads."""
    return Make()


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    """Builds, and files into records of its own."""
    made = Kit(tmp_path)
    yield made
    made.records.close()


@pytest.fixture
def new_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes as many kits as a property needs."""
    made: list[Kit] = []

    def new() -> Kit:
        made.append(Kit(tmp_path_factory.mktemp("records")))
        return made[-1]

    yield new
    for kit in made:
        kit.records.close()
