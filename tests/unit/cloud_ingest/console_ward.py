"""A ward with invented people for tests of the console: real records and a real embedded series, filled through `ingest`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select

from cloud_ingest.points import render
from cloud_ingest.rules.thresholds import default_thresholds
from cloud_ingest.stores.embedded import EmbeddedSeries
from cloud_ingest.stores.records.journal import read_rows
from cloud_ingest.stores.records.open import writing
from cloud_ingest.stores.records.schema import alerts, journal, projection
from cloud_ingest.stores.records.store import Records
from cloud_ingest.stores.records.types import Delivery
from gateway.model.identity import Scheme, Stamp, content_hash, device_id, observation_key
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
from gateway.wire.envelope import assemble, encode_observation
from gateway.wire.status import DeviceStatus, Status, encode_status
from gateway.wire.topics import Branch, Up

TENANT = "demo"
NOW = datetime(2026, 3, 14, 2, 36, 0, tzinfo=UTC)
EPOCH = "00000000000000aa"
ZONE = timedelta(hours=8)
MMOL = 18.0156


def device(serial: str) -> str:
    return device_id(b"k" * 32, "ACME", "model", serial)


def pressure(systolic: int, diastolic: int, pulse: int = 72) -> Mapping[str, Part]:
    return {
        name: Part(value=str(value), unit=unit, original=Original(str(value), shown))
        for name, value, unit, shown in (
            ("systolic", systolic, "mm[Hg]", "mmHg"),
            ("diastolic", diastolic, "mm[Hg]", "mmHg"),
            ("pulse_rate", pulse, "/min", "/min"),
        )
    }


def glucose(value: str, unit: str = "mg/dL") -> Mapping[str, Part]:
    stored = f"{float(value) * MMOL:.4f}" if unit == "mmol/L" else value
    return {"value": Part(value=stored, unit="mg/dL", original=Original(value, unit))}


LO = {"value": Part(unit="mg/dL", value="20", beyond=Beyond.BELOW)}


def observation(
    serial: str,
    kind: str,
    parts: Mapping[str, Part],
    at: datetime,
    *,
    known: bool = True,
    sequence: int | None = None,
    marks: tuple[str, ...] = (),
    source: Source = Source.PUSHED,
    accepted: datetime | None = None,
) -> Observation:
    own, local = device(serial), (at + ZONE).replace(tzinfo=None)
    content = content_hash(kind, parts)
    stamp = (
        Stamp(Scheme.RECORD, local, content, sequence=sequence)
        if sequence is not None
        else Stamp(Scheme.CLOCK, local, content)
        if known
        else Stamp(Scheme.ARRIVAL, None, content, arrival=serial + iso(at))
    )
    time = Moment(
        utc=iso(at),
        method=TimeMethod.CORRECTED if known else TimeMethod.ARRIVAL,
        known=known,
        early_s=1.5 if known else None,
        late_s=0.5 if known else 0.0,
        device=local.isoformat() if known else "2000-01-01T00:00:00",
        offset_s=-28798.0 if known else None,
        zone="Asia/Shanghai",
    )
    return Observation(
        key=observation_key(own, kind, stamp, (accepted or at).date()),
        device=own,
        kind=kind,
        parts=parts,
        time=time,
        content=content,
        source=source,
        accepted=iso((accepted or at) + timedelta(seconds=1)),
        driver="gatt.blood_pressure" if kind == "blood_pressure" else "onetouch.ultra2",
        profile="aandd/ua-651ble" if kind == "blood_pressure" else "lifescan/onetouch-ultra2",
        transport="ble" if kind == "blood_pressure" else "serial",
        marks=marks,
        raw="1ec0007c0090ea07030e0a20087d00" if kind == "blood_pressure" else None,
    )


@dataclass
class Ward:
    """Records and series under one moving clock. `send` is what a box does; `project` what the projection does."""

    records: Records
    series: EmbeddedSeries
    clock: ManualClock
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    patients: dict[str, str] = field(default_factory=dict[str, str])

    def at(self, moment: datetime) -> None:
        self.clock.advance((moment - self.clock.now()).total_seconds())

    def person(self, name: str, born: str, condition: str, *serials: str) -> str:
        patient = self.records.add_patient(name, born, condition).id
        for serial in serials:
            self.records.bind(patient, device(serial), since=None)
        self.patients[name] = patient
        return patient

    def send(
        self, *told: Observation, agent: str = "box-1", clock_off_s: float | None = None
    ) -> None:
        first = self.numbers.get(agent, 1)
        bodies = [encode_observation(one) for one in told]
        payload = assemble(agent, EPOCH, first, bodies, clock_off_s=clock_off_s)
        self.numbers[agent] = first + len(told)
        topic = Branch(TENANT, agent).up(Up.OBSERVATIONS)
        self.records.ingest([Delivery(topic, payload, self.clock.now())])

    def project(self) -> None:
        with self.records.engine.connect() as connection:
            ids = set(connection.scalars(select(journal.c.id)))
        points = [
            render(told, fate)
            for row in read_rows(self.records.engine, ids).values()
            for told, fate in zip(row.observations, row.fates, strict=True)
            if told is not None and fate.counts
        ]
        assert self.series.write(points) == []
        with writing(self.records.engine) as connection:
            connection.execute(delete(projection))
            row = {"writer": "test", "journal": max(ids, default=0), "at_us": 0}
            connection.execute(insert(projection), row)

    def status(
        self,
        agent: str,
        serials: Sequence[str],
        *,
        online: bool = True,
        pending: int = 0,
        heard: datetime | None = None,
        clock_off_s: float | None = None,
    ) -> None:
        now = self.clock.now()
        status = Status(
            agent=agent,
            online=online,
            at=iso(now),
            version="0.1.0",
            epoch=EPOCH,
            issued=self.numbers.get(agent, 1) - 1,
            pending=pending,
            oldest_pending=iso(now - timedelta(minutes=7)) if pending else None,
            clock_off_s=clock_off_s,
            devices=[
                DeviceStatus(
                    device=device(serial),
                    profile="aandd/ua-651ble"
                    if serial.startswith("cuff")
                    else "lifescan/onetouch-ultra2",
                    last_heard=iso(heard or now),
                    last_reading=iso(heard or now),
                    trouble=None,
                )
                for serial in serials
            ],
        )
        self.records.note_status(agent, status, encode_status(status))

    def close(self) -> None:
        self.series.close()
        self.records.close()


def empty_ward(folder: Path, now: datetime = NOW) -> Ward:
    clock = ManualClock(now)
    records = Records.open(
        folder / "records.sqlite",
        TENANT,
        clock,
        default_thresholds(),
        sole_ingester=True,
        zone=ZoneInfo("Asia/Shanghai"),
    )
    return Ward(records, EmbeddedSeries(folder / "series.sqlite"), clock)


def crisis(
    ward: Ward,
    serial: str = "cuff-4471",
    values: tuple[tuple[int, int], ...] = ((190, 125), (192, 124)),
) -> None:
    """Two readings above the limit, six minutes apart, the second one just now."""
    now = ward.clock.now()
    for step, (systolic, diastolic) in enumerate(values):
        taken = now - timedelta(minutes=6 * (len(values) - 1 - step))
        ward.send(
            observation(serial, "blood_pressure", pressure(systolic, diastolic, 88 + step), taken)
        )


def full_ward(folder: Path, now: datetime = NOW) -> Ward:
    """Everything that a ward can show: live alerts, one held, one late, an inbox, an absent box, LO, control, no time."""
    ward, chance = empty_ward(folder, now - timedelta(days=31)), Random(7)
    ward.person("Wang Fang", "1954-05-02", "Hypertension", "cuff-4471")
    ward.person("陈伟", "1967-09-12", "Diabetes", "meter-1", "cuff-5")
    ward.person("欧阳小敏", "1959-11-30", "Hypertension", "cuff-6")
    ward.person("Maria Lindqvist", "1943-02-11", "Diabetes, hypertension", "meter-2", "cuff-7")
    ward.person("李广", "1945-07-01", "Hypertension")
    for day in range(30, 0, -1):
        if 12 < day < 17:
            continue  # a gap stays a gap
        for hour in (7, 19):
            minutes = timedelta(hours=hour, minutes=chance.randrange(40))
            _everybody_measures(ward, now - timedelta(days=day) - ZONE + minutes, chance)
    _held_and_absent(ward, now)
    _doubtful_and_late(ward, now)
    _of_this_moment(ward, now)
    ward.at(now)
    ward.project()
    return ward


def _everybody_measures(ward: Ward, taken: datetime, chance: Random) -> None:
    """As on any morning or evening."""
    ward.at(taken + timedelta(seconds=5))
    for serial, middle in (("cuff-4471", 148), ("cuff-5", 128), ("cuff-6", 139), ("cuff-7", 133)):
        systolic = middle + chance.randrange(-9, 14)
        told = pressure(systolic, systolic - 52 - chance.randrange(8), 64 + chance.randrange(20))
        marks = ("irregular_pulse",) if chance.random() < 0.06 else ()
        ward.send(observation(serial, "blood_pressure", told, taken, marks=marks))
    for serial, unit, middle in (("meter-1", "mmol/L", 7.1), ("meter-2", "mg/dL", 139)):
        value = middle * (0.72 + chance.random() * 0.7)
        shown = glucose(f"{value:.1f}" if unit == "mmol/L" else f"{value:.0f}", unit)
        seen = observation(serial, "glucose", shown, taken, source=Source.MEMORY)
        ward.send(seen, agent="box-2")


def _held_and_absent(ward: Ward, now: datetime) -> None:
    """An alert that a nurse has, and a box that went two days ago."""
    ward.at(now - timedelta(minutes=32))
    crisis(ward, "cuff-7", ((186, 104), (184, 101)))
    held = _alerts(ward)[-1]
    ward.at(now - timedelta(minutes=28))
    ward.records.acknowledge(held, "Nurse Zhao")
    ward.status("box-3", ["cuff-9"], online=False, heard=now - timedelta(days=2))


def _doubtful_and_late(ward: Ward, now: datetime) -> None:
    """A low glucose, one below the scale at a time that nobody knows, control solution; and a crisis of last night."""
    ward.at(now - timedelta(minutes=9))
    low = observation("meter-1", "glucose", glucose("2.8", "mmol/L"), ward.clock.now())
    ward.send(low, agent="box-2")
    ward.at(now - timedelta(minutes=8))
    ward.send(observation("meter-2", "glucose", LO, ward.clock.now(), known=False), agent="box-2")
    control = glucose("112")
    ward.send(
        observation("meter-2", "glucose", control, ward.clock.now(), marks=("control",)),
        agent="box-2",
    )
    for minutes, told in ((0, pressure(184, 118)), (5, pressure(186, 121))):
        taken = now - timedelta(hours=12) + timedelta(minutes=minutes)
        ward.send(observation("cuff-6", "blood_pressure", told, taken, source=Source.MEMORY))


def _of_this_moment(ward: Ward, now: datetime) -> None:
    """A crisis, a reading of nobody's cuff, and two boxes that say how they stand."""
    ward.at(now - timedelta(minutes=4))
    crisis(ward)
    ward.send(observation("cuff-8", "blood_pressure", pressure(141, 88), ward.clock.now()))
    ward.at(now - timedelta(seconds=10))
    ward.status("box-1", ["cuff-4471", "cuff-5", "cuff-6", "cuff-7", "cuff-8"])
    ward.status("box-2", ["meter-1", "meter-2"], pending=12)
    ward.at(now - timedelta(seconds=4))
    ward.send(observation("cuff-5", "blood_pressure", pressure(126, 79), ward.clock.now()))


def _alerts(ward: Ward) -> list[str]:
    with ward.records.engine.connect() as connection:
        return list(connection.scalars(select(alerts.c.id).order_by(alerts.c.opened_us)))
